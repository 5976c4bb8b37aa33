"""Files of strangers: nothing in a dataset or a model runs code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.command import Done, command
from tests.support.sample_datasets import pose_dataset

TINY = ["model=yolo11n-pose.yaml", "imgsz=32", "epochs=1", "batch=4", "plots=False"]


def trainer(folder: Path, *words: str) -> Done:
    return command(*words, cwd=folder, MARK=str(folder / "ran"))


def refused(folder: Path, code: int, *words: str) -> str:
    done = trainer(folder, *words)
    assert not (folder / "ran").exists()
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    return done.err


TOUCH = "import os, pathlib; pathlib.Path(os.environ['MARK']).touch()"


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("val", "images/val"),
        pytest.param("validation", "images/val", marks=pytest.mark.slow),
        pytest.param("val", ["images/val"], marks=pytest.mark.slow),
        pytest.param("val", ["../gone/val"], marks=pytest.mark.slow),
    ],
    ids=["text", "another key", "list", "list with dots"],
)
def test_the_download_of_a_dataset_is_never_run(tmp_path: Path, key: str, entry: Any) -> None:
    folder = tmp_path / "data"
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "gone" / "val").mkdir(parents=True)  # where a list entry without its dots would be found
    data = {"train": "images/train", key: entry, "names": ["a"], "kpt_shape": [2, 3], "download": TOUCH}
    yaml = folder / "data.yaml"
    yaml.write_text(json.dumps(data))
    for given in (str(yaml), str(folder))[: 2 if entry == ["../gone/val"] else 1]:
        said = refused(tmp_path, 4, "run", "--task", "pose", f"data={given}", *TINY)
        assert "never run" in said or "no images in" in said


def test_a_dataset_yaml_from_the_network_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, 6, "run", "--task", "pose", "data=http://127.0.0.1:9/data.yaml", *TINY)
    assert "fetch it yourself" in said


class Evil:
    def __reduce__(self) -> Any:
        return exec, (TOUCH,)


@pytest.mark.train
def test_a_label_cache_is_not_unpickled(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=4)
    for split in ("train", "val"):
        with (data.parent / "labels" / f"{split}.cache").open("wb") as file:
            np.save(file, np.array(Evil(), dtype=object), allow_pickle=True)
    done = trainer(tmp_path, "run", "--task", "pose", f"data={data}", *TINY)
    assert done.code == 0, done.err
    assert not (tmp_path / "ran").exists()
    assert (data.parent / "labels" / "train.cache").read_bytes().startswith(b"\x93NUMPY")  # nor replaced


def test_a_pickle_with_code_is_refused_as_a_model(tmp_path: Path) -> None:
    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    data = pose_dataset(tmp_path / "data", images=2)
    model = f"model={tmp_path / 'evil.pt'}"
    assert "refused" in refused(tmp_path, 6, "run", "--task", "pose", f"data={data}", model)
    assert "refused" in refused(tmp_path, 6, "predict", model, f"source={data.parent}")
    assert "refused" in refused(
        tmp_path, 6, "run", "--task", "pose", f"data={data}", *TINY, f"pretrained={tmp_path}/evil.pt"
    )


@pytest.mark.slow
def test_the_architecture_in_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    from ultralytics import YOLO

    data = pose_dataset(tmp_path / "data", images=2)
    model = YOLO("yolo11n-pose.yaml").model
    model.yaml["activation"] = f"exec({TOUCH!r})"
    torch.save({"model": model, "train_args": {"task": "pose"}}, tmp_path / "evil.pt")
    said = refused(tmp_path, 6, "run", "--task", "pose", f"data={data}", f"model={tmp_path / 'evil.pt'}")
    assert "activation" in said
    record = {
        "task": "pose",
        "state_dict": {},
        "cfg": model.yaml,
        "data": {"nc": 1, "channels": 3, "kpt_shape": [9, 3]},
    }
    torch.save({"model": None, "train_args": {}, "trainer_host": record}, tmp_path / "state.pt")
    source = data.parent / "images" / "val"
    said = refused(tmp_path, 6, "predict", f"model={tmp_path / 'state.pt'}", f"source={source}")
    assert "activation" in said


def test_a_model_yaml_names_layers_only(tmp_path: Path) -> None:
    from ultralytics.nn.tasks import yaml_model_load

    cfg = yaml_model_load("yolo11n-pose.yaml")
    cfg["backbone"][0][2] = "check_requirements"
    (tmp_path / "yolo11n-pose-evil.yaml").write_text(json.dumps(cfg))
    data = pose_dataset(tmp_path / "data", images=2)
    said = refused(tmp_path, 6, "run", "--task", "pose", f"data={data}", f"model={tmp_path}/yolo11n-pose-evil.yaml")
    assert "'check_requirements' in the backbone is not a layer" in said


def test_the_bait_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "ran"))
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "ran").exists()
