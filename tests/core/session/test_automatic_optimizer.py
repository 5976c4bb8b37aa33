"""The optimizer that ``optimizer=auto`` chooses by the length of a training, and a resume with more epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import trainer_host
from tests.support.sample_datasets import pose_dataset
from trainer_host.engine.state_files import StateEntry, StateFiles

pytestmark = pytest.mark.train


def test_more_epochs_keep_the_optimizer_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pose_dataset(tmp_path / "data", images=2)
    settings = {"model": "yolo11n-pose.yaml", "imgsz": 32, "batch": 2, "workers": 0, "plots": False}
    first = trainer_host.run("pose", data=data, epochs=1, keep_state=True, **settings)
    # More than 10,000 steps, for which the engine would choose another one; the time limit ends it at once.
    result = trainer_host.resume(first.save_dir, epochs=10_002, time=1e-6, keep_state=True)
    assert result.epochs == 1
    recorded = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]["states"]
    found = StateFiles(result.save_dir / "weights").newest([StateEntry.of_data(one) for one in recorded])
    assert found is not None
    state = found[1]
    assert (state["optimizer"]["class"], state["settings"]["lr0"]) == ("AdamW", 0.002)
