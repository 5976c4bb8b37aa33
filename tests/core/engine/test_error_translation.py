"""What goes wrong while training ends in the documented error."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import pytest

import trainer_host
from tests.support.sample_datasets import detect_dataset
from trainer_host.engine.error_translation import translated
from trainer_host.engine.ultralytics.engine_errors import engine_errors


@pytest.mark.train
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    data = detect_dataset(tmp_path / "data", images=8)
    settings = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 2, "batch": 4, "plots": False, "optimizer": "SGD"}
    with pytest.raises(trainer_host.LossError, match="NaN or infinite") as caught:
        trainer_host.run("detect", data=data, project=tmp_path / "runs", box=1e39, **settings)
    assert caught.value.exit_code == 7
    assert "status: loss not finite" in (tmp_path / "runs" / "train" / "run.yaml").read_text()
    assert not list((tmp_path / "runs" / "train" / "weights").glob("*.pt"))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), trainer_host.MemoryExhaustedError),
        (MemoryError(), trainer_host.MemoryExhaustedError),
        (OSError(errno.ENOSPC, "No space left on device", "last.pt"), trainer_host.StorageError),
        (OSError(errno.EROFS, "Read-only file system", "last.pt"), trainer_host.StorageError),
        (RuntimeError("Training failed: NaN persisted for 4 epochs"), trainer_host.LossError),
        (ValueError("Invalid CUDA 'device=0' requested.\nmore"), trainer_host.SettingsError),
        (cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory)"), trainer_host.MemoryExhaustedError),
        (RuntimeError("bfloat16 autocast requires CUDA with native support"), trainer_host.SettingsError),
        (ValueError("final batch=1 training at imgsz=32: keep every size >= 64"), trainer_host.SettingsError),
        (ImportError("libGL.so.1: cannot open shared object file"), trainer_host.EnvironmentProblemError),
    ],
)
def test_known_causes_become_documented_errors(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected), translated(), engine_errors():
        raise raised


@pytest.mark.parametrize(
    "raised", [RuntimeError("shapes differ"), ValueError("no"), ImportError("no module x"), cv2.error("no")]
)
def test_everything_else_keeps_its_traceback(raised: Exception) -> None:
    with pytest.raises(type(raised), match=str(raised)), translated(), engine_errors():
        raise raised
