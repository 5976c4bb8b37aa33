"""Trainings on what the host has read: nothing is written next to the images, and nothing there is trusted."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trainer_host
from tests.support.command import process
from tests.support.sample_datasets import pose_dataset
from tests.support.training import ROOT, differences, train
from tests.support.yolo_datasets import examined
from trainer_host.base.reporting import NullReporter

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"model": "yolo11n-pose.yaml", "imgsz": 32, "epochs": 1, "batch": 4, "plots": False}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the host's caches."""
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("drawn"), images=8)


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawn.parent, tmp_path / "data")
    return tmp_path / "data" / drawn.name


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.sprung), "w")


def images_of(data: Path, split: str = "train") -> list[Path]:
    return sorted((data.parent / "images" / split).glob("*.*"))


def lay_traps(data: Path, sprung: Path) -> None:
    """Put next to images and labels what the engine would load: wrong pixels, and caches that run code."""
    for image in [*images_of(data), *images_of(data, "val")]:
        np.save(image.with_suffix(".npy"), np.zeros((40, 40, 3), np.uint8))
    for split in ("train", "val"):
        (data.parent / "labels" / f"{split}.cache").write_bytes(pickle.dumps(Trap(sprung)))


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return rights, time and content of everything in a folder."""
    found = {}
    for place in sorted(folder.rglob("*")):
        facts = place.lstat()
        digest = hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ""
        found[str(place.relative_to(folder))] = (facts.st_mode, facts.st_mtime_ns, digest)
    return found


@pytest.fixture
def read_only(data: Path) -> Iterator[None]:
    """Take away the right to write into the dataset."""
    places = [data.parent, *data.parent.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    for place, mode in modes.items():
        place.chmod(mode & 0o555)
    yield
    for place, mode in modes.items():
        place.chmod(mode)


@pytest.fixture
def trapped(data: Path, tmp_path: Path) -> Path:
    """A dataset with traps, and an image that the engine would write anew."""
    lay_traps(data, tmp_path / "sprung")
    with images_of(data)[0].open("ab") as image:
        image.write(b"more")
    return data


@pytest.mark.parametrize("how", [False, "disk"])
def test_a_dataset_is_never_written_to(trapped: Path, read_only: None, tmp_path: Path, how: Any, cache: Path) -> None:
    before = tree(trapped.parent)
    assert not trainer_host.check(trapped).fails()
    assert tree(trapped.parent) == before
    result = trainer_host.run("pose", data=trapped, project=tmp_path, cache=how, **SETTINGS)
    assert tree(trapped.parent) == before
    assert result.best
    trainer_host.val(result.best, project=tmp_path, batch=4)
    trainer_host.val(result.best, project=tmp_path, batch=4, data=trapped)
    assert tree(trapped.parent) == before
    assert not (tmp_path / "sprung").exists()
    kept = list(cache.rglob("*.npy"))
    assert len(kept) == (16 if how == "disk" else 0)


@pytest.mark.parametrize("how", ["disk", False])
def test_training_beside_traps_equals_the_engine_without_them(
    drawn: Path, data: Path, tmp_path: Path, how: Any
) -> None:
    lay_traps(data, tmp_path / "sprung")
    settings = {**SETTINGS, "workers": 0, "cache": how, "optimizer": "SGD", "epochs": 2, "close_mosaic": 1}
    clean = tmp_path / "clean"
    shutil.copytree(drawn.parent, clean)
    stock = train("stock-pose", tmp_path / "stock.pt", {**settings, "data": str(clean / drawn.name)})
    ours = train("pose", tmp_path / "ours.pt", {**settings, "data": str(data)})
    assert differences(stock, ours) == []
    assert not (tmp_path / "sprung").exists()


def test_an_image_that_was_changed_is_decoded_again(
    data: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer_host.run("pose", data=data, project=tmp_path, cache="disk", **SETTINGS)
    kept = {f: f.stat().st_mtime_ns for f in cache.rglob("*.npy")}
    one, other = images_of(data)[:2]
    times = one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = trainer_host.run("pose", data=data, project=tmp_path, cache="disk", **SETTINGS)
    after = {f: f.stat().st_mtime_ns for f in cache.rglob("*.npy")}
    assert len(after.items() - kept.items()) == 1
    assert kept.items() <= after.items()
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "fresh"))
    fresh = trainer_host.run("pose", data=data, project=tmp_path, cache="disk", **SETTINGS)
    losses = [(r.save_dir / "results.csv").read_text().splitlines()[1].split(",")[2:] for r in (first, second, fresh)]
    assert losses[1] == losses[2] != losses[0]


def test_a_cache_that_cannot_be_written_is_reported_and_skipped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "taken"))
    before = tree(data.parent)
    heard = Listening()
    result = trainer_host.run("pose", data=data, project=tmp_path, cache="disk", reporter=heard, **SETTINGS)
    assert result.best
    assert any("cache=disk is ignored" in w for w in heard.warnings)
    assert tree(data.parent) == before


class Listening(NullReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


# What a run says of its dataset


@pytest.fixture(scope="module")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> trainer_host.RunResult:
    """A run that left out an image of each split, of a dataset that a relative path named."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(drawn.parent, folder / "data")
    for split in ("train", "val"):
        label = sorted((folder / "data" / "labels" / split).glob("*.txt"))[3]
        label.write_text("0 .5 .5 nonsense\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TRAINER_CACHE_DIR", str(folder / "cache"))
        return trainer_host.run("pose", data=f"data/{drawn.name}", bad="skip:20%", project=folder, **SETTINGS)


def test_the_normalised_yaml_is_what_the_engine_is_reported(trained: trainer_host.RunResult) -> None:
    import torch

    file = trained.save_dir / "dataset.yaml"
    assert trained.best
    assert torch.load(trained.best, weights_only=False)["train_args"]["data"] == str(file)
    reported = yaml.safe_load(file.read_text())
    assert {"train", "val", "names", "kpt_shape", "flip_idx"} <= reported.keys()
    assert "download" not in reported
    assert Path(reported["val"]).read_text().count("\n") == 7
    assert not trainer_host.check(file).fails()
    recorded = yaml.safe_load((trained.save_dir / "run.yaml").read_text())["record"]["dataset"]
    assert [len(images) for images in recorded["skipped"].values()] == [1, 1]
    assert [len(split) for split in examined(file).splits.values()] == [7, 7]


def test_a_finished_model_is_measured_from_another_folder(
    trained: trainer_host.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.best
    monkeypatch.chdir(tmp_path)
    before = tree(trained.save_dir.parent / "data")
    measured = trainer_host.val(trained.best, project=tmp_path, batch=4)
    expected = {k: v for k, v in trained.metrics.items() if k.startswith("metrics/")}
    assert {k: measured.metrics[k] for k in expected} == expected
    assert tree(trained.save_dir.parent / "data") == before


PLAIN = """
import json, sys
from ultralytics import YOLO
metrics = YOLO(sys.argv[1]).val(batch=4, plots=False, project=sys.argv[2])
print(json.dumps({k: float(v) for k, v in metrics.results_dict.items()}))
"""


def test_the_plain_engine_measures_a_finished_model(trained: trainer_host.RunResult, tmp_path: Path) -> None:
    done = process(sys.executable, "-c", PLAIN, trained.best, tmp_path, cwd=tmp_path)
    assert done.code == 0, done.err
    measured = json.loads(done.out.strip().splitlines()[-1])
    assert {k: trained.metrics[k] for k in measured if k != "fitness"} == {
        k: v for k, v in measured.items() if k != "fitness"
    }
    assert str(ROOT) not in done.err
