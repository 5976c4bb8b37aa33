"""``trainer convert``: a dataset of any format becomes a YOLO one, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import Done
from trainer_host import SettingsError, StorageError
from trainer_host.data import yolo_writer
from trainer_host.data.dataset_reader import read_dataset
from trainer_host.data.description import Description, Split
from trainer_host.data.yolo_writer import write_yolo


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that calls ``trainer convert`` in this process, in a folder of its own."""
    from trainer_host.cli.main import guarded

    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Done:
        capsys.readouterr()
        code = guarded(["convert", *words])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def picture(path: Path, grey: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 64, 3), grey, np.uint8))
    return path


def described(folder: Path, rows: list[list[float]], names: tuple[str, ...] = ("a.png",), **more: Any) -> Description:
    """Return a dataset of these images, each with the rows."""
    images = [picture(folder / name, i) for i, name in enumerate(names)]
    split, findings = Split.from_rows("train", images, [rows] * len(names), [folder / "all.txt"] * len(names), **more)
    assert findings == []
    return Description({"names": {0: "x", 1: "y"}, "nc": 2, "channels": 3}, file=folder / "f", splits={"train": split})


def coco(folder: Path, *, bbox: Any = (8, 6, 16, 12)) -> str:
    """Write a COCO file with two images, one object and one crowd, and return its name."""
    for name in ("a.png", "b.png"):
        picture(folder / "photos" / name)
    box = {"image_id": 1, "category_id": 5, "bbox": bbox and list(bbox)}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{**box, "id": 1}, {**box, "id": 2, "iscrowd": 1}],
        "categories": [{"id": 5, "name": "ball"}],
    }
    (folder / "all.json").write_text(json.dumps(content), encoding="utf-8")
    return "all.json,all.json"


# What is written


@given(rows=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6), min_size=1, max_size=4))
def test_what_is_read_back_is_the_very_same(tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = described(folder / "source", rows)
    again = read_dataset(write_yolo(data, folder / "new").file).splits["train"]
    assert np.array_equal(again.values, data.splits["train"].values)
    assert again.row_lengths.tolist() == [6] * len(rows)


def test_keys_are_kept(tmp_path: Path) -> None:
    data = described(tmp_path / "source", [])
    data |= {"channels": 1, "pairs": [[0, 1]], "path": "/gone", "yaml_file": "/gone.yaml", "download": "run me"}
    written = write_yolo(data, tmp_path / "new")
    assert written.file == tmp_path / "new" / "data.yaml"
    text = written.file.read_text(encoding="utf-8")
    assert text == "train: images/train\nnames:\n  0: x\n  1: y\nchannels: 1\npairs:\n- [0, 1]\n"


def test_images_are_linked_or_copied_and_never_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = described(tmp_path / "source", [], ("a.png", "b.png"))
    written = write_yolo(data, tmp_path / "linked")
    source, place = tmp_path / "source" / "a.png", tmp_path / "linked" / "images" / "train" / "a.png"
    assert written.linked == 2
    assert source.samefile(place)

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(yolo_writer.os, "link", refuse)
    assert write_yolo(data, tmp_path / "copied").linked == 0
    copied = tmp_path / "copied" / "images" / "train" / "a.png"
    assert copied.read_bytes() == source.read_bytes()
    assert not source.samefile(copied)


def test_images_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    names = ("v1/0.png", "v2/0.png", "v2/0.jpg", "w/v2/0.png", "1.png", "V3/A.png", "V3/a.png")
    data = described(tmp_path / "source", [[0, 0.5, 0.5, 0.1, 0.1]], names)
    written = write_yolo(data, tmp_path / "new")
    placed = sorted(p.name for p in (tmp_path / "new" / "images" / "train").iterdir())
    assert len({Path(n).stem.casefold() for n in placed}) == len(names)
    assert {"1.png", "v1_0.png"} < set(placed)
    labels = {p.stem for p in (tmp_path / "new" / "labels" / "train").iterdir()}
    assert labels == {Path(n).stem for n in placed}
    assert written.renamed == len(names) - 1
    contents = {p.read_bytes() for p in (tmp_path / "new" / "images" / "train").iterdir()}
    assert contents == {Path(i).read_bytes() for i in data.splits["train"].images}


def test_crowds_are_skipped_and_counted_and_missing_labels_stay_missing(tmp_path: Path) -> None:
    row = [0.0, 0.5, 0.5, 0.1, 0.1]
    images = [picture(tmp_path / "source" / f"{i}.png") for i in range(3)]
    split, _ = Split.from_rows(
        "val", images, [[row, row], [], []], ["x"] * 3, crowd=[[True, False], [], []], labelled=[2, 1, 0]
    )
    data = Description({"names": {0: "x"}}, file=tmp_path / "f", splits={"val": split})
    written = write_yolo(data, tmp_path / "new")
    assert (written.crowds, written.rows) == (1, {"val": 1})
    labels = tmp_path / "new" / "labels" / "val"
    assert (labels / "0.txt").read_text() == "0 0.5 0.5 0.1 0.1\n"
    assert (labels / "1.txt").read_text() == ""
    assert not (labels / "2.txt").exists()


# Whole or not at all


def test_folders_that_are_refused(tmp_path: Path) -> None:
    data = described(tmp_path / "source", [])
    taken = tmp_path / "taken"
    taken.mkdir()
    write_yolo(data, taken)
    data = replace(data, engine_reads=True)
    for folder in (taken, tmp_path / "source" / "new", tmp_path / "source" / "a.png"):
        with pytest.raises(SettingsError):
            write_yolo(data, folder)
    assert sorted(p.name for p in (tmp_path / "source").iterdir()) == ["a.png"]


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    data = described(tmp_path / "source", [], ("a.png", "b.png"))
    (tmp_path / "source" / "b.png").unlink()
    with pytest.raises(StorageError, match="cannot be written"):
        write_yolo(data, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


# The command


def test_a_dataset_is_converted_by_the_command(call: Callable[..., Done], tmp_path: Path) -> None:
    source = coco(tmp_path)
    done = call(source, "new", "images=photos", "--task", "detect", "--json")
    assert done.code == 0, done.err
    assert done.json["images"] == {"train": 2, "val": 2}
    assert (done.json["rows"]["train"], done.json["crowds_skipped"]) == (1, 2)
    assert Path(done.json["data"]) == tmp_path / "new" / "data.yaml"
    assert (tmp_path / "new" / "labels" / "train" / "a.txt").read_text() == "0 0.25 0.25 0.25 0.25\n"
    assert "skipped 2 crowd rows" in done.err
    assert "Use it: trainer run data=new/data.yaml" in done.err


def test_the_dataset_may_be_a_setting(call: Callable[..., Done], tmp_path: Path) -> None:
    source = coco(tmp_path)
    assert call(f"data={source}", "images=photos", "new", "--task", "detect").code == 0
    assert call(f"data={source}", "a", "b", "--task", "detect").code == 2
    assert call(source, "--task", "detect").code == 2


def test_errors_stop_it_and_nothing_is_written(call: Callable[..., Done], tmp_path: Path) -> None:
    source = coco(tmp_path, bbox=None)
    done = call(source, "new", "images=photos", "--task", "detect")
    assert done.code == 4
    assert "annotation 1 has no bbox" in done.err
    assert not (tmp_path / "new").exists()
    skipped = call(source, "new", "images=photos", "--task", "detect", "--bad", "skip:100%", "--json")
    assert skipped.code == 0, skipped.err
    assert skipped.json["images"]["train"] == 1
