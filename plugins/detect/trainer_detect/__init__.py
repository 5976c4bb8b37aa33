"""The detect task: the base that box tasks build on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_detect.trainer import DetectionTrainer

__all__ = ["DetectionTrainer"]


def __getattr__(name: str) -> Any:
    # The drop-in trainer needs the engine, which the plugin itself does not need before a run.
    if name == "DetectionTrainer":
        from trainer_detect.trainer import DetectionTrainer

        return DetectionTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
