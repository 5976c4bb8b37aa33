"""Checkpoints of every family, as the engine writes them: read inertly, and equal to the engine's own load."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sample_datasets import pose_dataset

FAMILIES = [f"{family}n{kind}.yaml" for family in ("yolov8", "yolo11", "yolo12", "yolo26") for kind in ("", "-pose")]


def saved(folder: Path, model: Any, **content: Any) -> Path:
    """Write a model as a training of the engine leaves it, with weights of half precision that are not its first."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.add_(0.01 * torch.randn_like(value))
    model.args = {"task": model.task, "imgsz": 64}
    path = folder / "saved.pt"
    settings = {"task": model.task, "imgsz": 64, **content}
    torch.save({"epoch": -1, "model": deepcopy(model).half(), "ema": None, "train_args": settings}, path)
    return path


def tensors(found: Any) -> list[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        return [found]
    return [t for part in (found.values() if isinstance(found, dict) else found) for t in tensors(part)]


def equal(path: Path) -> Any:
    """Load a file by the engine and by the host, compare tensors, modules and outputs; return the host's model."""
    from ultralytics.nn.tasks import load_checkpoint

    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
    from trainer_host.engine.ultralytics.model_loading import starting_weights

    before = torch.get_rng_state()
    ours = starting_weights(read_checkpoint(path), {})
    assert torch.equal(torch.get_rng_state(), before), "a model that is loaded draws no random numbers"
    stock, _ = load_checkpoint(path)
    theirs, own = stock.state_dict(), ours.state_dict()
    assert list(own) == list(theirs)
    assert all(torch.equal(own[n], theirs[n]) and own[n].dtype == theirs[n].dtype for n in own)
    kinds = [[type(m) for _, m in model.named_modules(remove_duplicate=False)][1:] for model in (ours, stock)]
    assert kinds[0] == kinds[1]
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(map(torch.equal, tensors(ours(image)), tensors(stock(image))))
    return ours


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_equals_the_engines_load(tmp_path: Path, name: str) -> None:
    from ultralytics import YOLO

    ours = equal(saved(tmp_path, YOLO(name).model))
    assert ours.yaml["yaml_file"] == name


def test_activations_of_another_release_are_kept(tmp_path: Path) -> None:
    """In releases before 8.4.150 a layer of older architectures had no activation; its tensors are the same."""
    from ultralytics import YOLO

    model = YOLO("yolo11n-pose.yaml").model
    pooling = next(m for m in model.model if type(m).__name__ == "SPPF")
    assert not isinstance(pooling.cv1.act, torch.nn.Identity)
    pooling.cv1.act = torch.nn.Identity()
    model.model[0].act = torch.nn.LeakyReLU(0.3)
    ours = equal(saved(tmp_path, model))
    assert ours.model[0].act.negative_slope == 0.3


def test_a_layer_without_tensors_that_is_not_an_activation_is_refused(tmp_path: Path) -> None:
    from ultralytics import YOLO

    from trainer_host import SettingsError
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
    from trainer_host.engine.ultralytics.model_loading import starting_weights

    model = YOLO("yolo11n-pose.yaml").model
    model.model[0].act = torch.nn.Softmax(dim=1)
    with pytest.raises(SettingsError, match=r"the layer model\.0\.act is a Softmax, which this release"):
        starting_weights(read_checkpoint(saved(tmp_path, model)), {})


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml"])
def test_a_model_for_few_classes_keeps_the_width_of_its_origin(tmp_path: Path, name: str) -> None:
    """The engine keeps the class branches of weights for 80 classes, and its architecture does not say so."""
    from ultralytics import YOLO

    origin = YOLO(name).model
    few = type(origin)(deepcopy(origin.yaml), ch=3, nc=2, verbose=False)
    few.load(origin, verbose=False)
    few.task = origin.task
    assert few.model[-1].cv3[0][-1].in_channels == 80
    ours = equal(saved(tmp_path, few))
    assert ours.model[-1].cv3[0][-1].weight.shape[:2] == (2, 80)


@pytest.mark.train
@pytest.mark.parametrize("name", ["yolov8n-pose.yaml", "yolo26n-pose.yaml"])
def test_validation_and_prediction_equal_the_engines(tmp_path: Path, name: str) -> None:
    from ultralytics import YOLO

    import trainer_host

    data = pose_dataset(tmp_path / "data", images=4)
    model = YOLO(name).model
    small = type(model)(deepcopy(model.yaml), ch=3, nc=1, verbose=False, data_kpt_shape=(9, 3))
    small.names, small.task, small.kpt_shape = {0: "figure"}, "pose", (9, 3)
    path = saved(tmp_path, small, data=str(data))
    settings = {"imgsz": 64, "batch": 2, "conf": 0.0001, "device": "cpu", "workers": 0}
    stock = YOLO(path)
    theirs = stock.val(data=str(data), plots=False, project=str(tmp_path), rect=True, **settings).results_dict
    ours = trainer_host.val(path, data=str(data), plots=False, project=str(tmp_path), **settings)
    assert {k: v for k, v in ours.metrics.items() if k.startswith("metrics/")} == {
        k: v for k, v in theirs.items() if k.startswith("metrics/")
    }
    images = sorted((tmp_path / "data" / "images" / "val").iterdir())
    found = trainer_host.predict(path, images[0].parent, imgsz=64, conf=0.0001, device="cpu")
    results = stock.predict(images, imgsz=64, conf=0.0001, verbose=False)
    for result, prediction in zip(results, found.predictions, strict=True):
        boxes = [[round(v, 2) for v in row] for row in result.boxes.xyxy.tolist()]
        assert [o["box"] for o in prediction["objects"]] == boxes
        assert len(boxes) > 0
