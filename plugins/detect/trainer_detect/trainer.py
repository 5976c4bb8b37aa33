"""The drop-in replacement of the engine's detection trainer."""

from __future__ import annotations

from ultralytics.models.yolo.detect import DetectionTrainer as Engine

from trainer_host.ultralytics import DropInTrainer


class DetectionTrainer(DropInTrainer, Engine):
    """`ultralytics.models.yolo.detect.DetectionTrainer` with its decisions made by plugins.

    It takes the same arguments and gives the same weights, bit for bit. Methods that may be overridden are listed
    in docs/reference/drop-in.md.

    Example:
        >>> trainer = DetectionTrainer(overrides=dict(model="yolo26n.pt", data="coco8.yaml", epochs=3))
        >>> trainer.train()
    """

    task = "detect"
