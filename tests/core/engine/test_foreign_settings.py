"""Settings of other frameworks: each gets the engine's key of the same meaning, whatever door it comes through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainer_host
from tests.support.command import Done
from trainer_host.engine.ultralytics.engine_settings import engine_keys
from trainer_host.engine.ultralytics.foreign_settings import (
    EXAMPLES,
    INSTEAD,
    NEEDLESS,
    SAME_MEANING,
    unknown_settings,
)

TABLES = (SAME_MEANING, INSTEAD, NEEDLESS)
FOREIGN = [name for table in TABLES for names in table.values() for name in names.split()]


def reported(key: str, value: Any) -> str:
    (problem,) = unknown_settings({key: value})
    return str(problem)


def test_the_table_is_sound() -> None:
    assert EXAMPLES.keys() == SAME_MEANING.keys() <= engine_keys()
    assert not engine_keys() & {*FOREIGN}, "a key of the engine is not foreign"
    assert [name for name, count in Counter(FOREIGN).items() if count > 1] == []


@pytest.mark.usefixtures("engine")
def test_examples_are_valid() -> None:
    from trainer_host.engine.ultralytics.settings_validation import check_values

    assert check_values(EXAMPLES) == []


@pytest.mark.parametrize(
    ("key", "value", "write"),
    [
        ("img_size", 320, "imgsz=320"),
        ("img", 640, "imgsz=640"),
        ("weights", "a.pt", "model=a.pt"),
        ("learning_rate", 0.1, "lr0=0.1"),
        ("lr", 1, "lr0=1"),
        ("batch_size", 4, "batch=4"),
        ("batch-size", 4, "batch=4"),
        ("batchSize", 4, "batch=4"),
        ("num_epochs", 3, "epochs=3"),
        ("max_epochs", 3, "epochs=3"),
        ("gpus", 2, "device=0"),
        ("num_workers", 2, "workers=2"),
        ("early_stopping", True, "patience=50"),
        ("early_stopping", 5, "patience=5"),
        ("output_dir", "out", "save_dir=out"),
        ("EPOCHS", 3, None),
        ("conf_thres", 0.5, "conf=0.5"),
        ("half", True, "quantize=16"),
        ("dry_run", True, "--dry-run"),
        ("class_weights", [1, 2], "cls_pw=1.0: "),
        ("hyp", "hyp.yaml", "the values as settings"),
    ],
)
def test_the_meaning_is_named(key: str, value: Any, write: str | None) -> None:
    expected = f"Fix: write {write}" if write else "Did you mean 'epochs'?"
    assert reported(key, value).startswith(f"unknown setting {key!r}. {expected}")


@pytest.mark.parametrize(
    ("key", "near"),
    [("epohcs", "epochs"), ("patiance", "patience"), ("learning_rat", "lr0"), ("Close-Mosaic", "close_mosaic")],
)
def test_a_misspelling_is_recognised(key: str, near: str) -> None:
    assert reported(key, 1).endswith(f"Did you mean {near!r}?")


@pytest.mark.parametrize(
    ("key", "write"),
    [
        ("cls_weight", "cls=3"),
        ("box_loss_gain", "box=3"),
        ("lambda_dfl", "dfl=3"),
        ("pose_weight", "pose=3"),
        ("kobj_loss", "kobj=3"),
    ],
)
def test_the_gain_of_a_part_of_the_loss_is_named(key: str, write: str) -> None:
    assert reported(key, 3) == f"unknown setting {key!r}. Fix: write {write}"


@pytest.mark.parametrize("words", [["run", "--dry-run"], ["val", "model=best.pt"], ["check", "my.yaml"]])
def test_keys_of_a_dataset_belong_in_its_yaml(trainer: Callable[..., Done], words: list[str]) -> None:
    for key, meant in (("kpt_shape", "kpt_shape"), ("oks_sigmas", "kpt_oks_sigmas"), ("flip-idx", "flip_idx")):
        done = trainer(*words, "--task", "pose", f"{key}=[1,2]")
        reported = f"unknown setting {key!r}. Fix: write it in the dataset YAML: {meant}: [1, 2]"
        assert (done.code, reported in done.problems) == (3, True), done.err


def test_what_resembles_nothing_gets_no_advice() -> None:
    assert reported("xyzzy", 1) == "unknown setting 'xyzzy'."


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--task", "pose", "--dry-run"],
        ["run", "exp.yaml", "--dry-run"],
        ["val", "model=best.pt"],
        ["predict", "model=best.pt", "source=images"],
        ["check", "my.yaml", "--task", "pose"],
    ],
)
def test_every_command_says_so(trainer: Callable[..., Done], words: list[str]) -> None:
    Path("exp.yaml").write_text("task: pose\nbatch_size: 8\n", encoding="utf-8")
    Path("images").mkdir()
    given = [] if "exp.yaml" in words else ["batch_size=8"]
    done = trainer(*words, *given)
    (problem,) = done.problems
    assert (done.code, problem.removeprefix("exp.yaml:2: ")) == (3, "unknown setting 'batch_size'. Fix: write batch=8")


@pytest.mark.usefixtures("engine")
def test_python_says_so() -> None:
    with pytest.raises(trainer_host.SettingsError, match=r"'num_epochs'\. Fix: write epochs=3"):
        trainer_host.run("pose", num_epochs=3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--epochs", "3"], "--epochs. Settings are written without dashes. Fix: write epochs=3"),
        (["run", "--epochs=3"], "Settings are written without dashes. Fix: write epochs=3"),
        (["run", "--batch-size", "8", "--json"], "Settings are written without dashes. Fix: write batch=8"),
        (["run", "--weights", "a.pt"], "Settings are written without dashes. Fix: write model=a.pt"),
        (["val", "--conf-thres", "0.5"], "Settings are written without dashes. Fix: write conf=0.5"),
        (["predict", "--nosave"], "Settings are written without dashes. Fix: write save=False"),
        (["check", "--data", "my.yaml"], "Settings are written without dashes. Fix: write data=my.yaml"),
        (["run", "--loggers", "x"], "--loggers. Fix: write --tracker NAME"),
        (["run", "--epochs"], "Settings are written without dashes. Fix: write epochs=VALUE"),
    ],
)
def test_an_option_that_is_a_setting_is_explained(trainer: Callable[..., Done], words: list[str], said: str) -> None:
    done = trainer(*words)
    assert done.code == 2
    assert said in " ".join(done.err.split()).replace("'", "")  # which some releases of click put around an option
    if "--json" in words:
        assert said in done.json["problems"][0]["message"]


def test_an_option_that_means_nothing_is_unknown(trainer: Callable[..., Done]) -> None:
    done = trainer("run", "--xyzzy", "1")
    assert (done.code, "dashes" in done.err) == (2, False)
