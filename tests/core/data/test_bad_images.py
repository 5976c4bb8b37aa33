"""What becomes of images that cannot be used: each stops the run, unless ``--bad`` leaves out a few, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import Done
from tests.support.yolo_datasets import make, write_yaml
from trainer_host import DatasetError, SettingsError
from trainer_host.base.findings import Tolerance
from trainer_host.base.reporting import NullReporter
from trainer_host.data.check_runner import apply_tolerance
from trainer_host.data.dataset_reader import read_dataset

Trainer = Callable[..., Done]
QUICK = ("model=yolo11n.yaml", "imgsz=32", "epochs=1", "batch=5", "plots=false")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAINER_BAD", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset of 10 and 10 images."""
    return make(tmp_path / "data", 10)


def spoil(data: Path, *places: str) -> list[str]:
    """Make images unusable, by a word in the label file, or by the image itself; return the images."""
    spoilt = []
    for i, place in enumerate(places):
        image = data.parent / "images" / f"{place}.png"
        if i % 2:
            image.write_bytes(b"no image")
        else:
            (data.parent / "labels" / f"{place}.txt").write_text("0 .5 .5 .2 .2\n0 .5 odd .2 .2\n")
        spoilt.append(str(image))
    return spoilt


class Listening(NullReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


# Without training


def test_each_stops_the_run_and_all_are_reported(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    spoil(data, "train/1", "train/2", "val/3", "val/4")
    done = trainer("run", "--task", "detect", f"data={data}", *QUICK)
    assert done.code == 4
    places = ("labels/train/1.txt:2", "images/train/2.png", "labels/val/3.txt:2", "images/val/4.png")
    for place in places:
        assert sum(place in line for line in done.problems) == 1
    assert len([line for line in done.problems if "Fix: " in line]) == 4
    assert not list(tmp_path.glob("runs/**/*.yaml"))


def test_the_error_has_every_finding(data: Path) -> None:
    spoil(data, *(f"train/{i}" for i in range(10)))
    with pytest.raises(DatasetError) as caught:
        trainer_host.run("detect", data=data, model="yolo11n.yaml", project=data.parent)
    assert len(caught.value.findings) == 10
    assert len({f.image for f in caught.value.findings}) == 10
    assert "... and 2 more of image-not-image" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "share"),
    [("fail", 0), ("skip", 0.1), ("skip:1%", 0.01), ("skip:0.5%", 0.005), ("SKIP:100%", 1), (" skip:10% ", 0.1)],
)
def test_values(given: str, share: float) -> None:
    assert Tolerance.parse(given).share == share


WRONG = ["", "sometimes", "skip:", "skip:5", "skip:0%", "skip:-1%", "skip:101%", "skip:x%", "skip:nan%", "fail:1%"]


@pytest.mark.parametrize("given", WRONG)
def test_wrong_values(given: str) -> None:
    with pytest.raises(SettingsError, match=r"--bad=.* is not valid"):
        Tolerance.parse(given)


@pytest.mark.parametrize("given", ["sometimes", "skip:5", "skip:0%"])
def test_wrong_values_of_the_command(
    trainer: Trainer, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    words = ("run", "--task", "detect", f"data={data}", *QUICK)
    assert_refused(trainer(*words, f"--bad={given}"))
    monkeypatch.setenv("TRAINER_BAD", given)
    assert_refused(trainer(*words))
    monkeypatch.delenv("TRAINER_BAD")
    (tmp_path / "exp.yaml").write_text(yaml.safe_dump({"task": "detect", "data": str(data), "bad": given}))
    assert_refused(trainer("run", "exp.yaml", *QUICK))
    with pytest.raises(SettingsError, match=r"^bad="):
        trainer_host.run("detect", data=data, model="yolo11n.yaml", bad=given)


@pytest.mark.parametrize("given", ["5", "true", "[skip]", "0.1"])
def test_a_settings_file_with_something_else(trainer: Trainer, data: Path, tmp_path: Path, given: str) -> None:
    (tmp_path / "exp.yaml").write_text(f"task: detect\ndata: {data}\nbad: {given}\n")
    assert_refused(trainer("run", "exp.yaml", *QUICK))


def assert_refused(done: Done) -> None:
    assert done.code == 3
    assert any("bad" in line.lower() and "is not valid" in line for line in done.problems)


@pytest.mark.parametrize(
    ("images", "bad", "given", "passes"),
    [(10, 1, "skip", True), (10, 2, "skip", False), (10, 2, "skip:20%", True), (10, 1, "skip:9%", False)],
)
def test_the_limit_is_a_share_of_each_split(tmp_path: Path, images: int, bad: int, given: str, passes: bool) -> None:
    file = make(tmp_path / "data", images)
    spoilt = spoil(file, *(f"val/{i}" for i in range(bad)))
    data = read_dataset(file)
    if passes:
        data = apply_tolerance(data, Tolerance.parse(given))
        assert data.skipped == {"val": spoilt}
        assert len(data.splits["train"]) == images
        assert len(data.splits["val"]) == images - bad
        assert [f.severity for f in data.findings] == ["warning"] * bad
    else:
        with pytest.raises(DatasetError, match=rf"{bad} of {images} val images cannot be used, more than") as caught:
            apply_tolerance(data, Tolerance.parse(given))
        assert sorted(str(f.image) for f in caught.value.findings) == spoilt


@pytest.mark.parametrize("percent", [7, 14, 28, 29, 55, 57, 58])
def test_just_as_many_as_are_allowed_may_be_skipped(tmp_path: Path, percent: int) -> None:
    file = make(tmp_path / "data", 1)
    list_file = tmp_path / "data" / "list.txt"
    good, bad = (tmp_path / "data" / "images" / "good", tmp_path / "data" / "images" / "bad")
    for folder in (good, bad):
        folder.mkdir()
    for i in range(100):
        source = (tmp_path / "data" / "images" / "train" / "0.png").read_bytes()
        (bad / f"{i}.png").write_bytes(b"no image") if i < percent else (good / f"{i}.png").write_bytes(source)
    list_file.write_text("".join(f"{f}\n" for folder in (good, bad) for f in sorted(folder.iterdir())))
    write_yaml(tmp_path / "data", val="list.txt")
    data = apply_tolerance(read_dataset(file), Tolerance.parse(f"skip:{percent}%"))
    assert len(data.skipped["val"]) == percent


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_which_nothing_is_left_stops_the_run(
    trainer: Trainer, data: Path, split: str, tmp_path: Path
) -> None:
    spoil(data, *(f"{split}/{i}" for i in range(10)))
    done = trainer("run", "--task", "detect", f"data={data}", "--bad=skip:100%", *QUICK)
    assert done.code == 4
    assert any(line.startswith(f"none of the 10 {split} images can be used.") for line in done.problems), done.problems


def test_errors_that_are_of_no_image_always_stop_the_run(trainer: Trainer, data: Path) -> None:
    spoil(data, "train/1")
    write_yaml(data.parent, names=[])
    done = trainer("run", "--task", "detect", f"data={data}", "--bad=skip:100%", *QUICK)
    assert done.code == 4
    assert any("no classes" in line for line in done.problems)
    write_yaml(data.parent, train="list.txt")
    (data.parent / "list.txt").write_text("./images/train/0.png\n./images/train/none.png\n")
    done = trainer("run", "--task", "detect", f"data={data}", "--bad=skip:100%", *QUICK)
    assert done.code == 4
    assert any("none.png" in line and "list.txt:2" in line for line in done.problems)


# Training


def train(data: Path, **more: Any) -> tuple[dict[str, Any], list[str], trainer_host.RunResult]:
    """Train; return the record of the run, the warnings, and the result."""
    heard = Listening()
    settings = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 5, "plots": False}
    result = trainer_host.run("detect", data=data, project=data.parent.parent, reporter=heard, **settings, **more)
    return yaml.safe_load((result.save_dir / "run.yaml").read_text()), heard.warnings, result


@pytest.mark.train
def test_what_is_skipped_is_reported_and_recorded(data: Path, tmp_path: Path) -> None:
    spoilt = spoil(data, "train/1", "val/3")
    run, warnings, result = train(data, bad="skip")
    reported = [w for w in warnings if "(--bad=" in w]
    assert reported == [
        f"1 train image skipped (--bad=skip): {spoilt[0]}",
        f"1 val image skipped (--bad=skip): {spoilt[1]}",
    ]
    assert sum("1.txt:2" in w for w in warnings) == 1
    assert run["bad"] == "skip"
    assert run["record"]["dataset"]["skipped"] == {"train": [spoilt[0]], "val": [spoilt[1]]}
    for split, image in zip(("train", "val"), spoilt, strict=True):
        listed = (result.save_dir / f"{split}.txt").read_text().splitlines()
        assert listed == [str(data.parent / "images" / split / f"{i}.png") for i in range(10) if str(i) != image[-5]]
    (data.parent / "images/train/1.png").unlink()
    (data.parent / "images/val/3.png").unlink()
    corrected, _, _ = train(data)
    assert corrected["record"]["dataset"]["fingerprint"] == run["record"]["dataset"]["fingerprint"]
    assert "skipped" not in corrected["record"]["dataset"]
    assert "bad" not in corrected


@pytest.mark.train
def test_the_settings_file_of_a_run_repeats_it(
    trainer: Trainer, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(data, "train/1")
    words = ("run", "--task", "detect", f"data={data}", *QUICK)
    first = trainer(*words, "--bad=skip:15%")
    assert first.code == 0, first.err
    assert "1 train image skipped (--bad=skip:15%)" in first.err
    record = next(tmp_path.glob("runs/**/run.yaml"))
    again = trainer("run", str(record))
    assert again.code == 0, again.err
    assert "1 train image skipped (--bad=skip:15%)" in again.err
    monkeypatch.setenv("TRAINER_BAD", "fail")
    stopped = trainer("run", str(record))
    assert stopped.code == 4
    records = [yaml.safe_load(f.read_text())["record"]["dataset"] for f in tmp_path.glob("runs/**/run.yaml")]
    assert len(records) == 2
    assert records[0] == records[1]


@pytest.mark.train
def test_nothing_is_skipped_where_nothing_is_wrong(data: Path) -> None:
    run, warnings, result = train(data, bad="skip")
    assert not [w for w in warnings if "(--bad=" in w]
    assert "skipped" not in run["record"]["dataset"]
    assert not (result.save_dir / "train.txt").exists()
