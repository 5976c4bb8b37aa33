"""Metrics and post-processing of plugins, in the validators and predictors of detect and pose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from trainer_host import Detections, PluginError, PredictionContext, ValidationContext

BOXES = [[10.0, 10.0, 30.0, 30.0], [40.0, 40.0, 60.0, 60.0]]
SHAPE = (64, 96)


class Remembers:
    """A metric that keeps what it is given."""

    def __init__(self, figure: Any = 0.5) -> None:
        self.figure, self.images = figure, [(1, 2)]

    def reset(self) -> None:
        self.images: list[Any] = []

    def update(self, found: Detections, truth: Detections) -> None:
        self.images.append((found, truth))

    def compute(self) -> Any:
        return self.figure


def head(batch: int, points: int) -> Any:
    """Return what a model with an end-to-end head finds in a batch: two objects in each image."""
    rows = [[*box, 0.9 - 0.2 * i, 0.0, *[20.0 + i, 25.0, 0.3] * points] for i, box in enumerate(BOXES)]
    return torch.tensor([rows] * batch)


def labels(batch: int, points: int) -> dict[str, Any]:
    """Return a batch with one object in its first image alone."""
    height, width = SHAPE
    found: dict[str, Any] = {
        "img": torch.zeros(batch, 3, *SHAPE, dtype=torch.uint8),
        "batch_idx": torch.zeros(1),
        "cls": torch.zeros(1, 1),
        "bboxes": torch.tensor([[20 / width, 20 / height, 20 / width, 20 / height]]),
        "ori_shape": [SHAPE] * batch,
        "ratio_pad": [((1.0, 1.0), (0.0, 0.0))] * batch,
        "im_file": [f"{i}.jpg" for i in range(batch)],
    }
    if points:
        found["keypoints"] = torch.tensor([[20 / width, 25 / height, 2.0]] * points)[None]
    return found


def measure(task: str, folder: Path, metrics: Any = None, keep: Any = None) -> tuple[dict[str, Any], Any]:
    """Run a validator as the engine does, without a network and a loader; return its figures and itself."""
    from ultralytics.cfg import get_cfg

    points = 2 if task == "pose" else 0
    args = get_cfg(overrides={"task": task, "plots": False})
    ctx = ValidationContext(
        task=task,
        engine_task=task,
        args=args,
        data={"kpt_shape": [points, 3]},
        save_dir=folder,
        metrics=metrics or {},
        postprocess=keep,
    )
    if task == "pose":
        from trainer_pose.validator import KeypointValidator as Kind
    else:
        from trainer_detect.validator import BoxValidator as Kind
    validator = Kind.of(ctx)
    validator.data, validator.device = {"kpt_shape": [points, 3], "val": ""}, torch.device("cpu")
    validator.init_metrics(SimpleNamespace(names={0: "thing"}, end2end=True))
    batch = validator.preprocess(labels(2, points))
    validator.update_metrics(validator.postprocess(head(2, points)), batch)
    stats = validator.get_stats()
    validator.print_results()
    return stats, validator


@pytest.mark.parametrize("task", ["detect", "pose"])
def test_a_metric_gets_each_image_in_pixels_with_its_labels(task: str, tmp_path: Path) -> None:
    metric = Remembers()
    stats, validator = measure(task, tmp_path, {"metrics/mine": metric})
    assert stats["metrics/mine"] == 0.5
    assert list(stats)[-2:] == ["metrics/mine", "fitness"]
    assert validator.metrics.keys == [k for k in stats if k != "fitness"], "columns are the same in every epoch"
    (found, truth), (again, empty) = metric.images
    assert found.boxes.tolist() == again.boxes.tolist() == BOXES
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert truth.boxes.tolist() == [pytest.approx(BOXES[0])]
    assert (truth.shape, truth.scores.tolist(), len(empty)) == (SHAPE, [1.0], 0)
    if task == "pose":
        assert found.points[1].tolist() == [pytest.approx([21.0, 25.0, 0.3])] * 2
        assert truth.points[0].tolist() == [pytest.approx([20.0, 25.0, 2.0])] * 2
        assert empty.points.shape == (0, 2, 3)
    else:
        assert found.points is truth.points is None


@pytest.mark.parametrize("task", ["detect", "pose"])
def test_metrics_leave_the_tasks_own_figures_as_they_are(task: str, tmp_path: Path) -> None:
    plain, validator = measure(task, tmp_path)
    assert type(validator.metrics).__module__ == "ultralytics.utils.metrics"
    more, _ = measure(task, tmp_path, {"metrics/mine": Remembers()}, keep=lambda found: found)
    assert {k: v for k, v in more.items() if k != "metrics/mine"} == plain
    assert plain["metrics/mAP50-95(B)"] > 0.4


@pytest.mark.parametrize("figure", [math.nan, math.inf, None, "good", [1, 2]])
def test_a_metric_that_is_no_finite_number_is_reported_with_its_name(figure: Any, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="the metric 'metrics/mine' is"):
        measure("detect", tmp_path, {"metrics/mine": Remembers(figure)})


def test_a_metric_may_be_a_tensor_or_a_number_of_numpy(tmp_path: Path) -> None:
    figures = {"metrics/torch": Remembers(torch.tensor(0.25)), "metrics/numpy": Remembers(np.float32(0.75))}
    stats, _ = measure("detect", tmp_path, figures)
    assert (stats["metrics/torch"], stats["metrics/numpy"]) == (0.25, 0.75)


def test_a_metric_may_not_have_the_name_of_the_tasks_own(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"the task itself already has the metric 'metrics/mAP50\(B\)'"):
        measure("detect", tmp_path, {"metrics/mAP50(B)": Remembers()})


def test_what_post_processing_drops_is_not_measured(tmp_path: Path) -> None:
    metric = Remembers()

    def only_second(found: Any) -> list[Detections]:
        return [image.keep(image.scores < 0.8) for image in found]

    stats, _ = measure("pose", tmp_path, {"metrics/mine": metric}, only_second)
    assert [len(found) for found, _ in metric.images] == [1, 1]
    assert stats["metrics/mAP50(B)"] == 0.0


def test_what_post_processing_scores_anew_comes_in_the_order_of_its_scores(tmp_path: Path) -> None:
    metric = Remembers()
    measure("pose", tmp_path, {"metrics/m": metric}, lambda found: [replace(f, scores=1 - f.scores) for f in found])
    assert metric.images[0][0].scores.tolist() == pytest.approx([0.3, 0.1])
    assert metric.images[0][0].boxes.tolist() == BOXES[::-1]


WRONG: dict[str, tuple[Callable[[Detections], Any], str]] = {
    "type": (lambda found: found.boxes, "a Tensor, not Detections"),
    "boxes": (lambda found: replace(found, boxes=found.boxes[:, :2]), "boxes of shape (2, 2) instead of (N, 4)"),
    "counts": (lambda found: replace(found, scores=found.scores[:1]), "scores of shape (1,) instead of (N)"),
    "points": (lambda found: replace(found, points=None), "points that are None, unlike before"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_predictions_that_no_longer_fit_together_are_reported(wrong: str, tmp_path: Path) -> None:
    change, reported = WRONG[wrong]
    with pytest.raises(PluginError) as caught:
        measure("pose", tmp_path, keep=lambda found: [change(image) for image in found])
    assert reported in str(caught.value)


# Predicting


def result(kind: str) -> Any:
    """Return what the engine's predictor finds in an image, as it does inside its own inference mode."""
    from ultralytics.engine.results import Results

    with torch.inference_mode():
        found = head(1, 2)[0]
        blank = Results(np.zeros((*SHAPE, 3), np.uint8), path="x.jpg", names={0: "thing"})
        if kind == "obb":
            blank.update(obb=torch.cat([found[:, :4], torch.full((2, 1), 0.5), found[:, 4:6]], dim=1))
        else:
            blank.update(boxes=found[:, :6])
        if kind == "pose":
            blank.update(keypoints=found[:, 6:].view(2, 2, 3))
        if kind == "segment":
            blank.update(masks=torch.zeros(2, 8, 8).index_fill_(0, torch.tensor([1]), 1.0))
    return blank


@pytest.mark.parametrize("kind", ["detect", "pose", "obb", "segment"])
def test_results_of_the_engine_become_detections_and_come_back(kind: str) -> None:
    from trainer_detect.detections import from_result, to_result

    before = result(kind)
    found = from_result(before)
    assert (found.shape, found.scores.tolist()) == (SHAPE, pytest.approx([0.9, 0.7]))
    after = to_result(found.keep(found.scores < 0.8), before)
    assert (after.path, after.names, len(after)) == ("x.jpg", {0: "thing"}, 1)
    assert after.orig_img is before.orig_img
    if kind == "obb":
        assert torch.equal(after.obb.data, before.obb.data[1:])
    else:
        assert torch.equal(after.boxes.data, before.boxes.data[1:])
    if kind == "pose":
        assert torch.equal(after.keypoints.data, before.keypoints.data[1:])
    if kind == "segment":
        assert after.masks.data.unique().tolist() == [1.0]


def predicting(postprocess: Any) -> Any:
    from trainer_pose.predictor import KeypointPredictor

    predictor = object.__new__(KeypointPredictor)
    model = SimpleNamespace(kpt_names={0: ["nose", "tail"]})
    predictor.ctx = PredictionContext(task="pose", engine_task="pose", args=None, model=model, postprocess=postprocess)
    return predictor


def test_predictions_are_described_as_plugins_leave_them() -> None:
    def fade(found: Any) -> list[Detections]:
        image = found[0].keep([1])
        image.points[..., 2] *= 0.5  # its own tensors may be written to
        return [image]

    predictor, before = predicting(fade), result("pose")
    after = predictor.kept(before)
    objects = [predictor.describe(after, i) for i in range(len(after))]
    assert [(o["confidence"], o["box"]) for o in objects] == [(0.7, BOXES[1])]
    assert objects[0]["keypoints"][0] == {"name": "nose", "x": 21.0, "y": 25.0, "confidence": 0.15}
    assert float(before.keypoints.data[1, 0, 2]) == pytest.approx(0.3), "what others hold is left alone"


def test_without_post_processing_the_engines_result_is_used_itself() -> None:
    before = result("pose")
    assert predicting(None).kept(before) is before


def test_keypoints_of_low_confidence_keep_their_place() -> None:
    predictor = predicting(None)
    low = predictor.describe(result("pose"), 0)["keypoints"]
    assert low == [{"name": n, "x": 20.0, "y": 25.0, "confidence": 0.3} for n in ("nose", "tail")]
