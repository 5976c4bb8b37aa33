"""The task `hand-pose`, on top of `pose`: only what differs from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trainer_host import DataContext, Finding, ModelContext, TaskSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class HandOptions:
    """Options: ``trainer run --task hand-pose hand-pose.side=left data=hands.yaml``."""

    keypoints: int = 21  # that a hand is expected to have
    side: Literal["left", "right"] = "right"


class HandHooks:
    """What pose does not do for hands. Everything that is not here, pose answers, and then detect."""

    @hookimpl
    def check_dataset(self, ctx: DataContext) -> Iterator[Finding]:
        """Warn of a dataset whose hands have other keypoints; detect and pose have checked it before."""
        wanted, found = ctx.options_for(HandOptions).keypoints, (ctx.data.get("kpt_shape") or [None])[0]
        if found != wanted:
            fix = f"correct kpt_shape, or give hand-pose.keypoints={found}"
            what = f"the dataset has {found} keypoints for a hand, and {wanted} are expected."
            yield Finding("hand-keypoints", what, fix, ctx.source, severity="warning")

    @hookimpl
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Put the side before the names that pose has given the keypoints: plain data, kept with the model."""
        side = ctx.options_for(HandOptions).side
        model: Any = ctx.model
        model.kpt_names = {c: [f"{side} {name}" for name in names] for c, names in model.kpt_names.items()}


TASK = TaskSpec(hooks=HandHooks(), base="pose", options=HandOptions)
