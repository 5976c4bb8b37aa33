"""The built-in samples: the first thing that a newcomer trains on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import trainer_detect.sample
import trainer_pose.sample
from tests.support.sample_datasets import pose_dataset
from trainer_host import run


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


@pytest.mark.parametrize("draw", [trainer_pose.sample.draw_sample, trainer_detect.sample.draw_sample])
def test_samples_are_deterministic_and_leave_random_numbers_alone(draw: Any, tmp_path: Path) -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    draw(tmp_path / "one")
    draw(tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert np.random.get_state()[1].tolist() == before  # type: ignore[union-attr]


def test_the_pose_sample_is_a_valid_dataset(tmp_path: Path) -> None:
    data = yaml.safe_load(pose_dataset(tmp_path).read_text())
    count = data["kpt_shape"][0]
    assert sorted(data["flip_idx"]) == list(range(count))
    assert [data["flip_idx"][i] for i in data["flip_idx"]] == list(range(count))
    assert len(data["kpt_names"][0]) == count
    assert all(0 <= a < count and 0 <= b < count for a, b in data["skeleton"])
    for split in ("train", "val"):
        images = sorted((tmp_path / "images" / split).iterdir())
        labels = sorted((tmp_path / "labels" / split).glob("*.txt"))
        assert [i.stem for i in images] == [t.stem for t in labels]
        for label in labels:
            for line in label.read_text().splitlines():
                values = [float(v) for v in line.split()]
                assert len(values) == 5 + 3 * count
                assert all(0 <= v <= 1 for v in values[1:5])
                points = np.array(values[5:]).reshape(count, 3)
                assert set(points[:, 2]) <= {0.0, 1.0, 2.0}
                assert ((points[:, :2] >= 0) & (points[:, :2] <= 1)).all()


@pytest.mark.train
@pytest.mark.parametrize(("task", "aims"), [("pose", {"B": 0.9, "P": 0.5}), ("detect", {"B": 0.9})])
def test_the_sample_is_learnt(
    task: str, aims: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(task)
    assert result.save_dir == tmp_path / "runs" / task / "train"
    reached = {k: result.metrics[f"metrics/mAP50({k})"] for k in aims}
    assert all(reached[k] >= aim for k, aim in aims.items()), reached
    assert result.predictions is not None
    assert result.predictions.stat().st_size > 10_000
    assert (tmp_path / "runs" / "samples" / task / "data.yaml").is_file()
