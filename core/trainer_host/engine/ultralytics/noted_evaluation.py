"""Validators that draw nothing in training: they note what their plots need, which are drawn at the end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import TryExcept
from ultralytics.utils.metrics import ConfusionMatrix, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

MOST_IMAGES = 16
"""Images of a batch that the engine draws."""
LEAST_CONFIDENCE = 0.25
"""Confidence from which the engine draws a prediction."""
NOTED = ("metrics", "confusion_matrix", "seen", "speed", "names", "nc", "jdict")
"""Attributes of a validator that make up the result of an evaluation."""
PREFIXES = {"seg": "Mask"}
"""Beginnings of the names of files with curves, where they are not the name of the metric."""


@dataclass(frozen=True)
class NotedBatch:
    """A batch to draw.

    Attributes:
        labels: Its labels, with the images as bytes.
        found: The predictions on each image.
    """

    labels: dict[str, Any]
    found: Sequence[dict[str, Any]]

    def batch(self) -> dict[str, Any]:
        """Return the batch as the engine draws it, which changes it."""
        copied = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in self.labels.items()}
        return {**copied, "img": self.labels["img"].float() / 255}


@dataclass(frozen=True)
class NotedEvaluation:
    """The result of an evaluation, with what its plots need.

    Attributes:
        epoch: The epoch, counted from 1.
        values: The metrics, as the validator returns them for a trained model.
        results: Attributes of the validator.
        batches: Batches to draw, by their number.
        plots: Whether it is to be drawn.
    """

    epoch: int
    values: Mapping[str, float]
    results: Mapping[str, Any]
    batches: Mapping[int, NotedBatch]
    plots: bool


class NotedMatrix(ConfusionMatrix):
    """A confusion matrix that counts when it is read: in most epochs nobody does."""

    def __init__(self, like: ConfusionMatrix) -> None:
        self._noted: list[tuple[Any, ...]] = []
        super().__init__(names=like.names, task=like.task)

    def process_batch(self, detections: Any, batch: Any, *args: Any, **kwargs: Any) -> None:
        """Note the objects of an image."""
        # Copied: each is a view of all that was found in a batch.
        found = {k: detections[k].to("cpu", copy=True) for k in ("bboxes", "conf", "cls")}
        truth = {k: batch[k].to("cpu", copy=True) for k in ("bboxes", "cls")}
        self._noted.append((found, truth, args, kwargs))

    @property
    def matrix(self) -> Any:
        """The counts."""
        noted, self._noted = self._noted, []
        for found, truth, args, kwargs in noted:
            super().process_batch(found, truth, *args, **kwargs)
        return self._counts

    @matrix.setter
    def matrix(self, counts: Any) -> None:
        self._noted, self._counts = [], counts


class NotingMixin:
    """Mixin for the engine's validators of objects: in training it notes instead of drawing.

    Attributes:
        wanted_plots: Whether the run draws plots.
    """

    args: Any
    training: bool
    metrics: Any
    confusion_matrix: Any
    save_dir: Path
    speed: Any
    wanted_plots = False
    _values: dict[str, float]
    _batches: dict[int, NotedBatch]

    def init_metrics(self, model: Any) -> None:
        """Begin a new evaluation."""
        if self.training:  # the engine has switched plots off, except in the last epoch
            self.args.plots, self._batches = self.wanted_plots, {}
        super().init_metrics(model)  # type: ignore[misc]
        if self.training and self.args.plots:
            self.confusion_matrix = NotedMatrix(self.confusion_matrix)

    def plot_val_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw the labels of a batch; in training, note them."""
        if not self.training:
            super().plot_val_samples(batch, ni)  # type: ignore[misc]
            return
        labels = {k: v.to("cpu", copy=True) for k, v in batch.items() if isinstance(v, torch.Tensor) and k != "img"}
        images = batch["img"][:MOST_IMAGES]
        scale = 255 if float(images[0].max()) <= 1 else 1
        pixels = (images * scale).round().to(torch.uint8).cpu()
        self._batches[ni] = NotedBatch({**labels, "img": pixels, "im_file": list(batch["im_file"])}, ())

    def plot_predictions(self, batch: dict[str, Any], preds: list[dict[str, Any]], ni: int, *args: Any) -> None:
        """Draw the predictions on a batch; in training, note them."""
        if not self.training:
            super().plot_predictions(batch, preds, ni, *args)  # type: ignore[misc]
            return
        drawn = [(pred, pred["conf"] > LEAST_CONFIDENCE) for pred in preds[:MOST_IMAGES]]
        found = [{k: v[kept].to("cpu", copy=True) for k, v in pred.items()} for pred, kept in drawn]
        self._batches[ni] = NotedBatch(self._batches[ni].labels, found)

    def get_stats(self) -> dict[str, Any]:
        """Return the metrics; in training, note them."""
        if not self.training:
            stats: dict[str, Any] = super().get_stats()  # type: ignore[misc]
            return stats
        with self._without_plots():
            stats = super().get_stats()  # type: ignore[misc]
        self._values = dict(stats)
        return stats

    def finalize_metrics(self) -> None:
        """Finish the metrics; in training, draw nothing."""
        if self.training:
            with self._without_plots():
                super().finalize_metrics()  # type: ignore[misc]
        else:
            super().finalize_metrics()  # type: ignore[misc]

    @contextmanager
    def _without_plots(self) -> Iterator[None]:
        wanted, self.args.plots = self.args.plots, False
        try:
            yield
        finally:
            self.args.plots = wanted

    def noted(self, epoch: int) -> NotedEvaluation:
        """Return the evaluation that has just ended."""
        results = {k: getattr(self, k) for k in NOTED}
        results["metrics"] = _copied(self.metrics)
        return NotedEvaluation(epoch, self._values, results, dict(self._batches), self.wanted_plots)

    def show(self, noted: NotedEvaluation) -> None:
        """Print and draw an evaluation as that of a trained model."""
        vars(self).update(noted.results)
        self.training, self.args.plots = False, False
        self.finalize_metrics()
        self.speed = self.metrics.speed = noted.results["speed"]  # finished once already
        self.args.plots = noted.plots
        if noted.plots:
            for number, each in noted.batches.items():
                _draw_alone(partial(self.plot_val_samples, each.batch(), number))
                found = [dict(image) for image in each.found]
                _draw_alone(partial(self.plot_predictions, each.batch(), found, number))
            _draw_charts(self)
        self.print_results()  # type: ignore[attr-defined]


@TryExcept("cannot draw the curves of the evaluation")  # type: ignore[untyped-decorator]
def _draw_charts(validator: Any) -> None:
    from trainer_host.engine.ultralytics.charts import draw_confusion, draw_evaluation  # with matplotlib

    metrics = validator.metrics
    for name, value in vars(metrics).items():
        if isinstance(value, Metric):
            prefix = PREFIXES.get(name, name.capitalize())
            draw_evaluation(value, prefix, metrics.names, validator.save_dir, validator.on_plot)
    for normalised in (True, False):
        draw_confusion(validator.confusion_matrix, normalised, validator.save_dir, validator.on_plot)


def _copied(metrics: Any) -> Any:
    """Return metrics that the next evaluation does not change."""
    copied = copy(metrics)
    for name, value in vars(metrics).items():
        if isinstance(value, Metric):
            setattr(copied, name, part := copy(value))
            part.image_metrics = dict(value.image_metrics)
    return copied


def _draw_alone(draw: Callable[[], None]) -> None:
    """Draw, and wait for the thread that the engine starts for a picture: they would get in each other's way."""
    before = set(threading.enumerate())
    draw()
    for thread in set(threading.enumerate()) - before:
        if "plot_images" in thread.name:
            thread.join()
