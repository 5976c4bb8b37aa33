"""What a training inherits from the engine: functions, classes and constants that decide the weights it gives."""

from __future__ import annotations

WATCHED: dict[str, str] = {
    "cfg/__init__.py": """
        CFG_BOOL_KEYS CFG_FLOAT_KEYS CFG_FRACTION_KEYS CFG_INT_KEYS CFG_INT_MIN CFG_STR_KEYS cfg2dict check_cfg
        check_dict_alignment get_cfg _handle_deprecation""",
    "data/augment.py": """
        BaseTransform Compose BaseMixTransform Mosaic MixUp CutMix RandomPerspective RandomHSV RandomFlip LetterBox
        CopyPaste Albumentations Format v8_transforms""",
    "data/base.py": "BaseDataset",
    "data/build.py": "InfiniteDataLoader _RepeatSampler seed_worker build_yolo_dataset build_dataloader",
    "data/dataset.py": "YOLODataset",
    "data/utils.py": """
        IMG_FORMATS check_file_speeds check_image exif_size get_split_fraction img2label_paths verify_image
        verify_image_label""",
    "engine/trainer.py": "BaseTrainer",
    "engine/validator.py": "BaseValidator",
    "models/yolo/detect/train.py": "DetectionTrainer",
    "models/yolo/detect/val.py": "DetectionValidator",
    "models/yolo/pose/train.py": "PoseTrainer",
    "models/yolo/pose/val.py": "PoseValidator",
    "nn/distill_model.py": "DistillationModel FeatureHook",
    "nn/modules/block.py": """
        A2C2f AAttn ABlock AConv ADown Attention Bottleneck BottleneckCSP C1 C2 C2PSA C2f C2fCIB C2fPSA C3 C3Ghost
        C3TR C3k C3k2 C3x CBFuse CBLinear CIB DFL ELAN1 GhostBottleneck HGBlock HGStem PSA PSABlock RealNVP
        RepBottleneck RepC3 RepCSP RepNCSPELAN4 RepVGGDW ResNetBlock ResNetLayer SCDown SPP SPPELAN SPPF TorchVision""",
    "nn/modules/conv.py": """
        Concat Conv Conv2 ConvTranspose DWConv DWConvTranspose2d Focus GhostConv Index LightConv RepConv autopad""",
    "nn/modules/head.py": "Detect Pose Pose26 v10Detect",
    "nn/modules/transformer.py": "AIFI TransformerBlock TransformerEncoderLayer TransformerLayer",
    "nn/tasks.py": """
        BaseModel _initialize_yolo_model DetectionModel PoseModel parse_model yaml_model_load guess_model_scale
        load_checkpoint""",
    "optim/muon.py": "zeropower_via_newtonschulz5 muon_update MuSGD",
    "utils/__init__.py": "NUM_THREADS IterableSimpleNamespace",
    "utils/autobatch.py": "check_train_batch_size autobatch",
    "utils/checks.py": "check_amp check_imgsz check_version parse_version",
    "utils/instance.py": "_formats _ntuple to_4tuple Bboxes Instances",
    "utils/loss.py": """
        DFLoss BboxLoss RLELoss KeypointLoss v8DetectionLoss v8PoseLoss PoseLoss26 E2EDetectLoss E2ELoss""",
    "utils/metrics.py": """
        OKS_SIGMA RLE_WEIGHT bbox_ioa box_iou bbox_iou kpt_iou smooth_bce smooth compute_ap _AP_X _TRAPZ ap_per_class
        Metric DetMetrics PoseMetrics""",
    "utils/nms.py": "non_max_suppression TorchNMS",
    "utils/ops.py": """
        _assignment_solver _linear_sum_assignment_numpy clip_boxes clip_coords empty_like linear_sum_assignment
        ltwh2xywh ltwh2xyxy make_divisible resample_segments scale_boxes scale_coords segment2box segments2boxes
        xywh2ltwh xywh2xyxy xywhn2xyxy xyxy2ltwh xyxy2xywh xyxy2xywhn""",
    "utils/patches.py": "PIL_FALLBACK_SUFFIXES _imread_pil imread override_configs",
    "utils/tal.py": "TaskAlignedAssigner PoseTaskAlignedAssigner make_anchors dist2bbox bbox2dist",
    "utils/torch_utils.py": """
        EarlyStopping ModelEMA attempt_compile autocast convert_optimizer_state_dict_to_fp16 copy_attr
        fuse_conv_and_bn fuse_deconv_and_bn init_seeds initialize_weights intersect_dicts is_qat one_cycle
        parse_device prepare_qat profile_ops qat_state restore_qat scale_img select_device smart_inference_mode
        strip_optimizer strip_qat torch_distributed_zero_first unset_deterministic unwrap_model""",
}
"""Top-level names by file. A class stands for itself and for each of its methods."""

YAMLS = (
    "cfg/default.yaml",
    *(f"cfg/models/{folder}/yolo{folder}{kind}.yaml" for folder in ("v8", "11", "12", "26") for kind in ("", "-pose")),
)
"""Files whose keys are watched one by one."""

WITHOUT_EFFECT: dict[str, str] = {
    # The version differs in every release; the keys of the default settings are watched in their file.
    "__init__.py": "__version__",
    "utils/__init__.py": """
        ARM64 ASSETS DEFAULT_CFG DEFAULT_CFG_DICT DEFAULT_CFG_KEYS DEFAULT_CFG_PATH DataExportMixin FLOAT_OR_INT GIT
        LINUX LOCAL_RANK LOGGER MACOS NOT_MACOS14 PYTHON_VERSION RANK SETTINGS STR_OR_PATH SimpleClass TORCH_VERSION
        WEIGHTS_DIR WINDOWS YAML clean_url colorstr deprecation_warn emojis""",
    "utils/torch_utils.py": """
        MODELOPT_REQUIREMENTS TORCH_1_10 TORCH_1_11 TORCH_1_13 TORCH_2_0 TORCH_2_13 TORCH_2_2 TORCH_2_3 TORCH_2_4
        TORCH_2_5 TORCH_1_9 TORCH_2_7 cuda_memory_usage get_cpu_info get_gpu_info get_torch_device_backend model_info
        time_sync""",
    "utils/autodevice.py": "GPUInfo",
    "utils/ops.py": "Profile xyxyxyxy2xywhr",
    # Other tasks than detection and pose, and exports of models.
    "cfg/__init__.py": "CLI_HELP_MSG QUANTIZE_ALIASES QUANTIZE_DOCS_URL QUANTIZE_VALID_VALUES get_save_dir",
    "data/augment.py": "RandomLoadText SemanticFormat",
    "data/dataset.py": """
        DATASET_CACHE_VERSION DepthDataset PolygonSemanticDataset SemanticDataset YOLOMultiModalDataset""",
    "nn/autobackend.py": "AutoBackend",
    "nn/modules/block.py": "C2fAttn ImagePoolingAttn",
    "nn/modules/head.py": """
        Classify Depth OBB OBB26 RTDETRDecoder Segment Segment26 SemanticSegment WorldDetect YOLOEDetect YOLOESegment
        YOLOESegment26""",
    # Finding, fetching and caching files, which the host does itself.
    "data/utils.py": """
        FORMATS_HELP_MSG HELP_URL _exif_jpeg _replace_image add_polygon_background check_cls_dataset
        check_det_dataset convert_ndjson_to_yolo_if_needed get_hash load_dataset_cache_file polygons2masks
        polygons2masks_overlap save_dataset_cache_file""",
    "models/yolo/model.py": "YOLO",
    "nn/tasks.py": "_SafeLoad guess_model_task torch_safe_load",
    "utils/checks.py": """
        REMOTE_FILE_PREFIXES check_file check_model_file_from_stem check_requirements check_yaml print_args""",
    "utils/files.py": "get_latest_run",
    "utils/patches.py": "torch_load",
    # Several processes, which the host refuses.
    "data/build.py": "ContiguousDistributedSampler",
    "utils/dist.py": "ddp_cleanup generate_ddp_command",
    # Plots, tables and progress.
    "data/converter.py": "coco80_to_coco91_class",
    "engine/results.py": "Results",
    "utils/callbacks/base.py": "add_integration_callbacks default_callbacks get_default_callbacks",
    "utils/metrics.py": "ConfusionMatrix batch_probiou plot_mc_curve plot_pr_curve",
    "utils/plotting.py": "plot_images plot_labels plot_results",
    "utils/tqdm.py": "TQDM",
}
"""What watched definitions use, and what does not change the weights of a detection or pose training."""
