"""The extensions that read the labels of tools: their options, and what they answer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from trainer_host import hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_detect.formats.tool_reader import ToolFormat
    from trainer_host import DataContext
    from trainer_host.data import Description


class ToolOptions(BaseModel, frozen=True):
    """The options of every tool.

    Attributes:
        holdout: The fraction of the images that is held out for validation if the labels have no splits; by default,
            whole videos or tasks if there are several, else a fifth of the images.
        margin: How far the box of an object without one reaches beyond its keypoints on each side, as a fraction
            of their longer extent.
    """

    holdout: float | None = Field(None, gt=0, lt=1)
    margin: float = Field(0.1, ge=0, le=10)


class ToolHooks:
    """Answers for datasets that are files of one tool.

    Args:
        name: The name of the extension. The module ``NAME_file`` next to this one defines its ``FORMAT``.
        options: The options of the extension.
    """

    def __init__(self, name: str, options: type[ToolOptions]) -> None:
        self.name, self.options = name, options

    def _format(self, source: str) -> ToolFormat | None:
        """Return the format of the tool's files if the source names some; else nothing more is imported."""
        from trainer_detect.formats.coco_source import names_kind
        from trainer_detect.formats.kinds import OF_TOOLS

        if not names_kind(source, OF_TOOLS[self.name]):
            return None
        module = f"trainer_detect.formats.{self.name.replace('-', '_')}_file"
        found: ToolFormat = importlib.import_module(module).FORMAT
        return found

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read what ``ctx.source`` names."""
        found = self._format(ctx.source)
        return found and found.read_dataset(ctx, ctx.options_for(self.options))

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        found = self._format(source)
        return found and found.told_keys(source)
