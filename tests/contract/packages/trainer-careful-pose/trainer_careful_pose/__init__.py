"""Trainer classes as tasks. They are imported when they are used."""

from trainer_host.ultralytics import task_from_trainer

POSE = task_from_trainer("trainer_careful_pose.trainer:CarefulPoseTrainer", base="pose")
SEGMENT = task_from_trainer(
    "ultralytics.models.yolo.segment:SegmentationTrainer",
    base="detect",
    engine_task="segment",
    scratch_model="yolo26n-seg.yaml",
    best_metric="metrics/mAP50-95(M)",
    metrics=("metrics/mAP50(M)", "metrics/mAP50-95(M)"),
)
