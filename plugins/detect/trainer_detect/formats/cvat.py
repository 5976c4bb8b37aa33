"""The extension `cvat`, which reads what CVAT exports for images and for video: ``data=annotations.xml``."""

from __future__ import annotations

from trainer_detect.formats.tool_extension import ToolHooks, ToolOptions
from trainer_host import ExtensionSpec


class CvatOptions(ToolOptions, frozen=True):
    """The options."""


EXTENSION = ExtensionSpec(hooks=ToolHooks("cvat", CvatOptions), options=CvatOptions)
