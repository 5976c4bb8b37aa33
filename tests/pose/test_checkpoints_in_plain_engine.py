"""Checkpoints of the built-in tasks: what plain ultralytics can do with them."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

import pytest

from tests.support.command import python
from tests.support.sample_datasets import pose_dataset
from trainer_host import RunResult, run

pytestmark = pytest.mark.train

BLOCK = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"trainer_host", "trainer_pose", "trainer_detect"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from ultralytics import YOLO
model = YOLO(sys.argv[1])
assert model.task == "pose", model.task
result = model.predict(sys.argv[2], verbose=False, conf=0.0001)[0]
assert result.keypoints.data.shape[1:] == tuple(model.model.kpt_shape)
print("predicted", len(result.boxes))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Path]:
    folder = tmp_path_factory.mktemp("files")
    data = pose_dataset(folder / "data", images=8)
    result = run(
        "pose",
        data=data,
        model="yolo11n-pose.yaml",
        imgsz=32,
        epochs=1,
        batch=4,
        plots=False,
        project=folder / "runs",
    )
    return result, data


def test_plain_ultralytics_loads_and_predicts_without_the_host(trained: tuple[RunResult, Path], tmp_path: Path) -> None:
    result, data = trained
    image = next((data.parent / "images" / "val").iterdir())
    assert "predicted" in python(BLOCK, words=[result.best, image], cwd=tmp_path)


@pytest.mark.parametrize("which", ["best", "last"])
def test_the_pickle_names_no_foreign_class(trained: tuple[RunResult, Path], which: str) -> None:
    path = getattr(trained[0], which)
    names = {n for n in pickled_names(path) if re.split(r"[. ]", n)[0] not in {"torch", "numpy", "ultralytics"}}
    assert names <= {"collections OrderedDict", "__builtin__ set", "_codecs encode"}


def pickled_names(path: Path) -> set[str]:
    """Return the globals of a checkpoint's pickle, as ``module name``."""
    with zipfile.ZipFile(path) as archive:
        data = next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    found, strings = set(), []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            found.add(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            found.add(" ".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    assert any(name.startswith("ultralytics.nn.tasks") for name in found)
    return found


def test_the_record_restores_the_chain(trained: tuple[RunResult, Path]) -> None:
    import torch

    result, _ = trained
    record = torch.load(result.best, weights_only=False)["trainer_host"]
    assert record["task"] == "pose"
    assert record["chain"] == ["detect", "pose"]
    assert record["data"]["kpt_shape"]
    assert record["data"]["yaml_file"] == str(result.save_dir / "dataset.yaml")
