"""The drop-in replacement of the engine's pose trainer."""

from __future__ import annotations

from ultralytics.models.yolo.pose import PoseTrainer as Engine

from trainer_detect.trainer import DetectionTrainer


class PoseTrainer(DetectionTrainer, Engine):
    """`ultralytics.models.yolo.pose.PoseTrainer` with its decisions made by plugins.

    It takes the same arguments and gives the same weights, bit for bit. The task is always 'pose'. Methods that
    may be overridden are listed in docs/reference/drop-in.md.

    Example:
        >>> trainer = PoseTrainer(overrides=dict(model="yolo26n-pose.pt", data="coco8-pose.yaml", epochs=3))
        >>> trainer.train()
    """

    task = "pose"
