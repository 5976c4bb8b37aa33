"""What a training inherits from the engine: functions, classes and constants that decide the weights it gives."""

from __future__ import annotations

WATCHED: dict[str, str] = {
    "cfg/__init__.py": "cfg2dict get_cfg check_cfg _handle_deprecation",
    "data/augment.py": """
        BaseTransform Compose BaseMixTransform Mosaic MixUp CutMix RandomPerspective RandomHSV RandomFlip LetterBox
        CopyPaste Albumentations Format v8_transforms""",
    "data/base.py": "BaseDataset",
    "data/build.py": "InfiniteDataLoader _RepeatSampler seed_worker build_yolo_dataset build_dataloader",
    "data/dataset.py": "YOLODataset",
    "data/utils.py": "check_file_speeds exif_size verify_image verify_image_label get_split_fraction",
    "engine/trainer.py": "BaseTrainer",
    "engine/validator.py": "BaseValidator",
    "models/yolo/detect/train.py": "DetectionTrainer",
    "models/yolo/detect/val.py": "DetectionValidator",
    "models/yolo/pose/train.py": "PoseTrainer",
    "models/yolo/pose/val.py": "PoseValidator",
    "nn/distill_model.py": "DistillationModel",
    "nn/modules/block.py": """
        DFL SPP SPPF C2f C3 C3k C3k2 C3Ghost GhostBottleneck Bottleneck Attention PSABlock C2PSA AAttn ABlock A2C2f
        RealNVP""",
    "nn/modules/conv.py": "autopad Conv DWConv GhostConv Concat Index",
    "nn/modules/head.py": "Detect Pose Pose26",
    "nn/tasks.py": """
        BaseModel _initialize_yolo_model DetectionModel PoseModel parse_model yaml_model_load guess_model_scale
        load_checkpoint""",
    "optim/muon.py": "zeropower_via_newtonschulz5 muon_update MuSGD",
    "utils/autobatch.py": "check_train_batch_size autobatch",
    "utils/checks.py": "check_amp check_imgsz",
    "utils/instance.py": "_ntuple Bboxes Instances",
    "utils/loss.py": """
        DFLoss BboxLoss RLELoss KeypointLoss v8DetectionLoss v8PoseLoss PoseLoss26 E2EDetectLoss E2ELoss""",
    "utils/metrics.py": """
        OKS_SIGMA RLE_WEIGHT box_iou bbox_iou kpt_iou smooth_bce smooth compute_ap _AP_X _TRAPZ ap_per_class Metric
        DetMetrics PoseMetrics""",
    "utils/nms.py": "non_max_suppression TorchNMS",
    "utils/ops.py": """
        scale_boxes make_divisible clip_boxes clip_coords xyxy2xywh xywh2xyxy xywhn2xyxy xyxy2xywhn xywh2ltwh
        segment2box segments2boxes resample_segments scale_coords empty_like""",
    "utils/patches.py": "imread",
    "utils/tal.py": "TaskAlignedAssigner PoseTaskAlignedAssigner make_anchors dist2bbox bbox2dist",
    "utils/torch_utils.py": """
        torch_distributed_zero_first autocast select_device qat_state strip_qat initialize_weights scale_img copy_attr
        intersect_dicts unwrap_model one_cycle init_seeds unset_deterministic ModelEMA strip_optimizer
        convert_optimizer_state_dict_to_fp16 profile_ops EarlyStopping attempt_compile""",
}
"""Top-level names by file. A class stands for itself and for each of its methods."""

YAMLS = (
    "cfg/default.yaml",
    *(f"cfg/models/{folder}/yolo{folder}{kind}.yaml" for folder in ("v8", "11", "12", "26") for kind in ("", "-pose")),
)
"""Files whose keys are watched one by one."""
