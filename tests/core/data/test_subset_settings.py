"""Classes, fractions and splits that a dataset does not have, or of which nothing is left to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import trainer_host
from tests.support.command import command
from tests.support.yolo_datasets import examined, label, make
from trainer_host import SettingsError
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.data.subset_settings import check_selection, chosen_classes, class_names, images_used, share_of
from trainer_host.plugin.registry import Registry
from trainer_host.session.dataset_check import prepare

QUICK: dict[str, Any] = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 2, "plots": False, "val": False}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of 10 and 10 images; train has the classes 0 and 1, the first 3 none, and val the class 0."""
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    made = make(tmp_path / "data", 10, names=["one", "two", "three"])
    for number in range(10):
        label(tmp_path / f"data/labels/train/{number}.txt", f"{number % 2} .5 .5 .2 .2\n" if number > 2 else "")
        label(tmp_path / f"data/labels/val/{number}.txt")
    return made


def selected(data: Path, *used: str, **settings: Any) -> list[str]:
    """Return the warnings about what settings leave of the splits that are used."""
    request = Request.of("check", {**settings, "data": str(data)}, task="detect")
    _, ctx, _ = prepare(request, Registry.installed(), NullReporter())
    read = examined(data, "detect", **settings)
    return [f"{f.split}: {f.message}" for f in check_selection(read, ctx.args, used or ("train", "val"))]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"classes": [7]}, "classes=[7]: the dataset has no class 7. Fix: choose from 0 (one), 1 (two), 2 (three)"),
        ({"classes": (0, 7, 9)}, "classes=[0,7,9]: the dataset has no class 7, 9."),
        ({"classes": 3}, "classes=3: the dataset has no class 3."),
        ({"classes": [3], "single_cls": True}, "the dataset has no class 3. Fix: choose from 0 (one), 1 (two)"),
        ({"classes": 2}, "no labels remain in train with classes=2, so there is nothing to train on."),
        ({"classes": [2], "single_cls": True}, "Fix: choose classes that train has: 0, 1"),
        ({"fraction": 0.001}, "with fraction=0.001, which keeps 1 of 10 images, so there is nothing to train on."),
        ({"fraction": 3}, "fraction=3, which keeps 3 of 10 images"),
        ({"fraction": [0.3, 0.5]}, "Fix: set a larger fraction"),
        ({"fraction": 0.4, "classes": 0}, "with classes=0 and fraction=0.4, which keeps 4 of 10 images"),
        ({"fraction": 0.4, "classes": 0}, "Fix: choose classes that train has: 1 (two)"),
    ],
)
def test_what_leaves_nothing_to_train_on_is_refused(data: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        selected(data, **settings)
    assert said in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        trainer_host.run("detect", data=data, **QUICK, **settings)
    assert said in str(refused.value)
    assert not list(Path("runs").rglob("*.yaml"))
    with pytest.raises(SettingsError):
        trainer_host.check(data, task="detect", **settings)


def test_a_validation_without_a_label_is_reported(data: Path) -> None:
    reported = "val: no labels remain in val with classes=[1], so its metrics are 0."
    assert selected(data, classes=[1]) == [reported]
    assert selected(data, "train", classes=[1]) == []
    reported = "classes=[1] and fraction=0.1, which keeps 1 of 10 images, so its metrics are 0."
    assert reported in selected(data, "val", fraction=[1.0, 0.1], classes=[1])[0]
    found = [f for f in trainer_host.check(data, task="detect", classes=[1]).findings if f.split == "val"]
    assert [(f.code, f.severity) for f in found] == [("selection-unlabelled", "warning")]
    assert found[0].fix == "choose classes that val has: 0 (one)"


@pytest.mark.parametrize("settings", [{}, {"classes": [0, 1]}, {"classes": 0}, {"fraction": 0.4}, {"fraction": 4}])
def test_what_leaves_labels_passes(data: Path, settings: dict[str, Any]) -> None:
    assert selected(data, **settings) == []


def test_a_split_that_the_dataset_does_not_have_is_refused(data: Path) -> None:
    with pytest.raises(SettingsError, match="split=foo is not valid"):
        trainer_host.run("detect", data=data, **QUICK, split="foo")


def test_images_are_counted_as_the_engine_counts_them() -> None:
    from ultralytics.data.utils import get_split_fraction

    for fraction in (0.001, 0.25, 0.5, 1.0, 1, 3, 99, [0.5, 0.2], [2, 1, 0], [1.0, 3, 0.4]):
        for split in ("train", "val", "test"):
            assert share_of(fraction, split) == get_split_fraction(fraction, split)
            assert type(share_of(fraction, split)) is type(get_split_fraction(fraction, split))
    assert [images_used(share, 10) for share in (0.001, 0.25, 1.0, 3, 99)] == [1, 2, 10, 3, 10]


@pytest.mark.parametrize("value", [None, "cat", [], [1.5], ["cat"], True])
def test_what_is_no_choice_of_numbers_is_left_to_the_check_of_settings(value: Any) -> None:
    assert chosen_classes(value) is None
    assert class_names(value if isinstance(value, str) else {"a": "b"}) == {}


def test_the_command_refuses_classes_in_one_line(data: Path) -> None:
    done = command("check", str(data), "--task", "detect", "classes=[7]", "--json", cwd=data.parent)
    assert done.code == 3
    assert "the dataset has no class 7" in done.err
    assert done.json["error"]
    done = command("check", str(data), "--task", "detect", "classes=cat", cwd=data.parent)
    assert (done.code, len(done.problems)) == (3, 1)
