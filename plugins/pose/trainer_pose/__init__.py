"""The pose task: what differs from detect where boxes carry keypoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_pose.trainer import PoseTrainer

__all__ = ["PoseTrainer"]


def __getattr__(name: str) -> Any:
    # The drop-in trainer needs the engine, which the plugin itself does not need before a run.
    if name == "PoseTrainer":
        from trainer_pose.trainer import PoseTrainer

        return PoseTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
