"""The extension `label-studio`, which reads what Label Studio exports as JSON: ``data=project.json``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainer_detect.formats.tool_options import ToolOptions
from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description

KEYPOINTS = re.compile(rb'"keypointlabels"')
"""Keys that only files with keypoints contain."""


class LabelStudioOptions(ToolOptions, frozen=True):
    """The options."""


class LabelStudioHooks:
    """Answers for datasets that are JSON files of Label Studio."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read what ``ctx.source`` names."""
        from trainer_detect.formats.kinds import LABEL_STUDIO
        from trainer_detect.formats.label_studio_file import read_label_studio
        from trainer_detect.formats.tool_reader import answer

        return answer(ctx, LABEL_STUDIO, read_label_studio, ctx.options_for(LabelStudioOptions))

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_detect.formats.kinds import LABEL_STUDIO
        from trainer_detect.formats.tool_reader import told_keys

        return told_keys(source, LABEL_STUDIO, KEYPOINTS)


EXTENSION = ExtensionSpec(hooks=LabelStudioHooks(), options=LabelStudioOptions)
