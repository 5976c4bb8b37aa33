"""The extension `labelme`, which reads the files of labelme: ``data=FOLDER``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainer_detect.formats.tool_options import ToolOptions
from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description

KEYPOINTS = re.compile(rb'"shape_type"\s*:\s*"point"')
"""Keys that only files with keypoints contain."""


class LabelmeOptions(ToolOptions, frozen=True):
    """The options."""


class LabelmeHooks:
    """Answers for datasets that are files of labelme."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read what ``ctx.source`` names."""
        from trainer_detect.formats.kinds import LABELME
        from trainer_detect.formats.labelme_file import read_labelme
        from trainer_detect.formats.tool_reader import answer

        return answer(ctx, LABELME, read_labelme, ctx.options_for(LabelmeOptions))

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_detect.formats.kinds import LABELME
        from trainer_detect.formats.tool_reader import told_keys

        return told_keys(source, LABELME, KEYPOINTS)


EXTENSION = ExtensionSpec(hooks=LabelmeHooks(), options=LabelmeOptions)
