"""What the detect task does with a dataset that is not as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.figures import detect_dataset
from trainer_host import run
from trainer_host.base.reporting import Silent


class Listening(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.train
def test_images_that_are_left_out_are_named(tmp_path: Path) -> None:
    data = detect_dataset(tmp_path / "data", images=8)
    label = sorted((data.parent / "labels" / "train").glob("*.txt"))[0]
    label.write_text("0 0.5 0.5 nonsense 0.1\n")
    heard = Listening()
    settings = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 4, "plots": False}
    run("detect", data=data, project=tmp_path, reporter=heard, **settings)
    said = [w for w in heard.warnings if "left out" in w]
    assert len(said) == 1
    assert said[0].startswith("1 of 8 train images")
    assert label.name in said[0]
