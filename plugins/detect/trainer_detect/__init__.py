"""The detect task: the base that box tasks build on.

What tasks on top of it may import stands in ``__all__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_detect.model import build_model
    from trainer_detect.predictor import BoxPredictor, draw_boxes
    from trainer_detect.sample import corner_row, outline_row, shapes_sample
    from trainer_detect.trainer import DetectionTrainer
    from trainer_detect.validator import HostDatasetMixin

__all__ = [
    "BoxPredictor",
    "DetectionTrainer",
    "HostDatasetMixin",
    "build_model",
    "corner_row",
    "draw_boxes",
    "outline_row",
    "shapes_sample",
]

_MODULES = {
    "BoxPredictor": "predictor",
    "DetectionTrainer": "trainer",
    "HostDatasetMixin": "validator",
    "build_model": "model",
    "corner_row": "sample",
    "draw_boxes": "predictor",
    "outline_row": "sample",
    "shapes_sample": "sample",
}
"""Where each name is found. They need the engine, which the plugin itself does not need before a run."""


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
