"""A dataset, a model and a checkpoint that are as small as possible, so that a training takes a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.command import Done

MODEL = """
nc: 1
kpt_shape: [2, 3]
end2end: True
reg_max: 1
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
head:
  - [[2, 3], 1, Pose26, [nc, kpt_shape]]
"""
DATA = "path: .\ntrain: images/train\nval: images/val\nnames: {0: a}\nkpt_shape: [2, 3]\nflip_idx: [1, 0]\n"
ROW = "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 2\n"


@dataclass(frozen=True)
class Tiny:
    """Words that each command needs."""

    folder: Path
    run: tuple[str, ...]
    val: tuple[str, ...]
    predict: tuple[str, ...]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return the words of a command on the smallest dataset and model."""
    import trainer_host

    folder = tmp_path_factory.mktemp("tiny")
    for number, split in enumerate(("train", "val")):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng(10 * number + i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "images" / split / f"{split}{i}.png"), pixels)
            (folder / "labels" / split / f"{split}{i}.txt").write_text(ROW)
    data, model, best = folder / "data.yaml", folder / "model.yaml", folder / "best.pt"
    data.write_text(DATA)
    model.write_text(MODEL)
    trained = trainer_host.run(
        "pose",
        data=str(data), model=str(model), epochs=1, imgsz=32, batch=4, plots=False, save_dir=str(folder / "run"),
    )  # fmt: skip
    assert trained.best is not None
    trained.best.replace(best)
    return Tiny(
        folder,
        run=(
            "run",
            "--task",
            "pose",
            f"data={data}",
            f"model={model}",
            "epochs=1",
            "imgsz=32",
            "batch=4",
            "plots=False",
        ),
        val=("val", f"model={best}", f"data={data}", "imgsz=32", "plots=False"),
        predict=("predict", f"model={best}", f"source={folder / 'images' / 'val'}", "imgsz=32"),
    )


@pytest.fixture
def trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Return a function that calls ``trainer`` in this process, in a folder of its own."""
    from trainer_host.cli.main import guarded

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_OFFLINE", "")
    for name in [n for n in os.environ if n.startswith("TRAINER_") and n != "TRAINER_CACHE_DIR"]:
        monkeypatch.delenv(name)

    def call(*words: str) -> Done:
        capsys.readouterr()
        code = guarded(list(words))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    yield call
