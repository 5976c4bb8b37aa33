"""Links of a dataset that lead to other files of the user: what these hold is shown nowhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support.command import Done
from tests.support.sample_datasets import detect_dataset
from trainer_host.data.dataset_reader import read_dataset

Trainer = Callable[..., Done]
SECRET = "password hunter2\n5 17 23 42 99\n"
PARTS = ("hunter2", "password", "23 42")


@pytest.fixture
def data(tmp_path: Path, engine: None) -> Path:
    return detect_dataset(tmp_path / "data", 4)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "notes.txt"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def first_label(data: Path) -> Path:
    return min((data.parent / "labels" / "train").iterdir())


def everything(trainer: Trainer, data: Path, tmp_path: Path) -> tuple[str, list[dict[str, str]]]:
    """Return all that a check writes, and its findings."""
    copy, page = tmp_path / "copy", tmp_path / "page.html"
    done = trainer("check", str(data), "--task", "detect", "--json", "-v", "--report", str(page), "--fix", str(copy))
    texts = [f.read_text() for f in copy.rglob("*.txt") if not f.is_symlink()]
    return "\n".join([done.out, done.err, page.read_text(), *texts]), done.json["findings"]


def test_a_label_file_that_leads_to_a_secret(trainer: Trainer, data: Path, secret: Path, tmp_path: Path) -> None:
    label = first_label(data)
    label.unlink()
    label.symlink_to(secret)
    said, findings = everything(trainer, data, tmp_path)
    assert [(f["code"], f["severity"], f["line"]) for f in findings] == [("label-outside", "error", None)]
    assert not [part for part in PARTS if part in said]


@pytest.mark.parametrize(
    "text", ["5 17 23 42 99\n", "0 .5 .5 .1 .1\n0 3 3 3 3\n", "1 2 3\n", "0.5 .5 .5 .1 .1\n", "\xff"]
)
def test_what_does_not_look_like_labels_is_not_used(
    trainer: Trainer, data: Path, secret: Path, tmp_path: Path, text: str
) -> None:
    label = first_label(data)
    label.unlink()
    label.symlink_to(secret)
    secret.write_text(text, encoding="latin-1")
    description = read_dataset(data)
    assert [f.code for f in description.findings] == ["label-outside"]
    assert len(description.splits["train"].rows_of(0)) == 0


def test_labels_elsewhere_are_used_with_a_warning(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    before = read_dataset(data)
    (tmp_path / "store").mkdir()
    for label in (data.parent / "labels" / "train").iterdir():
        label.replace(tmp_path / "store" / label.name)
        label.symlink_to(tmp_path / "store" / label.name)
    after = read_dataset(data)
    assert [(f.code, f.severity) for f in after.findings] == [("label-outside", "warning")]
    assert np.array_equal(after.splits["train"].values, before.splits["train"].values)
    assert trainer("check", str(data), "--task", "detect").code == 0


@pytest.mark.parametrize("place", ["labels/pool", "pool", "images/train"])
def test_links_within_the_dataset_are_no_matter(data: Path, place: str) -> None:
    label = first_label(data)
    (data.parent / place).mkdir(exist_ok=True)
    target = data.parent / place / "other.txt"
    label.replace(target)
    label.symlink_to(target)
    assert [f.code for f in read_dataset(data).findings if f.code == "label-outside"] == []


def test_a_folder_of_labels_elsewhere_is_used_and_not_quoted(
    trainer: Trainer, data: Path, secret: Path, tmp_path: Path
) -> None:
    folder = data.parent / "labels" / "train"
    folder.rename(tmp_path / "labels-of-train")
    folder.symlink_to(tmp_path / "labels-of-train")
    (finding,) = read_dataset(data).findings
    assert (finding.code, finding.severity, finding.split) == ("link-outside", "warning", "train")
    assert (
        f"the folder of 4 train label files is a link that leads out of the dataset, to {tmp_path}" in finding.message
    )
    first_label(data).write_text("password .5 .5 .1 .1\n")
    page = tmp_path / "page.html"
    done = trainer("check", str(data), "--task", "detect", "--json", "-v", "--report", str(page))
    assert [(f["code"], f["line"]) for f in done.json["findings"]] == [("label-number", 1), ("link-outside", None)]
    assert "it is not shown" in done.json["findings"][0]["message"]
    assert "password" not in done.out + done.err + page.read_text()


def test_a_dataset_whose_folders_are_all_links(data: Path, tmp_path: Path) -> None:
    """As a user has it who keeps the data on another disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    for name in ("images", "labels"):
        (data.parent / name).rename(disk / name)
        (data.parent / name).symlink_to(disk / name)
    assert [(f.code, f.severity, f.split) for f in read_dataset(data).findings] == [
        ("link-outside", "warning", "train"),
        ("link-outside", "warning", "val"),
    ]


def test_links_out_of_the_dataset_are_counted_once(data: Path, tmp_path: Path) -> None:
    """Where some images of a split are links, which the others are not."""
    images = sorted((data.parent / "images" / "train").iterdir())
    (tmp_path / "private").mkdir()
    for image in images[:3]:
        image.rename(tmp_path / "private" / image.name)
        image.symlink_to(tmp_path / "private" / image.name)
    (finding,) = read_dataset(data).findings
    assert (finding.code, finding.severity, finding.split, finding.file) == (
        "link-outside",
        "warning",
        "train",
        str(images[0]),
    )
    assert finding.message.startswith(f"3 of {len(images)} train images are behind links")
    assert str(tmp_path / "private" / images[0].name) in finding.message


def test_a_folder_within_the_images_that_leads_out(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data.parent / "images" / "val", tmp_path / "private")
    (data.parent / "images" / "train" / "more").symlink_to(tmp_path / "private")
    found = [f for f in read_dataset(data).findings if f.code == "link-outside"]
    assert [f.message.partition(" are ")[0] for f in found] == ["4 of 8 train images"]


def test_a_split_of_links_and_links_within_the_dataset_are_no_matter(data: Path, tmp_path: Path) -> None:
    """A selection from a store of images, and a store in the dataset itself."""
    for split, store in (("train", tmp_path / "store"), ("val", data.parent / "store")):
        store.mkdir()
        for image in sorted((data.parent / "images" / split).iterdir()):
            image.rename(store / image.name)
            image.symlink_to(store / image.name)
    assert not read_dataset(data).findings


def test_images_elsewhere_whose_labels_stayed(data: Path, tmp_path: Path) -> None:
    """Label files are read next to the images that a link leads to, as the engine reads them."""
    (data.parent / "images").rename(tmp_path / "images")
    (data.parent / "images").symlink_to(tmp_path / "images")
    found = {f.message.split()[4]: f for f in read_dataset(data).findings if f.code == "labels-none"}
    assert set(found) == {"train", "val"}
    expected = f"from {data.parent / 'labels' / 'train'} to {tmp_path / 'labels' / 'train'}"
    assert found["train"].fix == f"move the label files of the train images {expected}"


def test_the_root_that_a_yaml_names_opens_no_file(data: Path, secret: Path) -> None:
    label = first_label(data)
    label.unlink()
    label.symlink_to(secret)
    content = yaml.safe_load(data.read_text())
    for root in ("/", str(secret.parent), ".."):
        for split in ("train", "val"):
            content[split] = str(data.parent / "images" / split)
        data.write_text(yaml.safe_dump({**content, "path": root}))
        assert "label-outside" in {f.code for f in read_dataset(data).findings}


def test_a_dataset_in_the_users_own_folder_opens_none_of_it(
    data: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(data.parent))
    label = first_label(data)
    label.write_text("word .5 .5 .1 .1\n")
    (finding,) = read_dataset(data).findings
    assert (finding.code, "'word'" in finding.message) == ("label-number", True)
    label.unlink()
    (data.parent / ".netrc").write_text(SECRET)
    label.symlink_to("../../.netrc")
    assert [f.code for f in read_dataset(data).findings] == ["label-outside"]


def test_a_list_of_images_is_not_quoted(trainer: Trainer, data: Path, secret: Path) -> None:
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**content, "train": str(secret)}))
    done = trainer("check", str(data), "--task", "detect", "--json", "-v")
    assert {f["code"] for f in done.json["findings"]} >= {"list-entry-missing"}
    assert not [part for part in PARTS if part in done.out + done.err]
