"""The extension `deeplabcut`, which reads a DeepLabCut project as it is: ``data=project/config.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, field_validator

from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description


class DeepLabCut(BaseModel, frozen=True):
    """The options.

    Attributes:
        margin: How far a box reaches beyond the labelled points on each side, as a fraction of their longer extent.
        holdout: The part that is held out for validation: ``video`` for whole videos, or a fraction of the frames; by
            default whole videos if there are several, else a fifth of the frames.
    """

    margin: float = Field(0.1, ge=0, le=10)
    holdout: Literal["video"] | float | None = None

    @field_validator("holdout")
    @classmethod
    def _is_share(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a fraction is greater than 0 and less than 1")
        return value


class DeepLabCutHooks:
    """Answers for DeepLabCut projects."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read the project whose configuration ``ctx.source`` names."""
        from trainer_pose.formats.deeplabcut_project import find_project

        project = find_project(ctx.source)
        if project is None:
            return None
        from trainer_pose.formats.deeplabcut_reader import read_project

        options = ctx.options_for(DeepLabCut)
        return read_project(project, options.margin, options.holdout)

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_pose.formats.deeplabcut_project import find_project

        return None if find_project(source) is None else ("names", "nc", "channels", "kpt_shape", "kpt_names")


EXTENSION = ExtensionSpec(hooks=DeepLabCutHooks(), options=DeepLabCut)
