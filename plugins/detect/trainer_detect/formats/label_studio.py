"""The extension `label-studio`, which reads what Label Studio exports as JSON: ``data=project.json``."""

from __future__ import annotations

from trainer_detect.formats.tool_extension import ToolHooks, ToolOptions
from trainer_host import ExtensionSpec


class LabelStudioOptions(ToolOptions, frozen=True):
    """The options."""


EXTENSION = ExtensionSpec(hooks=ToolHooks("label-studio", LabelStudioOptions), options=LabelStudioOptions)
