"""Resuming a run with more epochs: on the same dataset, and with the optimizer that ``optimizer=auto`` chose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

import trainer_host
from tests.support.sample_datasets import pose_dataset
from trainer_host.engine.state_files import StateEntry, StateFiles

pytestmark = pytest.mark.train


def refuses_a_dataset_that_changed(folder: Path, data: Path) -> None:
    """Check what is said of a label, of an image and of a key that changed since a run, and put them back."""
    label, image = data.parent / "labels/train/0000.txt", data.parent / "images/val/0000.jpg"
    gone = image.with_suffix(".kept")
    for changed, said in {
        label: "labels of train; files newer than the run: data/labels/train/0000.txt",
        image: "val has 1 image instead of 2; val has 1 object instead of 2",
        data: "keys of its YAML; files newer than the run: data/data.yaml",
    }.items():
        kept, old = changed.read_bytes(), changed.stat().st_mtime_ns
        if changed == image:
            image.rename(gone)
        else:
            changed.write_bytes(
                kept.replace(b"0.", b"0.1", 1) if changed == label else kept.replace(b"figure", b"person")
            )
        with pytest.raises(trainer_host.SettingsError) as caught:
            trainer_host.resume(folder, epochs=3)
        start = f"the run was recorded with a dataset that has changed since ({said}"
        assert str(caught.value).startswith(start)
        assert "which would change the result. Fix: restore it, or accept another result with --allow dataset" in str(
            caught.value
        )
        if changed == image:
            gone.rename(image)
        else:
            changed.write_bytes(kept)
            os.utime(changed, ns=(old, old))


def test_more_epochs_keep_the_optimizer_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pose_dataset(tmp_path / "data", images=2)
    settings = {"model": "yolo11n-pose.yaml", "imgsz": 32, "batch": 2, "workers": 0, "plots": False}
    first = trainer_host.run("pose", data=data, epochs=1, keep_state=True, **settings)
    refuses_a_dataset_that_changed(first.save_dir, data)
    # More than 10,000 steps, for which the engine would choose another one; the time limit ends it at once.
    result = trainer_host.resume(first.save_dir, epochs=10_002, time=1e-6, keep_state=True)
    assert result.epochs == 1
    recorded = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]["states"]
    found = StateFiles(result.save_dir / "weights").newest([StateEntry.of_data(one) for one in recorded])
    assert found is not None
    state = found[1]
    assert (state["optimizer"]["class"], state["settings"]["lr0"]) == ("AdamW", 0.002)
