"""The commands that use a setting of the engine, and the answer to a setting that a command does not use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from trainer_host.base.errors import Problem
from trainer_host.engine.ultralytics.engine_settings import engine_comments, engine_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trainer_host.engine.protocol import Command, Lacking

COMMANDS: tuple[Command, ...] = ("run", "val", "predict")

_USED: dict[str, str] = {
    "run val predict": """
        model project name exist_ok save_dir device imgsz batch compile channels_last verbose
        conf iou max_det agnostic_nms classes augment nms rect
    """,
    "run val": "data split cache workers fraction single_cls plots save_json save_txt save_conf visualize",
    "val predict": "quantize",
    "run predict": "save",
    "run": """
        epochs time patience save_period pretrained cls_remap optimizer seed deterministic cos_lr close_mosaic amp
        freeze multi_scale val lr0 lrf momentum weight_decay warmup_epochs warmup_momentum warmup_bias_lr
        distill_model dis box cls cls_pw dfl nbs hsv_h hsv_s hsv_v degrees translate scale shear perspective
        flipud fliplr bgr mosaic mixup cutmix copy_paste copy_paste_mode auto_augment erasing augmentations resume
    """,
    "predict": """
        source vid_stride stream_buffer retina_masks save_frames save_txt save_conf save_crop
        show_labels show_conf show_boxes line_width
    """,
    "none": "cfg profile dnn embed show tracker format optimize dynamic simplify opset workspace",
}
"""Settings by the commands that use them. Settings that a comment of the engine gives to one kind of task are
training settings and not listed."""

_SEVERAL_KINDS = {
    "copy_paste": frozenset({"segment", "semantic", "obb"}),
    "copy_paste_mode": frozenset({"segment", "semantic", "obb"}),
    "auto_augment": frozenset({"classify"}),
    "erasing": frozenset({"classify"}),
    "retina_masks": frozenset({"segment"}),
}
"""Kinds of task that use a setting whose comment in the engine has another form than ``(KIND tasks)``."""

OF_LOADING = frozenset({"device", "quantize", "compile", "channels_last", "nms"})
"""Settings that change the model itself when it is made ready to compute."""

_REFUSED: dict[tuple[str, Command], tuple[str, str]] = {
    ("cfg", "run"): ("is not supported", "name the settings file itself: trainer run {value}"),
    ("cfg", "val"): ("is not supported", "give the settings themselves, such as imgsz=640"),
    ("cfg", "predict"): ("is not supported", "give the settings themselves, such as imgsz=640"),
    ("embed", "predict"): (
        "is not supported: trainer predict returns detections, not features",
        "use YOLO('best.pt').embed(source) of ultralytics",
    ),
    ("show", "predict"): (
        "is not supported: trainer predict opens no windows",
        "remove it, and open the pictures in the result folder",
    ),
    ("visualize", "predict"): ("is not supported: trainer predict draws no heatmaps", "remove it"),
    ("tracker", "predict"): (
        "is not supported: objects are not tracked over frames",
        "use YOLO('best.pt').track(source) of ultralytics",
    ),
}
"""Settings that ask for a result which the command cannot give: the reason and the fix."""

_INSTEAD: dict[tuple[str, Command], str] = {
    ("save", "val"): "plots=False writes no plots",
    ("plots", "predict"): "save=False writes no pictures",
    ("data", "predict"): "source= names the images",
    ("save_json", "predict"): "--output FILE.json writes the predictions",
    ("source", "run"): "data= names the dataset",
    ("source", "val"): "data= names the dataset",
    ("quantize", "run"): "amp= sets the precision of a training",
    ("amp", "val"): "quantize=16 evaluates in half precision on a GPU",
    ("amp", "predict"): "quantize=16 predicts in half precision on a GPU",
    ("tracker", "run"): "--tracker NAME switches an experiment tracker on",
    ("workers", "predict"): "batch= is the number of images predicted together",
    ("val", "val"): "trainer val always evaluates",
}
"""Fixes for settings that a command does not use."""

_REASONS = {
    **dict.fromkeys(("format", "optimize", "dynamic", "simplify", "opset", "workspace"), "it is a setting of export"),
    "dnn": "it is a setting for exported models",
    "profile": "it is a setting for exported models",
    "embed": "it is a setting of prediction",
    "show": "it is a setting of prediction",
    "tracker": "it is a setting of tracking",
}
"""Reasons why no command uses a setting."""

ON_RESUME = {
    **dict.fromkeys(("epochs", "patience", "time", "device"), True),
    **dict.fromkeys(("workers", "plots", "save_period", "verbose"), False),
    "data": False,  # the same dataset in another place: another one is refused by its fingerprint
}
"""Settings that may change when a run is resumed, and whether they change its result."""

_WITH_MOMENTUM = frozenset({"auto", "sgd", "musgd", "rmsprop"})
"""Optimizers with a momentum, in the engine's sense; ``auto`` may choose one of them."""
_CHOSEN = ("lr0", "momentum", "warmup_bias_lr")
"""Settings that ``optimizer=auto`` chooses itself."""
_NEEDS: tuple[tuple[str, Callable[[Mapping[str, Any]], Any], str, str | None], ...] = (
    (" ".join(_CHOSEN), lambda s: str(s["optimizer"]).lower() != "auto", "optimizer=auto chooses its own",
     "write optimizer={suited}"),
    ("warmup_momentum", lambda s: str(s["optimizer"]).lower() in _WITH_MOMENTUM,
     "the optimizer has no momentum to warm up", None),
    ("warmup_momentum warmup_bias_lr", lambda s: s["warmup_epochs"] > 0, "warmup_epochs is 0", None),
    ("close_mosaic", lambda s: s["mosaic"] > 0, "mosaic is 0", None),
    ("mosaic mixup cutmix", lambda s: not s["rect"], "rect=True trains without it", None),
    ("dis", lambda s: s["distill_model"], "no teacher is set", "add distill_model=FILE.pt"),
    ("epochs", lambda s: not s["time"], "time= decides how long to train", None),
    ("save_period", lambda s: s["save"], "save=False writes checkpoints after the last epoch only", None),
    ("save_conf", lambda s: s["save_txt"], "no text files are written", "add save_txt=True"),
    ("iou agnostic_nms", lambda s: s["nms"] is not False, "nms=False predicts without NMS", None),
    ("quantize", lambda s: str(s["quantize"]).lower() in {"16", "fp16", "32", "fp32"},
     "a .pt file computes with 16 or 32 bits", "quantize=16 for half precision on a GPU"),
    ("project name exist_ok", lambda s: not s["save_dir"], "save_dir= names the folder", None),
)  # fmt: skip
"""Settings that have an effect only together with others: the condition on all settings, the reason, the fix."""
_OF_SGD = 0.005
"""Least ``lr0`` that is one for SGD: the engine's own choices are 0.01 for SGD and 0.001 for Adam."""


_ABOUT: dict[Lacking, tuple[str, str]] = {
    "video": ("vid_stride save_frames", "the source has images only"),
    "stream": ("stream_buffer", "the source is not a stream"),
    "files": ("project name exist_ok save_dir", "no file is written"),
}
"""Settings about something that a prediction may lack: the settings, and the reason."""


@dataclass(frozen=True)
class Effect:
    """The effect of a setting in a command.

    Attributes:
        kind: Whether it is used, accepted without an effect, or refused.
        why: The reason if it is not used.
        fix: What to give instead, or None.
    """

    kind: Literal["used", "unused", "refused"]
    why: str = ""
    fix: str | None = None


@cache
def _commands_of() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for commands, keys in _USED.items():
        for key in keys.split():
            found[key] = found.get(key, frozenset()) | (frozenset(commands.split()) - {"none"})
    return found


@cache
def kinds_of_task(key: str) -> frozenset[str]:
    """Return the kinds of task that alone use a setting, by the engine's comment on it; empty if all do."""
    found = re.search(r"\((\w+) (?:tasks|only)\)", engine_comments().get(key, ""))
    return _SEVERAL_KINDS.get(key) or frozenset({found[1]} if found else ())


def effect_of(key: str, command: Command, kind: str | None = None) -> Effect:
    """Return the effect of a setting in a command.

    Args:
        key: A setting of the engine.
        command: The command.
        kind: The engine's kind of the task, or None if the engine does not know it.
    """
    if (key, command) in _REFUSED:
        return Effect("refused", *_REFUSED[key, command])
    default = frozenset({"run"})  # a setting of a newer engine release is taken for one of training
    users = _commands_of().get(key, default)
    fix = _INSTEAD.get((key, command))
    if command in users:
        kinds = kinds_of_task(key)
        if kind is None or not kinds or kind in kinds:
            return Effect("used")
        return Effect("unused", f"only {_listed(sorted(kinds))} tasks use it", fix)
    names = {"run": "training", "val": "evaluation", "predict": "prediction"}
    where = _listed([names[c] for c in COMMANDS if c in users])
    return Effect("unused", _REASONS.get(key) or f"it is a setting of {where}", fix)


def _plural(reason: str) -> str:
    return (
        reason.replace("it is a setting of", "they are settings of")
        .replace("it is a setting for", "they are settings for")
        .replace("tasks use it", "tasks use them")
        .replace("trains without it", "trains without them")
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _suited_optimizer(settings: Mapping[str, Any]) -> str:
    """Return an optimizer for which the given settings make sense, all of them."""
    rate = settings.get("lr0", 0)
    return "SGD" if "warmup_momentum" in settings or (isinstance(rate, float) and rate >= _OF_SGD) else "AdamW"


def unused_settings(
    settings: Mapping[str, Any],
    command: Command,
    kind: str | None,
    where: Callable[[str], str | None],
    lacking: Collection[Lacking] = (),
) -> tuple[list[Problem], list[Problem]]:
    """Return what to refuse and what to warn of, for settings that a command does not use.

    A setting at the engine's default is neither: a file with all settings of another run stays usable. Except for a
    learning rate that is not from a file: ``optimizer=auto`` would replace it all the same.

    Args:
        settings: Known settings of the engine.
        command: The command.
        kind: The engine's kind of the task, or None if it is not known.
        where: Returns the file and line of a setting, or None.
        lacking: What the command does without.
    """
    idle = {key: _ABOUT[what][1] for what in lacking for key in _ABOUT[what][0].split()}
    refused: list[Problem] = []
    unused: dict[tuple[str, str | None], list[str]] = {}
    every = {"save_dir": None, **engine_defaults(), **settings}
    for key, value in settings.items():
        if value == engine_defaults().get(key) and (key not in _CHOSEN or where(key) is not None):
            continue
        effect = effect_of(key, command, kind)
        shown = f"{key}={value}"
        if effect.kind == "refused" and value not in (None, False):
            file = "last.pt" if value is True else value
            fix = f"{(effect.fix or '').format(value=value, file=file)}"
            refused.append(Problem(f"{shown} {effect.why}.", fix, where(key)))
        elif effect.kind == "unused":
            reason = f" in trainer {command}: {effect.why}."
            unused.setdefault((reason, effect.fix), []).append(key)
        elif value and key in idle:
            unused.setdefault((f": {idle[key]}.", None), []).append(key)
        elif value and (missing := next((n for n in _NEEDS if key in n[0].split() and not n[1](every)), None)):
            unused.setdefault((f": {missing[2]}.", missing[3]), []).append(key)
    return refused, [
        Problem(
            f"{_listed([f'{k}={settings[k]}' for k in keys])} {'has' if len(keys) == 1 else 'have'} no effect"
            f"{reason if len(keys) == 1 else _plural(reason)}",
            fix.replace("{suited}", _suited_optimizer(settings)) if fix else None,
            where(keys[0]),
        )
        for (reason, fix), keys in unused.items()
    ]
