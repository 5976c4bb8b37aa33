"""Labels of tools through the command and the API, as the entry points of the installed project give them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import command
from tests.support.label_tool_files import cvat_images, cvat_video, draw, labelme_folder, sleap_file, studio_file

MAKERS: dict[str, Callable[[Path], Path]] = {
    "cvat": cvat_images,
    "cvat for video": cvat_video,
    "label-studio": studio_file,
    "label-studio-min": lambda folder: studio_file(folder, short=True),
    "labelme": labelme_folder,
    "sleap": lambda folder: sleap_file(folder / "mice.pkg.slp"),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))


def objects(result: Any) -> int:
    return sum(split["objects"] for split in result.counts["splits"].values())


@pytest.mark.parametrize("tool", MAKERS)
def test_labels_of_a_tool_are_checked_and_converted(tool: str, tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    source = MAKERS[tool](home)
    before = sorted(f for f in home.rglob("*"))
    checked = trainer_host.check(source)
    assert (checked.task, checked.fails()) == ("pose", False), checked.findings
    written = trainer_host.convert(source, tmp_path / "new").written
    assert sum(written.images.values()) == 8
    again = trainer_host.check(written.file)
    assert not again.fails(), again.findings
    assert objects(again) == objects(checked) == sum(written.rows.values())
    assert sorted(f for f in home.rglob("*")) == before, "nothing is written to the dataset"


def test_images_of_a_package_are_copied_and_not_shared(tmp_path: Path) -> None:
    written = trainer_host.convert(sleap_file(tmp_path / "mice.pkg.slp"), tmp_path / "new").written
    assert written.linked == 0


def test_the_command_reads_a_tool_and_says_what_is_wrong(tmp_path: Path) -> None:
    labelme_folder(tmp_path / "mice")
    options = ("labelme.holdout=0.5", "labelme.margin=0.3")
    done = command("check", "mice", *options, "--json", cwd=tmp_path)
    assert (done.code, done.json["task"]) == (0, "pose"), done.err
    (tmp_path / "mice" / "mouse_3.jpg").unlink()
    done = command("run", "--task", "pose", "data=mice", "epochs=1", "model=yolo26n-pose.yaml", cwd=tmp_path)
    assert done.code == 4
    assert any("mouse_3.json" in line and "Fix: " in line for line in done.problems), done.err
    done = command("check", "mice", "--task", "pose", "--no-plugin", "labelme", cwd=tmp_path)
    assert done.code == 4


def yolo_of_cvat(folder: Path) -> Path:
    """Write what CVAT exports for Ultralytics YOLO pose: train alone, listed with a folder that is not there."""
    listed = []
    for i in range(6):
        draw(folder / "images" / "train" / f"{i}.jpg", i)
        label = folder / "labels" / "train" / f"{i}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.3 0.3 0.5 0.5 2 0.6 0.6 1 0.000000 0.000000 0\n")
        listed.append(f"data/images/train/{i}.jpg\n")
    (folder / "train.txt").write_text("".join(listed))
    keys = {"kpt_shape": [3, 3], "names": {0: "mouse"}, "path": ".", "train": "train.txt"}
    (folder / "data.yaml").write_text(yaml.safe_dump(keys))
    return folder / "data.yaml"


def test_a_train_split_alone_is_divided_by_a_conversion(tmp_path: Path) -> None:
    data = yolo_of_cvat(tmp_path / "cvat")
    found = {f.code: f for f in trainer_host.check(data).findings}
    assert found["missing-key"].fix.endswith("DIR --holdout 0.2")
    assert found["path-habit"].message.startswith("6 of 6 lines begin with data/")
    done = command("convert", str(data), "new", "--holdout", "0.4", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    images = done.json["images"]
    assert sum(images.values()) == 6
    assert min(images.values()) > 0
    assert not trainer_host.check(tmp_path / "new" / "data.yaml").fails()
    with pytest.raises(trainer_host.SettingsError, match="has a validation split"):
        trainer_host.convert(tmp_path / "new" / "data.yaml", tmp_path / "other", holdout=0.2)
    with pytest.raises(trainer_host.SettingsError, match="between 0 and 1"):
        trainer_host.convert(data, tmp_path / "other", holdout=2.0)
    with pytest.raises(trainer_host.DatasetKeyError, match="'val'"):
        trainer_host.convert(data, tmp_path / "other")
    for image in sorted((data.parent / "images" / "train").iterdir())[1:]:
        image.unlink()
    (data.parent / "train.txt").write_text("images/train/0.jpg\n")
    with pytest.raises(trainer_host.DatasetError, match="only train image"):
        trainer_host.convert(data, tmp_path / "other", holdout=0.2)


@pytest.mark.train
def test_a_package_of_sleap_is_trained_on_and_validated_again(tmp_path: Path) -> None:
    source = sleap_file(tmp_path / "mice.pkg.slp")
    given = {"model": "yolo11n-pose.yaml", "imgsz": 64, "epochs": 1, "batch": 4, "plots": False, "workers": 0}
    result = trainer_host.run("pose", data=source, project=tmp_path, **given)
    recorded = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]["dataset"]
    shutil.rmtree(tmp_path / "cache" / "extracted")
    assert trainer_host.check(result.save_dir / "dataset.yaml").fingerprint == recorded["fingerprint"]
    assert result.best
    assert trainer_host.val(result.best, project=tmp_path, batch=4).metrics
