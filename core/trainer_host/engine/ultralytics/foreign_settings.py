"""Settings of other frameworks and of earlier releases of the engine, with their replacements."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, advised
from trainer_host.engine.ultralytics.engine_settings import engine_comments, engine_defaults, engine_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

EXAMPLES: dict[str, Any] = {
    "model": "yolo26n.pt",
    "data": "my.yaml",
    "epochs": 100,
    "time": 1.5,
    "patience": 50,
    "batch": 16,
    "imgsz": 640,
    "save_period": 10,
    "cache": "ram",
    "device": 0,
    "workers": 4,
    "project": "mice",
    "name": "exp",
    "save_dir": "DIR",
    "optimizer": "AdamW",
    "seed": 0,
    "single_cls": True,
    "rect": True,
    "cos_lr": True,
    "close_mosaic": 10,
    "resume": "last.pt",
    "amp": True,
    "fraction": 0.5,
    "freeze": 10,
    "split": "val",
    "conf": 0.25,
    "iou": 0.7,
    "max_det": 300,
    "source": "IMAGES",
    "show": True,
    "augment": True,
    "classes": [0, 2],
    "line_width": 2,
    "show_boxes": True,
    "lr0": 0.01,
    "momentum": 0.937,
    "weight_decay": 0.0005,
    "warmup_epochs": 3.0,
    "distill_model": "teacher.pt",
    "box": 7.5,
    "cls": 0.5,
    "dfl": 1.5,
    "hsv_h": 0.015,
    "hsv_s": 0.7,
    "hsv_v": 0.4,
    "degrees": 10.0,
    "translate": 0.1,
    "scale": 0.5,
    "shear": 2.0,
    "fliplr": 0.5,
    "flipud": 0.5,
    "mosaic": 1.0,
    "mixup": 0.1,
    "copy_paste": 0.1,
}
"""Keys of the engine that have other names elsewhere, each with an example."""

SAME_MEANING: dict[str, str] = {
    "model": (
        "weights weight weights_path checkpoint checkpoint_path ckpt ckpt_path model_path model_name model_file "
        "pretrained_weights pretrained_model init_weights init_from load_from load_weights arch architecture backbone "
        "network net"
    ),
    "data": (
        "dataset datasets data_yaml dataset_yaml data_path dataset_path data_dir dataset_dir data_root dataset_name "
        "datamodule train_data yaml yaml_path data_config data_cfg"
    ),
    "epochs": (
        "n_epochs num_epochs nb_epochs nb_epoch n_epoch num_epoch max_epochs max_epoch total_epochs train_epochs "
        "num_train_epochs training_epochs epochs_num ep"
    ),
    "time": "hours max_hours train_time max_time time_limit training_time",
    "patience": (
        "early_stopping early_stop early_stopping_patience early_stop_patience es_patience stop_patience "
        "early_stopping_rounds"
    ),
    "batch": (
        "batch_size bs total_batch_size train_batch_size per_device_train_batch_size ims_per_batch imgs_per_batch "
        "images_per_batch samples_per_gpu batch_per_gpu mini_batch minibatch minibatch_size batch_images"
    ),
    "imgsz": (
        "img image_size img_size imgs_size img_sz imgsize size input_size input_shape img_dim image_dim resolution "
        "img_scale image_sz train_size test_size width height input_resolution target_size"
    ),
    "save_period": (
        "save_freq save_interval save_every save_steps save_epoch checkpoint_interval checkpoint_freq "
        "checkpoint_period checkpoint_every every_n_epochs snapshot_epoch ckpt_interval"
    ),
    "cache": "cache_images cache_image cache_ram cache_dataset ram_cache in_memory",
    "device": "gpu gpu_id cuda use_gpu use_cuda cuda_device",
    "workers": (
        "num_workers n_workers nb_workers nw dataloader_num_workers dataloader_workers data_workers workers_per_gpu "
        "loader_workers num_threads threads"
    ),
    "project": "runs_dir project_name project_dir group",
    "name": "exp_name experiment experiment_name exp run_name run_id expn version_name",
    "save_dir": (
        "save_path output_dir out_dir output output_path outdir output_folder work_dir workdir log_dir logdir "
        "log_path exp_dir run_dir default_root_dir results_dir result_dir checkpoint_dir ckpt_dir save_folder "
        "train_dir"
    ),
    "optimizer": "opt optim optimiser optimizer_type optimizer_name solver",
    "seed": "random_seed manual_seed rng_seed random_state torch_seed global_seed seed_everything",
    "single_cls": "single_class one_class class_agnostic",
    "rect": "rectangular rect_training",
    "cos_lr": "cosine cosine_lr cosine_annealing cos_schedule cosine_schedule use_cosine",
    "close_mosaic": "no_aug_epochs no_aug_epoch stop_mosaic mosaic_off_epochs disable_mosaic turn_off_mosaic",
    "resume": "resume_from resume_training resume_path resume_from_checkpoint continue_from continue_training",
    "amp": "fp16 mixed_precision use_amp precision half_precision use_fp16 autocast",
    "fraction": "subset data_fraction train_fraction limit_train_batches sample_fraction dataset_fraction",
    "freeze": "freeze_layers freeze_backbone frozen_layers num_freeze freeze_at frozen_stages freeze_n",
    "split": "eval_split val_split task_split test_split",
    "conf": (
        "conf_thres conf_thresh conf_threshold confidence confidence_threshold score_thr score_thresh score_threshold "
        "threshold min_confidence min_score box_score_thresh"
    ),
    "iou": "iou_thres iou_thresh iou_threshold iou_thr nms_iou nms_thres nms_thresh nms_threshold nms_iou_threshold",
    "max_det": "max_detections max_dets max_per_img detections_per_img topk top_k max_boxes",
    "source": "input input_path image image_path img_path video video_path images_path source_path src",
    "show": "view_img show_image display imshow",
    "augment": "tta test_time_augmentation",
    "classes": "filter_classes class_ids classes_filter",
    "line_width": "line_thickness thickness box_width linewidth",
    "show_boxes": "boxes draw_boxes",
    "lr0": (
        "lr learning_rate base_lr init_lr initial_lr initial_learning_rate max_lr lr_init start_lr lr_0 learningrate"
    ),
    "momentum": "beta1 adam_beta1 sgd_momentum optimizer_momentum",
    "weight_decay": "wd l2 decay l2_reg l2_regularization weightdecay regularization",
    "warmup_epochs": "warmup warmup_epoch num_warmup_epochs warm_up warm_up_epochs",
    "distill_model": "teacher teacher_model teacher_weights distill distillation",
    "box": "box_gain box_loss box_loss_weight box_weight box_loss_gain giou bbox_loss_weight",
    "cls": "cls_gain cls_loss cls_loss_weight cls_weight cls_loss_gain class_loss_weight",
    "dfl": "dfl_gain dfl_loss dfl_loss_weight dfl_weight",
    "hsv_h": "hue hue_shift",
    "hsv_s": "saturation sat",
    "hsv_v": "brightness value_shift exposure",
    "degrees": "rotation rotate rotation_range angle_range random_rotation",
    "translate": "translation shift shift_range width_shift_range",
    "scale": "zoom zoom_range scale_range",
    "shear": "shear_range",
    "fliplr": "flip hflip horizontal_flip flip_lr flip_prob fliph random_flip",
    "flipud": "vflip vertical_flip flip_ud flipv",
    "mosaic": "mosaic_prob mosaic_p",
    "mixup": "mixup_prob mixup_p mix_up",
    "copy_paste": "copy_paste_prob copypaste",
}
"""Names of other frameworks for these keys; the value can stay as given."""

GAIN = frozenset({"loss", "losses", "weight", "weights", "gain", "lambda", "coef", "coeff", "factor"})
"""Words that other frameworks put before or after the name of a part of the loss."""

INSTEAD: dict[str, str] = {
    "write save=False": "nosave no_save",
    "write val=False": "noval notest no_val",
    "write plots=False": "noplots no_plots",
    "write optimizer=Adam": "adam",
    "write optimizer=SGD": "sgd",
    "write amp=bf16": "bf16",
    "write device=0": "gpus gpu_ids num_gpus n_gpu n_gpus devices accelerator",
    "write show_labels=False": "hide_labels",
    "write show_conf=False": "hide_conf",
    "write quantize=16 for val and predict, amp=True for run": "half",
    "write nms=False": "end2end",
    "write deterministic=False": "cudnn_benchmark benchmark",
    "write --exact": "exact",
    "write --offline": "offline",
    "write --dry-run": "dry_run",
    "write --json": "json",
    "write --bad skip": "bad",
    "write --best-metric NAME": "best_metric monitor metric_for_best_model",
    "write --plugin NAME": "plugin plugins",
    "write --tracker NAME, such as --tracker tensorboard": "trackers logger loggers report_to",
    "write --tracker wandb": "wandb use_wandb",
    "write --tracker tensorboard": "tensorboard",
    "write --tracker mlflow": "mlflow",
    "write --tracker comet": "comet",
    "write --tracker clearml": "clearml",
    "write cls_pw=1.0: rare classes get more weight, from 0 (off) to 1 (by inverse frequency)": (
        "class_weights class_weight cls_weights cls_class_weights pos_weight weighted_loss balanced balance_classes "
        "class_balance use_class_weights image_weights cls_pos_weight"
    ),
    "write lrf=0.01: the final learning rate as a fraction of lr0": "final_lr lr_final min_lr end_lr lr_min eta_min",
    "write nbs=64: gradients accumulate over nbs / batch batches": (
        "accumulate accumulation grad_accum accumulation_steps accumulate_grad_batches gradient_accumulation_steps"
    ),
    "write epochs=100: training is counted in epochs": "iterations max_iter max_iters steps max_steps num_steps",
    "write warmup_epochs=3.0: the warm-up is counted in epochs, and fractions are fine": (
        "warmup_steps warmup_iters warmup_ratio"
    ),
    "write cos_lr=True for a cosine schedule; by default the rate falls linearly to lr0 * lrf": (
        "scheduler lr_scheduler lr_schedule schedule linear_lr"
    ),
    "write the values as settings, such as lr0=0.01, or name a settings file: trainer run exp.yaml": (
        "hyp hyps hyperparameters hyperparams hparams config config_file opts cfg_options"
    ),
}
"""Fixes for settings that the engine does differently, each with the names of other frameworks."""

NEEDLESS: dict[str, str] = {
    "Every epoch is evaluated; with val=False only the last.": (
        "val_interval val_period val_freq val_every eval_interval eval_every eval_freq eval_period eval_steps "
        "evaluation_strategy check_val_every_n_epoch val_check_interval"
    ),
    "The engine always clips gradients at a norm of 10.": (
        "grad_clip clip_grad max_norm max_grad_norm gradient_clip_val clip_grad_norm gradient_clipping"
    ),
    "The engine always keeps an EMA of the weights.": "ema ema_decay use_ema model_ema",
    "The engine's models have no anchors.": "anchors anchor anchor_t noautoanchor autoanchor",
    "The engine no longer supports it.": ("label_smoothing save_hybrid crop_fraction keras fl_gamma obj obj_pw quad"),
    "The dataset YAML defines it.": ("nc num_classes n_classes number_of_classes class_names names train test path"),
    "best.pt and last.pt are saved unless save=False.": "save_best save_best_only save_last",
    "Hyperparameter search is not supported.": "evolve tune",
    "Several processes are started by device=0,1 or --processes N.": (
        "syncbn local_rank world_size rank num_nodes nodes strategy ddp distributed"
    ),
    "Batch norms are synchronized where the device can; --no-sync-bn switches it off.": "sync_bn",
    "A model is quantized when it is exported.": "int8",
    "The command is the mode: trainer run, val, predict.": "mode",
    "Videos and streams are always read frame by frame.": "stream",
    "Tracking is not supported.": "persist track tracking",
}
"""Reasons why a setting can be removed, each with the names of other frameworks."""


def unknown_settings(
    settings: Mapping[str, Any],
    where: Callable[[str], str | None] = lambda _: None,
    of_datasets: Collection[str] = (),
) -> list[Problem]:
    """Return a problem for each setting that the engine does not have, with what to write instead.

    Args:
        settings: The settings.
        where: Returns the place of a key in a file, or None.
        of_datasets: Keys that belong in a dataset's YAML.
    """
    known = engine_keys()
    return [
        described(f"unknown setting {key!r}.", _of_dataset(key, value, of_datasets) or _instead(key, value), where(key))
        for key, value in settings.items()
        if key not in known
    ]


def described(message: str, advice: str | None, where: str | None = None) -> Problem:
    """Return a problem with advice; a setting that is not needed has the reason as its hint."""
    return Problem(message, "remove it", where, advice) if advice in NEEDLESS else advised(message, advice, where)


def _of_dataset(key: str, value: Any, of_datasets: Collection[str]) -> str | None:
    """Return what to write for a key of a dataset's YAML, or one that resembles nothing more than such a key."""
    names = {_folded(name): name for name in of_datasets}
    near = get_close_matches(_folded(key), [*names, *_names()], n=1, cutoff=0.75)
    found = names.get(near[0]) if near and _folded(key) not in _names() else None
    return f"write it in the dataset YAML: {found}: {value}" if found else None


def _of_gain(key: str) -> str | None:
    """Return the engine's key in a name such as ``cls_loss_weight`` or ``lambda_box``."""
    words = [word for word in re.split(r"[\W_]+", key.lower()) if word not in GAIN]
    return words[0] if len(words) == 1 and "loss" in engine_comments().get(words[0], "") else None


def _instead(key: str, value: Any) -> str | None:
    """Return what to write for a key: its meaning first, then the name that looks most like it."""
    names = _names()
    if names.get(_folded(key)) == "save_dir" and str(value).lower().endswith((".json", ".csv")):
        return f"write --output {value}"
    found = names.get(_folded(key))
    if found is None:  # letters that were swapped are taken for a slip, before names that merely look like it
        found = next((k for k in engine_keys() if sorted(_folded(k)) == sorted(_folded(key))), None)
    if found is None and (gain := _of_gain(key)):
        return f"write {gain}={value if type(value) in (int, float) else engine_defaults()[gain]}"
    if found is None:
        near = get_close_matches(_folded(key), names, n=1, cutoff=0.7 if len(key) > 4 else 0.75)
        found = names[near[0]] if near else None
    if found is None:
        return None
    if _folded(key) in _foreign() and found in SAME_MEANING:
        return f"write {found}={_shown(found, value)}"
    return f"Did you mean {found!r}?" if found in engine_keys() else found


def option_problem(message: str, key: str, value: Any) -> Problem | None:
    """Return a problem that says what to write for a key that was given as an option; None for an unknown name.

    Args:
        message: The message of the problem.
        key: The name, which may be a key of the engine.
        value: The value; None if there was none.
    """
    if key in engine_keys():
        return Problem(message, f"write {key}={'VALUE' if value is None else value}")
    advice = _instead(key, value) if _folded(key) in _names() else None
    return described(message, advice) if advice else None


def _shown(key: str, value: Any) -> Any:
    """Return the value if it is of the type that the engine takes for this key, else an example."""
    example = EXAMPLES[key]
    number = type(value) in (int, float) and type(example) is float
    return value if number or type(value) is type(example) else example


def _folded(name: str) -> str:
    """Return a name in lower case and without what separates its words."""
    return "".join(c for c in name.lower() if c.isalnum())


@cache
def _foreign() -> dict[str, str]:
    """Return for each foreign name, folded, the engine's key, a fix, or why it can be removed."""
    same = {_folded(name): key for key, names in SAME_MEANING.items() for name in names.split()}
    other = {
        _folded(name): text for table in (INSTEAD, NEEDLESS) for text, names in table.items() for name in names.split()
    }
    return {**same, **other}


@cache
def _names() -> dict[str, str]:
    """Return every known name, folded; keys of the engine take precedence over foreign names."""
    return {**_foreign(), **{_folded(key): key for key in engine_keys()}}
