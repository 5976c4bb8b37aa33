"""Evaluation by several processes: each notes what its batches give, and all replay it in the order of the images.

So metrics are those of one process to the bit, whatever the engine or a plugin computes from the images one by one.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trainer_host.typing import Metric

ARRAY = "array"
"""The one key of a dict that stands for an array."""


class NotedStatisticsMixin:
    """Mixin for metrics of the engine: keeps the statistics of each image besides.

    Attributes:
        noted: Those since they were taken last.
    """

    noted: list[dict[str, Any]]

    def update_stats(self, stat: dict[str, Any]) -> None:
        """Add the statistics of an image."""
        self.noted.append(stat)

    def replay(self, stats: Sequence[dict[str, Any]]) -> None:
        """Add the statistics of images, as the engine does."""
        for stat in stats:
            super().update_stats(stat)  # type: ignore[misc]


def with_noted_statistics(metrics: Any) -> Any:
    """Return the engine's metrics, whatever their class, with the statistics of each image kept."""
    kind = type(metrics)
    noted: Any = object.__new__(type(kind.__name__, (NotedStatisticsMixin, kind), {"__module__": __name__}))
    vars(noted).update(vars(metrics), noted=[])
    return noted


class SharedEvaluation:
    """What the batches of this process give in an evaluation.

    Args:
        gather: Returns the values of all processes, by rank.
        measured: Metrics of plugins by name.

    Attributes:
        images: The images of this process.
    """

    images = 0

    def __init__(self, gather: Callable[[Any], list[Any]], measured: Mapping[str, Metric]) -> None:
        self.gather = gather
        self.merged = {n: m for n, m in measured.items() if callable(getattr(m, "merge", None))}
        self.replayed = {n: m for n, m in measured.items() if n not in self.merged}
        self._batches: list[dict[str, Any]] = []
        self._ends: dict[str, int] = {}

    def begin(self) -> None:
        """Begin an evaluation."""
        self._batches, self._ends = [], {}

    def note(self, validator: Any, images: Sequence[tuple[Detections, Detections]]) -> None:
        """Note what a batch gave, and take it out of the validator's sum of losses.

        Args:
            validator: The validator.
            images: Predictions and labels of each image.
        """
        batch: dict[str, Any] = {"stats": [_plain(stat) for stat in validator.metrics.noted]}
        validator.metrics.noted.clear()
        for name, entries in _lists(validator).items():
            batch[name] = entries[self._ends.get(name, 0) :]
            self._ends[name] = len(entries)
        if validator.training:
            batch["loss"] = {k: v.clone() for k, v in validator.loss.items()}
            for value in validator.loss.values():
                value.zero_()
        if self.replayed:
            batch["images"] = [[_as_data(found), _as_data(truth)] for found, truth in images]
        self._batches.append(batch)

    def join(self, validator: Any) -> None:
        """Give the validator what the batches of all processes gave, in their order."""
        states = {name: metric.state() for name, metric in self.merged.items()}  # type: ignore[attr-defined]
        matrix = torch.from_numpy(validator.confusion_matrix.matrix)
        mine = {"batches": self._batches, "states": states, "matrix": matrix}
        self.images = sum(len(batch["stats"]) for batch in self._batches)
        found = self.gather(mine)
        batches = list(_interleaved([each["batches"] for each in found]))
        validator.metrics.replay([_restored(stat) for batch in batches for stat in batch["stats"]])
        for name, entries in _lists(validator).items():
            entries[:] = [entry for batch in batches for entry in batch[name]]
        if validator.training:
            for batch in batches:
                for name, value in batch["loss"].items():
                    validator.loss[name] += value.to(validator.loss[name].device)
        for batch in batches if self.replayed else ():
            for predicted, truth in batch["images"]:
                for metric in self.replayed.values():
                    metric.update(Detections(**predicted), Detections(**truth))
        for name, metric in self.merged.items():
            metric.merge([each["states"][name] for each in found])  # type: ignore[attr-defined]
        validator.confusion_matrix.matrix = sum(each["matrix"] for each in found).numpy()
        validator.seen = sum(len(batch["stats"]) for batch in batches)


def _interleaved(batches: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """Yield the batches of all processes, of which each has one in as many as there are."""
    for turn in zip_longest(*batches):
        yield from (batch for batch in turn if batch is not None)


def _lists(validator: Any) -> dict[str, list[Any]]:
    """Return the lists to which a validator adds for ``predictions.json``."""
    found = {"jdict": validator.jdict, "found": validator.found, "counts": getattr(validator, "pred_counts", [])}
    if getattr(validator, "build_gdict", False):
        found |= {f"labels-{name}": validator.gdict[name] for name in ("images", "annotations")}
    return found


def _plain(stat: Mapping[str, Any]) -> dict[str, Any]:
    return {k: {ARRAY: torch.from_numpy(v)} if isinstance(v, np.ndarray) else v for k, v in stat.items()}


def _restored(stat: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v[ARRAY].numpy() if isinstance(v, dict) and ARRAY in v else v for k, v in stat.items()}


def _as_data(found: Detections) -> dict[str, Any]:
    """Return an image's objects on the CPU, where they are kept until the end of the evaluation."""
    tensors = {name: getattr(found, name).cpu() for name in ("boxes", "classes", "scores")}
    points = found.points.cpu() if found.points is not None else None
    extra = {k: v.cpu() if isinstance(v, torch.Tensor) else v for k, v in found.extra.items()}
    return {**tensors, "shape": found.shape, "points": points, "extra": extra}
