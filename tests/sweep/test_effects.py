"""The table of the engine's settings against what happens: settings that count are read, others are reported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ultralytics.utils import IterableSimpleNamespace

from tests.support.command import Done
from tests.sweep.conftest import Tiny
from trainer_host.engine.protocol import Command
from trainer_host.engine.ultralytics.engine_settings import engine_keys
from trainer_host.engine.ultralytics.setting_effects import COMMANDS, effect_of

Trainer = Callable[..., Done]

BY_THE_HOST = {
    *("model", "data", "source", "project", "name", "exist_ok", "save_dir", "save_period", "classes"),
    *("save", "save_txt", "save_conf", "save_crop", "save_frames"),
    *("show_labels", "show_conf", "show_boxes", "line_width", "batch", "vid_stride", "stream_buffer"),
}
"""Settings that the host reads, or reads itself in some commands."""
RARE = {
    "dis": "needs a teacher",
    "rle": "needs a model that estimates likelihoods",
    "warmup_momentum": "is for optimizers with a momentum",
    "warmup_bias_lr": "is not for the automatic optimizer",
    "auto_augment": "is for classification",
    "copy_paste": "needs masks",
}
"""Settings that only some trainings read."""


@pytest.mark.train
@pytest.mark.parametrize("name", COMMANDS)
def test_settings_that_count_are_read(
    trainer: Trainer, tiny: Tiny, name: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()

    def noticing(self: Any, key: str) -> Any:
        caller = Path(sys._getframe(1).f_code.co_filename)
        if caller.parent.name != "cfg":  # which looks at all of them
            read.add(key)
        return object.__getattribute__(self, key)

    monkeypatch.setattr(IterableSimpleNamespace, "__getattribute__", noticing)
    words = list(getattr(tiny, name))
    if name != "predict":
        words = [w for w in words if w != "plots=False"] + ["save_txt=True", "save_conf=True", "conf=0.0001"]
    done = trainer(*words)
    assert done.code == 0, done.err
    used = {key for key in engine_keys() if effect_of(key, name, "pose").kind == "used"}
    assert used - read <= BY_THE_HOST | set(RARE)


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("val", "epochs=5", "epochs=5 has no effect in trainer val: it is a setting of training."),
        ("val", "save=False", "save=False has no effect in trainer val"),
        ("val", "save_conf=True", "save_conf=True has no effect: no text files are written. Fix: add save_txt=True"),
        ("run", "angle=3", "angle=3 has no effect in trainer run: only obb tasks use it."),
        ("run", "warmup_bias_lr=0.2", "warmup_bias_lr=0.2 has no effect: optimizer=auto chooses its own."),
        ("run", "source=0", "source=0 has no effect in trainer run: it is a setting of prediction. Fix: data= names"),
        ("run", "time=1", "epochs=1 has no effect: time= decides how long to train."),
        ("predict", "data=x.yaml", "data=x.yaml has no effect in trainer predict"),
        ("predict", "mosaic=0.5", "mosaic=0.5 has no effect in trainer predict: it is a setting of training."),
        ("predict", "format=onnx", "format=onnx has no effect in trainer predict: it is a setting of export."),
        ("predict", "retina_masks=True", "only segment tasks use it."),
    ],
)
def test_settings_without_an_effect_are_reported(
    trainer: Trainer, tiny: Tiny, name: str, setting: str, said: str
) -> None:
    done = trainer(*getattr(tiny, name), setting, *(["--dry-run"] if name == "run" else []))
    assert done.code == 0, done.err
    assert [said in line for line in done.err.splitlines() if line.startswith("Warning: ")].count(True) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_engines_defaults_are_never_reported(trainer: Trainer, tiny: Tiny, name: str) -> None:
    done = trainer(*getattr(tiny, name), "epochs=100", "show=False", "workers=8", "format=torchscript", "epoch=1")
    assert [line for line in done.err.splitlines() if "no effect" in line or "not supported" in line] == []


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("run", "cfg=other.yaml", "name the settings file itself: trainer run other.yaml"),
        ("predict", "show=True", "trainer predict opens no windows"),
        ("predict", "embed=[1]", "trainer predict returns detections, not features"),
        ("predict", "tracker=botsort.yaml", "objects are not tracked over frames"),
        ("val", "cfg=other.yaml", "give the settings themselves"),
    ],
)
def test_settings_that_ask_for_what_is_not_done_are_refused(
    trainer: Trainer, tiny: Tiny, name: str, setting: str, said: str
) -> None:
    done = trainer(*getattr(tiny, name), setting)
    assert done.code == 3
    assert len(done.problems) == 1
    assert said in done.problems[0]
