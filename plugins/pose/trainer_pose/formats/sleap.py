"""The extension `sleap`, which reads projects and packages of SLEAP: ``data=labels.pkg.slp``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_detect.formats.tool_extension import ToolOptions
from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description


class SleapOptions(ToolOptions, frozen=True):
    """The options."""


class SleapHooks:
    """Answers for datasets that are files of SLEAP."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read what ``ctx.source`` names."""
        from trainer_detect.formats.coco_source import find_source, names_kind
        from trainer_detect.formats.tool_reader import read_tool_dataset
        from trainer_pose.formats.sleap_file import SLEAP, read_sleap

        if not names_kind(ctx.source, SLEAP):
            return None
        options = ctx.options_for(SleapOptions)
        return read_tool_dataset(find_source(ctx.source, ctx.images, SLEAP), read_sleap, options)

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_detect.formats.coco_source import names_kind
        from trainer_pose.formats.sleap_file import SLEAP

        return {"names", "nc", "channels", "kpt_shape", "kpt_names"} if names_kind(source, SLEAP) else None


EXTENSION = ExtensionSpec(hooks=SleapHooks(), options=SleapOptions)
