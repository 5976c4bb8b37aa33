"""Whatever is done to a dataset between two readings, the cache never shows."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.yolo_datasets import content, draw, fresh, label, make, put_back, swap, tick, write_yaml
from trainer_host.data import scan_cache as cache
from trainer_host.data.dataset_reader import read_dataset

HOUR = 3600 * 1_000_000_000
SPLITS = st.sampled_from(["train", "val"])
NUMBERS = st.integers(0, 3)
TEXTS = st.sampled_from(
    ["", "\n", "0 .5 .5 .2 .2\n", "1 .5 .5 .2 .2\n0 .1 .1 .1 .1\n", "0 .5 .5 odd .2\n", "\ufeff1 1"]
)


class Edited(RuleBasedStateMachine):
    """A dataset that is edited, and read after each edit."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.scratch = TemporaryDirectory()
        root = Path(self.scratch.name).resolve()
        self.cache, self.root = root / "cache", root / "data"
        self.patch.setenv("TRAINER_CACHE_DIR", str(self.cache))
        clock = cache.now
        self.patch.setattr(cache, "now", lambda: clock() + HOUR)
        self.root.mkdir()
        self.file = make(self.root)

    def teardown(self) -> None:
        self.patch.undo()
        self.scratch.cleanup()

    def image(self, split: str, number: int) -> Path:
        return self.root / "images" / split / f"{number}.png"

    def label(self, split: str, number: int) -> Path:
        return self.root / "labels" / split / f"{number}.txt"

    @rule(split=SPLITS, number=NUMBERS, text=TEXTS)
    def write_label(self, split: str, number: int, text: str) -> None:
        label(self.label(split, number), text)

    @rule(split=SPLITS, number=NUMBERS, digit=st.integers(1, 9))
    def write_label_and_put_times_back(self, split: str, number: int, digit: int) -> None:
        file = self.label(split, number)
        if file.is_file() and len(old := file.read_bytes()) > 2:
            put_back(file, old[:-2] + str(digit).encode() + old[-1:])

    @rule(split=SPLITS, number=NUMBERS, shade=st.integers(0, 3), side=st.sampled_from([5, 16, 20]))
    def draw_image(self, split: str, number: int, shade: int, side: int) -> None:
        self.image(split, number).unlink(missing_ok=True)
        draw(self.image(split, number), shade, (side, 16))

    @rule(split=SPLITS, number=NUMBERS, what=st.sampled_from(["image", "label"]))
    def remove(self, split: str, number: int, what: str) -> None:
        getattr(self, what)(split, number).unlink(missing_ok=True)

    @rule(split=SPLITS, number=NUMBERS, other=NUMBERS, what=st.sampled_from(["image", "label"]))
    def rename(self, split: str, number: int, other: int, what: str) -> None:
        file = getattr(self, what)(split, number)
        if os.path.lexists(file):
            file.replace(getattr(self, what)(split, other))

    @rule(number=NUMBERS, what=st.sampled_from(["image", "label"]))
    def exchange(self, number: int, what: str) -> None:
        one, other = getattr(self, what)("train", number), getattr(self, what)("val", number)
        if os.path.lexists(one) and os.path.lexists(other):
            swap(one, other)

    @rule(split=SPLITS, number=NUMBERS, other=st.integers(0, 9), what=st.sampled_from(["image", "label"]))
    def link(self, split: str, number: int, other: int, what: str) -> None:
        file = getattr(self, what)(split, number)
        file.unlink(missing_ok=True)
        file.symlink_to(getattr(self, what)("train" if split == "val" else "val", other))

    @rule(split=SPLITS, number=NUMBERS, when=st.sampled_from([0, 10**18, 4 * 10**18]))
    def set_times(self, split: str, number: int, when: int) -> None:
        file = self.label(split, number)
        if file.exists():
            os.utime(file, ns=(when, when))

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=5))
    def list_images(self, numbers: list[int]) -> None:
        (self.root / "list.txt").write_text("".join(f"./images/train/{n}.png\n" for n in numbers))
        write_yaml(self.root, train="list.txt")

    @rule(train=st.sampled_from(["images/train", "images/val", "images", ["images/val", "images/train"]]))
    def name_folders(self, train: Any) -> None:
        write_yaml(self.root, train=train)

    @rule(place=st.floats(0, 1), cut=st.booleans())
    def damage_the_cache(self, place: float, cut: bool) -> None:
        for entry in (self.cache / "datasets").glob("*.npz"):
            data = bytearray(entry.read_bytes())
            at = int(place * (len(data) - 1))
            data[at] ^= 0x10
            entry.write_bytes(data[:at] if cut else data)

    @invariant()
    def the_cache_does_not_show(self) -> None:
        expected = fresh(self.file)
        assert content(read_dataset(self.file)) == expected
        assert content(read_dataset(self.file)) == expected
        tick(self.root)


TestEdited = Edited.TestCase
TestEdited.settings = settings(
    max_examples=30,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
