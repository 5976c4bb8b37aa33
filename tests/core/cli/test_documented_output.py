"""What the pages show of `trainer check` is what it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command import ROOT

WIDTH, HEIGHT = 640, 480
YAML = """train: images/train
val: images/val
names: {0: mouse}
kpt_shape: [4, 3]
flip_idx: [0, 2, 1, 3]
kpt_names: {0: [snout, leftear, rightear, tailbase]}
skeleton: [[0, 1], [0, 2], [1, 3], [2, 3]]
"""
BOX = (0.5, 0.4, 0.25, 0.3)
POINTS = ((0.390625, 0.354167, 2), (0.453125, 0.3125, 2), (0.45, 0.395833, 1), (0.6, 0.45, 2))


def row(shift: float) -> str:
    points = " ".join(f"{x + shift:.6f} {y:.6f} {v}" for x, y, v in POINTS)
    return f"0 {BOX[0] + shift:.6f} " + " ".join(f"{v:.6f}" for v in BOX[1:]) + f" {points}"


def in_pixels(text: str) -> str:
    words = text.split()
    sides = [*(WIDTH, HEIGHT) * 2, *(WIDTH, HEIGHT, 1) * len(POINTS)]
    return " ".join(["0", *(f"{float(w) * s:.6g}" for w, s in zip(words[1:], sides, strict=True))])


def draw_mice(folder: Path) -> None:
    """Draw a dataset of 64 training and 16 validation images, as the tutorial has it."""
    random = np.random.default_rng(0)
    for number in [*range(1, 65), *range(101, 117)]:
        split = "train" if number < 100 else "val"
        image, label = (folder / f"{kind}/{split}/{number:04}" for kind in ("images", "labels"))
        for place in (image, label):
            place.parent.mkdir(parents=True, exist_ok=True)
        blocks = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        blocks.resize((WIDTH, HEIGHT)).save(image.with_suffix(".jpg"), quality=50)
        label.with_suffix(".txt").write_text(f"{row((number - 23) / 1000)}\n")
    (folder / "data.yaml").write_text(YAML)


def edit(folder: Path, file: str, change: Callable[[str], str]) -> None:
    (folder / file).write_text(change((folder / file).read_text()))


def spoil_a_little(folder: Path) -> None:
    edit(folder, "labels/train/0023.txt", in_pixels)
    edit(folder, "labels/train/0007.txt", lambda text: text.rsplit(" ", 1)[0])
    edit(folder, "data.yaml", lambda text: text.replace("[0, 2, 1, 3]", "[0, 1, 2, 3]"))


def spoil(folder: Path) -> None:
    for number in range(20, 24):
        edit(folder, f"labels/train/{number:04}.txt", in_pixels)
    edit(folder, "labels/train/0001.txt", lambda text: text.replace(".", ","))
    edit(folder, "labels/val/0102.txt", lambda text: " ".join([*text.split()[:7], "3", *text.split()[8:]]))
    edit(folder, "data.yaml", lambda text: text.replace("flip_idx", "flip_index"))
    image = folder / "images/train/0020.jpg"
    image.write_bytes(image.read_bytes()[:5000])
    (folder / "labels/train/0030.txt").unlink()


def shown(page: str) -> list[str]:
    """Return the lines of a check that a page shows."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("my-dataset/", "mice/")
    return [line for line in text.splitlines() if line.startswith(("error: ", "warning: ", "mice/data.yaml, checked"))]


@pytest.mark.parametrize(
    ("page", "change"),
    [
        ("README.md", spoil_a_little),
        ("docs/tutorial/first-model.md", spoil_a_little),
        ("docs/how-to/check-a-dataset.md", spoil),
    ],
)
def test_a_page_shows_what_the_check_prints(
    page: str,
    change: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from trainer_host.cli.main import guarded

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    draw_mice(tmp_path / "mice")
    change(tmp_path / "mice")
    assert guarded(["check", "mice/data.yaml"]) == 4
    printed = capsys.readouterr().err.splitlines()
    lines = shown(page)
    assert len(lines) > 2
    assert [line for line in lines if line not in printed] == []
