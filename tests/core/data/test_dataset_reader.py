"""The one reader: where images are, and which of them belong to a split."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.yolo_datasets import codes, content, draw, label, make, names, write_yaml
from trainer_host.data.dataset_reader import read_dataset


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))


# Where images are


def test_the_dataset_lies_beside_its_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path / "data")
    elsewhere = tmp_path / "elsewhere"
    make(elsewhere, 5)
    monkeypatch.chdir(elsewhere)
    data = read_dataset(Path("..") / "data" / "data.yaml")
    assert data["path"] == file.parent
    assert names(data) == [f"images/train/{i}.png" for i in range(3)]
    assert data["train"] == str(tmp_path / "data" / "images" / "train")
    assert not data.findings


@pytest.mark.parametrize("path", ["", None, ".", "../data", "sub/..", "{root}"])
def test_path_is_relative_to_the_yaml(tmp_path: Path, path: str | None) -> None:
    file = make(tmp_path / "data", path=path.format(root=tmp_path / "data") if path else path)
    (tmp_path / "data" / "sub").mkdir()
    data = read_dataset(file)
    assert len(data.splits["train"]) == 3
    assert not data.findings


def test_a_path_below_the_working_folder_is_a_habit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "data")
    file = write_yaml(tmp_path / "data", path="data")
    monkeypatch.chdir(tmp_path)
    data = read_dataset(file)
    assert codes(data) == ["path-habit"]
    assert data["path"] == tmp_path / "data"


def test_a_path_below_the_engines_folder_of_datasets_is_a_habit(tmp_path: Path) -> None:
    make(tmp_path / "datasets" / "mine")
    file = write_yaml(tmp_path, path="mine")
    data = read_dataset(file, lambda: tmp_path / "datasets")
    assert codes(data) == ["path-habit"]
    assert len(data.splits["val"]) == 3
    assert codes(read_dataset(file))[0] == "split-missing-path"


def test_a_missing_folder_is_never_replaced_by_another(tmp_path: Path) -> None:
    file = make(tmp_path, val="images/valid")
    data = read_dataset(file)
    found = [f for f in data.findings if f.severity == "error"]
    assert [(f.code, f.line) for f in found] == [("split-missing-path", 5)]
    assert "val" not in data.splits


def test_splits_may_be_several_folders_and_lists(tmp_path: Path) -> None:
    make(tmp_path)
    draw(tmp_path / "more" / "images" / "x.png", 99)
    label(tmp_path / "more" / "labels" / "x.txt")
    (tmp_path / "list.txt").write_text("./images/val/1.png\n")
    data = read_dataset(write_yaml(tmp_path, train=["images/train", "more/images", "list.txt"]))
    assert names(data) == [*(f"images/train/{i}.png" for i in range(3)), "images/val/1.png", "more/images/x.png"]
    assert codes(data) == ["splits-share-images"]


def test_the_last_images_in_a_path_becomes_labels(tmp_path: Path) -> None:
    for name in ("images/a.png", "images/images/b.png", "my images/c.png"):
        draw(tmp_path / "images" / name, len(name))
    label(tmp_path / "images" / "labels" / "a.txt")
    label(tmp_path / "images" / "images" / "labels" / "b.txt")
    label(tmp_path / "labels" / "my images" / "c.txt")
    data = read_dataset(write_yaml(tmp_path, train="images", val="images/my images"))
    assert set(data.splits["train"].labelled.tolist()) == {2}
    assert codes(data) == ["splits-share-images"]


LISTS: dict[str, tuple[bytes, list[str]]] = {
    "relative to the list": (b"./images/train/1.png\nimages/train/0.png\n", ["0", "1"]),
    "with blanks around": (b"  ./images/train/1.png \n\n\n", ["1"]),
    "by another system": (b"\xef\xbb\xbf./images/train/1.png\r\n./images/train/2.png\r\n", ["1", "2"]),
    "without an end": (b"./images/train/2.png", ["2"]),
    "with detours": (b"./images/../images/train/./2.png\n", ["2"]),
}


@pytest.mark.parametrize(("text", "expected"), LISTS.values(), ids=LISTS.keys())
def test_lists_of_images(tmp_path: Path, text: bytes, expected: list[str]) -> None:
    make(tmp_path)
    (tmp_path / "list.txt").write_bytes(text)
    data = read_dataset(write_yaml(tmp_path, train="list.txt"))
    assert names(data) == [f"images/train/{n}.png" for n in expected]
    assert codes(data) == [], "the images that are not listed are there"


def test_every_line_of_a_list_that_leads_nowhere_is_reported(tmp_path: Path) -> None:
    make(tmp_path)
    text = "./images/train/0.png\n./images/train/none.png\n\n./data.yaml\n./images/train/1.png\n"
    (tmp_path / "list.txt").write_text(text)
    data = read_dataset(write_yaml(tmp_path, train="list.txt"))
    found = [(f.code, f.file, f.line) for f in data.findings if f.severity == "error"]
    assert found == [("list-entry-missing", str(tmp_path / "list.txt"), n) for n in (2, 4)]
    assert names(data) == ["images/train/0.png", "images/train/1.png"]


def test_names_that_are_no_text_are_read(tmp_path: Path) -> None:
    file = make(tmp_path)
    odd = os.fsdecode(b"\xff\xfe odd")
    try:
        draw(tmp_path / "images" / "train" / "odd.png", 77)
        (tmp_path / "images" / "train" / "odd.png").rename(tmp_path / "images" / "train" / f"{odd}.png")
        label(tmp_path / "labels" / "train" / f"{odd}.txt")
    except OSError:
        pytest.skip("this file system has no such names")
    data = read_dataset(file)
    assert not data.findings
    assert len(data.splits["train"]) == 4
    assert content(read_dataset(file)) == content(data)
    assert len(data.fingerprint()) == 64
