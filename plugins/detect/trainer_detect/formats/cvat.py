"""The extension `cvat`, which reads what CVAT exports for images and for video: ``data=annotations.xml``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainer_detect.formats.tool_options import ToolOptions
from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description

KEYPOINTS = re.compile(rb"<(skeleton|points)\b")
"""Keys that only files with keypoints contain."""


class CvatOptions(ToolOptions, frozen=True):
    """The options."""


class CvatHooks:
    """Answers for datasets that are XML files of CVAT."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read what ``ctx.source`` names."""
        from trainer_detect.formats.cvat_file import read_cvat
        from trainer_detect.formats.kinds import CVAT
        from trainer_detect.formats.tool_reader import answer

        return answer(ctx, CVAT, read_cvat, ctx.options_for(CvatOptions))

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_detect.formats.kinds import CVAT
        from trainer_detect.formats.tool_reader import told_keys

        return told_keys(source, CVAT, KEYPOINTS)


EXTENSION = ExtensionSpec(hooks=CvatHooks(), options=CvatOptions)
