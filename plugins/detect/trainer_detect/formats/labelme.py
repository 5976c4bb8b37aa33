"""The extension `labelme`, which reads the files of labelme: ``data=FOLDER``."""

from __future__ import annotations

from trainer_detect.formats.tool_extension import ToolHooks, ToolOptions
from trainer_host import ExtensionSpec


class LabelmeOptions(ToolOptions, frozen=True):
    """The options."""


EXTENSION = ExtensionSpec(hooks=ToolHooks("labelme", LabelmeOptions), options=LabelmeOptions)
