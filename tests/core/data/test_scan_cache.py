"""The cache of what was read of a dataset: it saves opening files, and is never stale, whatever happens to them."""

from __future__ import annotations

import errno
import io
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.yolo_datasets import (
    codes,
    content,
    draw,
    fresh,
    label,
    make,
    names,
    put_back,
    swap,
    tick,
    write_yaml,
)
from trainer_host.data import scan_cache as cache
from trainer_host.data.dataset_reader import read_dataset

HOUR = 3600 * 1_000_000_000
CLOCK = cache.now


def later() -> int:
    return CLOCK() + HOUR


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the host's caches."""
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host read an hour after the files were written."""
    monkeypatch.setattr(cache, "now", later)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images and label files that are opened."""
    names: list[str] = []
    really = os.open

    def noting(path: Any, *args: Any, **options: Any) -> int:
        if str(path).endswith((".png", ".txt")):
            names.append(Path(path).name)
        return really(path, *args, **options)

    monkeypatch.setattr(os, "open", noting)
    return names


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "datasets").iterdir())


def test_what_has_settled_is_not_opened_again(tmp_path: Path, settled: None, opened: list[str]) -> None:
    file = make(tmp_path)
    label(tmp_path / "labels" / "train" / "1.txt", "0 .5 .5 odd .2\n1 .5 .5 .2 .2\n")
    (tmp_path / "images" / "train" / "2.png").write_bytes(b"no image")
    first = content(read_dataset(file))
    assert len(opened) == 12
    assert content(read_dataset(file)) == first
    assert len(opened) == 12
    tick(tmp_path)
    label(tmp_path / "labels" / "val" / "1.txt", "1 .1 .1 .1 .1\n")
    draw(tmp_path / "images" / "val" / "2.png", 90)
    assert content(read_dataset(file)) != first
    assert opened[12:] == ["2.png", "1.txt"]


def test_files_that_were_changed_just_now_are_opened_again(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(tmp_path)
    for reads in (12, 24, 36):
        read_dataset(file)
        assert len(opened) == reads
    monkeypatch.setattr(cache, "now", later)
    for _ in range(2):
        read_dataset(file)
        assert len(opened) == 48


def test_a_clock_that_was_set_back_is_not_trusted(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(tmp_path)
    monkeypatch.setattr(cache, "now", lambda: CLOCK() - HOUR)
    for reads in (12, 24):
        read_dataset(file)
        assert len(opened) == reads


def replaced(path: Path, new: bytes) -> None:
    """Put another file of the same length and times in its place."""
    before = path.stat()
    assert len(new) == before.st_size
    other = path.with_name(".other")
    other.write_bytes(new)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


Change = Callable[[Path], object]
CHANGES: dict[str, Change] = {
    "times put back": lambda r: put_back(r / "labels/train/1.txt", b"0 .5 .5 .7 .7\n"),
    "replaced by another": lambda r: replaced(r / "labels/train/1.txt", b"0 .5 .5 .7 .7\n"),
    "a label file that is new": lambda r: label(r / "labels/train/new.txt"),
    "a label file that is gone": lambda r: (r / "labels/train/1.txt").unlink(),
    "a label file without rows": lambda r: label(r / "labels/train/1.txt", ""),
    "a fault that is new": lambda r: label(r / "labels/train/1.txt", "0 .5 .5 odd .7\n"),
    "a folder in its place": lambda r: ((r / "labels/train/1.txt").unlink(), (r / "labels/train/1.txt").mkdir()),
    "label files that change places": lambda r: swap(r / "labels/train/0.txt", r / "labels/train/1.txt"),
    "an image that is new": lambda r: draw(r / "images/train/00.png", 200),
    "an image that is gone": lambda r: (r / "images/train/0.png").unlink(),
    "an image with another name": lambda r: (r / "images/train/0.png").rename(r / "images/train/9.png"),
    "images that change places": lambda r: swap(r / "images/train/0.png", r / "images/train/1.png"),
    "an image of another size": lambda r: draw(r / "images/train/1.png", 10, (30, 40)),
    "an image with times put back": lambda r: put_back(r / "images/train/1.png", other_size(r / "images/train/1.png")),
    "an image that is damaged": lambda r: put_back(r / "images/train/1.png", damaged(r / "images/train/1.png")),
    "both of an image": lambda r: [(r / f).unlink() for f in ("images/train/1.png", "labels/train/1.txt")],
    "folders that change places": lambda r: swap(r / "labels/train", r / "labels/val"),
    "a folder of another split": lambda r: write_yaml(r, train="images/val", val="images/train"),
    "fewer images": lambda r: ((r / "l.txt").write_text("./images/train/2.png\n"), write_yaml(r, train="l.txt")),
}


def other_size(path: Path) -> bytes:
    """Return a PNG whose header says another size, in as many bytes."""
    data = bytearray(path.read_bytes())
    data[16:20] = (21).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def damaged(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen(tmp_path: Path, settled: None, change: Change) -> None:
    file = make(tmp_path)
    before = content(read_dataset(file))
    tick(tmp_path)
    change(tmp_path)
    after = content(read_dataset(file))
    assert after == fresh(file)
    assert after != before
    assert content(read_dataset(file)) == after


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_link_with_another_target_is_seen(tmp_path: Path, settled: None, kind: str) -> None:
    file = make(tmp_path)
    link = next((tmp_path / kind / "train").glob("1.*"))
    targets = [tmp_path / f"{n}{link.suffix}" for n in range(2)]
    for i, target in enumerate(targets):
        draw(target, 70 + i) if kind == "images" else label(target, f"0 .5 .5 .{i + 4} .2\n")
        os.utime(target, ns=(10**18, 10**18))
    read = []
    for target in targets:
        link.unlink()
        link.symlink_to(target)
        read.append(content(read_dataset(file)))
        assert read[-1] == fresh(file)
    assert read[0] != read[1]


def test_a_dataset_that_was_moved_is_read_there(tmp_path: Path, settled: None) -> None:
    file = make(tmp_path / "one")
    before = read_dataset(file)
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = read_dataset(tmp_path / "two" / "data.yaml")
    assert names(moved) == names(before)
    assert moved.fingerprint() == before.fingerprint()
    make(tmp_path / "one", 2)
    assert names(read_dataset(file)) == names(before)[:2]


@pytest.mark.parametrize(("before", "after"), [("0", "00"), ("001", "011"), ("00", "001"), ("01", "0011")])
def test_images_that_are_listed_twice_keep_their_rows(tmp_path: Path, settled: None, before: str, after: str) -> None:
    make(tmp_path)
    file = write_yaml(tmp_path, train="list.txt")
    for listed in (before, after):
        (tmp_path / "list.txt").write_text("".join(f"./images/train/{n}.png\n" for n in listed))
        data = read_dataset(file)
        assert content(data) == fresh(file)
        assert data.splits["train"].image.tolist() == list(range(len(listed)))


def test_a_broken_link_with_another_target_is_reported_again(tmp_path: Path, settled: None) -> None:
    file = make(tmp_path)
    link = tmp_path / "images" / "train" / "1.png"
    for target, code in (("nowhere.png", "link-broken"), ("1.png", "link-loop"), ("elsewhere.png", "link-broken")):
        tick(tmp_path)
        link.unlink()
        link.symlink_to(target)
        data = read_dataset(file)
        assert code in codes(data)
        assert content(data) == fresh(file)


@pytest.mark.parametrize("suffix", [".png", ".txt"])
def test_a_file_that_could_not_be_read_for_once_is_read_again(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file = make(tmp_path)
    really = os.open

    def failing(path: Any, *args: Any, **options: Any) -> int:
        if str(path).endswith(f"1{suffix}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return really(path, *args, **options)

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", failing)
        assert any(f.severity == "error" for f in read_dataset(file).findings)
    assert not read_dataset(file).findings


# A cache that is not as it was left


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.sprung), "w")


@pytest.fixture
def cached(tmp_path: Path, settled: None, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A dataset, the cache of its training images, and what was read."""
    file = make(tmp_path)
    label(tmp_path / "labels" / "train" / "1.txt", "0 .5 .5 odd .2\n1 .5 .5 .2 .2\n")
    expected = content(read_dataset(file))
    return file, max(entries(folder), key=lambda f: f.stat().st_size), expected


def test_a_damaged_cache_is_rebuilt(cached: tuple[Path, Path, dict[str, Any]]) -> None:
    file, entry, expected = cached
    whole = entry.read_bytes()
    ends = range(0, len(whole), 97)
    bits = [(i, 1 << i % 8) for i in range(0, len(whole), 11)] + [(i, 0xFF) for i in range(5, len(whole), 13)]
    damaged = [whole[:end] for end in ends]
    damaged += [whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :] for i, flip in bits]
    damaged += [whole[:i] + bytes(40) + whole[i + 40 :] for i in range(0, len(whole), 151)]
    for content_ in [*damaged, b"", bytes(100), b"nonsense", whole + b"more", whole[::-1]]:
        entry.write_bytes(content_)
        assert content(read_dataset(file)) == expected
    assert content(read_dataset(file)) == expected


def foreign(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_file_of_others_is_not_taken_for_the_cache(cached: tuple[Path, Path, dict[str, Any]]) -> None:
    file, entry, expected = cached
    other = max((e for e in entries(entry.parent.parent) if e != entry), key=lambda f: f.stat().st_size)
    plain = {name: np.arange(4) for name in ("about", "images", "image_stats", "label_stats", "shapes", "marks")}
    for content_ in (foreign(a=np.arange(3)), foreign(**plain), foreign(), other.read_bytes()):
        entry.write_bytes(content_)
        assert content(read_dataset(file)) == expected


@pytest.mark.parametrize("part", ["the file", "shapes", "marks", "image_stats"])
def test_a_cache_that_would_run_code_is_rebuilt(
    tmp_path: Path, cached: tuple[Path, Path, dict[str, Any]], part: str
) -> None:
    file, entry, expected = cached
    sprung = tmp_path / "sprung"
    if part == "the file":
        entry.write_bytes(pickle.dumps(Trap(sprung)))
    else:  # whole in every other way
        sources = [tmp_path / "images" / "train"]
        known = cache.load("train", sources)
        assert known is not None
        trapped = np.array([Trap(sprung)] * len(getattr(known, part)), object)
        cache.save("train", sources, replace(known, **{part: trapped}))
        assert str(sprung).encode() in entry.read_bytes()
    assert content(read_dataset(file)) == expected
    assert not sprung.exists()


def test_a_folder_that_cannot_be_written_to_costs_nothing_else(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(tmp_path)
    (tmp_path / "taken").write_text("a file")
    expected = fresh(file)
    for place in ("taken", "taken/cache", "/proc/none"):
        monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / place))
        assert content(read_dataset(file)) == expected
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_folder_in_the_place_of_the_cache_costs_nothing_else(cached: tuple[Path, Path, dict[str, Any]]) -> None:
    file, entry, expected = cached
    entry.unlink()
    entry.mkdir()
    assert content(read_dataset(file)) == expected


def test_the_folder_of_caches_is_where_the_user_says(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    file = make(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRAINER_CACHE_DIR", "~/mine")
    read_dataset(file)
    assert len(entries(tmp_path / "mine")) == 2
    assert not folder.exists()
