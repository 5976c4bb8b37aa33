"""The engine's validator of boxes, with the labels that the host has read."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils import LOGGER

from trainer_detect.dataset import parsed_dataset
from trainer_detect.detections import from_measured, postprocessed, to_measured
from trainer_detect.shared_validation import SharedEvaluation, with_noted_statistics
from trainer_host import LoaderContext, PluginError, Problem
from trainer_host.data import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from trainer_host import Detections, ValidationContext
    from trainer_host.typing import Metric, Postprocess

V = TypeVar("V", bound="HostLabelsMixin")


class HostLabelsMixin:
    """Mixin for validators of the engine: adds the labels that the host has read, and metrics of plugins.

    Put it before the engine's class: ``class MyValidator(HostLabelsMixin, SegmentationValidator)``.

    Args:
        read: The dataset's description. The engine itself only reads the YAML again.
        measured: Metrics of plugins by name.
        kept: Filters or changes predictions before they are evaluated; None if no plugin does.
        gather: Returns the values of all processes by rank, if each evaluates a part of the images.
        rank: The number of this process.
    """

    args: Any
    data: Any
    save_dir: Path
    jdict: list[dict[str, Any]]
    stride: int
    metrics: Any
    seen: int
    speed: dict[str, float]

    def __init__(
        self,
        *args: Any,
        read: Mapping[str, Any],
        measured: Mapping[str, Metric] | None = None,
        kept: Postprocess | None = None,
        gather: Callable[[Any], list[Any]] | None = None,
        rank: int = 0,
        **kwargs: Any,
    ) -> None:
        self.read, self.measured, self.kept, self.rank = read, dict(measured or {}), kept, rank
        self._shape = (0, 0)
        self.found: list[list[Any]] = []
        super().__init__(*args, **kwargs)
        if self.measured:
            self.metrics = with_plugin_metrics(self.metrics, self.measured)
        self.shared = SharedEvaluation(gather, self.measured) if gather is not None else None
        if self.shared is not None:
            self.metrics = with_noted_statistics(self.metrics)

    @classmethod
    def of(cls: type[V], ctx: ValidationContext) -> V:
        """Return the validator for the hook `build_validator`."""
        return cls(
            ctx.loader if ctx.part is None else ctx.part,
            save_dir=ctx.save_dir,
            args=ctx.args,
            _callbacks=ctx.callbacks,
            read=ctx.data,
            measured=ctx.metrics,
            kept=ctx.postprocess,
            gather=None if ctx.part is None else ctx.gather,
            rank=ctx.rank,
        )

    def build_dataset(self, img_path: Any, mode: str = "val", batch: int | None = None) -> Any:
        """Return the dataset of the images at ``img_path``."""
        return parsed_dataset(
            LoaderContext(
                task=self.args.task,
                engine_task=self.args.task,
                args=self.args,
                data=self.read,
                path=img_path,
                mode=mode,
                batch_size=self.args.batch if batch is None else batch,
                stride=self.stride,
            )
        )

    def init_metrics(self, model: Any) -> None:
        """Begin a new evaluation."""
        super().init_metrics(model)  # type: ignore[misc]
        self.found = []
        if self.shared is not None:
            self.shared.begin()
        for metric in self.measured.values():
            metric.reset()

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch, prepared for the model."""
        prepared: dict[str, Any] = super().preprocess(batch)  # type: ignore[misc]
        self._shape = tuple(prepared["img"].shape[2:])
        return prepared

    def postprocess(self, preds: Any) -> Any:
        """Return the predictions on each image of the batch, without those that plugins remove."""
        found = super().postprocess(preds)  # type: ignore[misc]
        if self.kept is None:
            return found
        return [to_measured(d) for d in postprocessed(self.kept, [from_measured(f, self._shape) for f in found])]

    def update_metrics(self, preds: Any, batch: dict[str, Any]) -> None:
        """Add the predictions on a batch."""
        super().update_metrics(preds, batch)  # type: ignore[misc]
        images = list(self._measured_images(preds, batch)) if self.measured else []
        updated = self.measured if self.shared is None else self.shared.merged
        for found, truth in images:
            for metric in updated.values():
                metric.update(found, truth)
        if self.shared is not None:
            self.shared.note(self, images)

    def _measured_images(self, preds: Any, batch: dict[str, Any]) -> Iterator[tuple[Detections, Detections]]:
        for index, pred in enumerate(preds):
            labels = self._prepare_batch(index, batch)  # type: ignore[attr-defined]
            # Contiguous, as they come from another process: sums depend on the layout of the memory.
            yield from_measured(_compact(pred), self._shape), from_measured(_compact(labels), self._shape)

    def gather_stats(self) -> None:
        """Take over what the other processes found, in the order of the images; only the first one draws plots."""
        super().gather_stats()  # type: ignore[misc]
        if self.shared is not None:
            self.shared.join(self)
            self.args.plots = self.args.plots and self.rank == 0

    def finalize_metrics(self) -> None:
        """Finish the metrics; the engine has divided the seconds of this process by the images of all."""
        if self.shared is not None and self.shared.images:
            self.speed = {k: v * self.seen / self.shared.images for k, v in self.speed.items()}
        super().finalize_metrics()  # type: ignore[misc]

    def plot_val_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw the labels of a batch, in the first process."""
        if self.rank == 0:
            super().plot_val_samples(batch, ni)  # type: ignore[misc]

    def plot_predictions(self, batch: dict[str, Any], preds: Any, ni: int, *args: Any) -> None:
        """Draw the predictions on a batch, in the first process."""
        if self.rank == 0:
            super().plot_predictions(batch, preds, ni, *args)  # type: ignore[misc]

    def pred_to_json(self, predn: dict[str, Any], pbatch: dict[str, Any]) -> None:
        """Collect the predictions on an image for ``predictions.json``."""
        super().pred_to_json(predn, pbatch)  # type: ignore[misc]
        self.found += [[str(pbatch["im_file"]), int(c)] for c in predn["cls"]]

    def eval_json(self, stats: dict[str, Any]) -> dict[str, Any]:
        """Return the metrics with those of COCO's evaluation; write the dataset's own ids to ``predictions.json``."""
        if find_spec("faster_coco_eval") is None:
            LOGGER.warning("save_json: COCO's own metrics need the package faster-coco-eval: predictions.json only.")
        else:
            stats = super().eval_json(stats)  # type: ignore[misc]
        ids = getattr(self.read, "ids", None)
        if ids is not None and ids.images:
            entries = [
                {**entry, "image_id": ids.images[image], "category_id": ids.classes[number]}
                for entry, (image, number) in zip(self.jdict, self.found, strict=True)
            ]
            atomic_write(self.save_dir / "predictions.json", json.dumps(entries).encode())
        return stats

    def get_desc(self) -> str:
        """Return the head of the table that the engine prints."""
        head: str = super().get_desc()  # type: ignore[misc]
        return head + "".join(f"{name.rpartition('/')[2]:>11}" for name in self.measured)

    def get_stats(self) -> dict[str, Any]:
        """Return the metrics: the validator's own, then those of plugins.

        Raises:
            PluginError: If one of them is not a finite number.
        """
        if self.measured:
            self.metrics.figures = {name: _figure(name, metric.compute()) for name, metric in self.measured.items()}
        stats: dict[str, Any] = super().get_stats()  # type: ignore[misc]
        return stats


class BoxValidator(HostLabelsMixin, DetectionValidator):
    """Evaluates boxes."""


def _compact(objects: dict[str, Any]) -> dict[str, Any]:
    return {k: v.contiguous() if isinstance(v, torch.Tensor) else v for k, v in objects.items()}


def _figure(name: str, value: Any) -> float:
    try:
        figure = float(value)
    except (TypeError, ValueError) as error:
        what = f"the metric {name!r} is a {type(value).__name__}, not a number."
        raise PluginError(Problem(what, "return a float from compute()")) from error
    if not math.isfinite(figure):
        what = f"the metric {name!r} is {figure}."
        raise PluginError(Problem(what, "return a number even if nothing is found or labelled"))
    return figure


class PluginColumnsMixin:
    """Mixin for metrics of the engine: adds those of plugins as the last columns.

    Attributes:
        figures: Values of the plugins' metrics by name.
    """

    figures: dict[str, float]

    @property
    def keys(self) -> list[str]:
        """The names: the columns of ``results.csv`` in every epoch, evaluated or not."""
        return [*super().keys, *self.figures]  # type: ignore[misc]

    def mean_results(self) -> list[float]:
        """Return the values for all classes together."""
        return [*super().mean_results(), *self.figures.values()]  # type: ignore[misc]

    def class_result(self, i: int) -> tuple[float, ...]:
        """Return the values of a class; NaN for metrics of plugins, which have none."""
        return (*super().class_result(i), *[math.nan] * len(self.figures))  # type: ignore[misc]


def with_plugin_metrics(metrics: Any, names: Mapping[str, Any]) -> Any:
    """Return the engine's metrics, whatever their class, with columns for those of plugins.

    Raises:
        PluginError: If one of them has the name of the engine's own.
    """
    if taken := [name for name in names if name in {*metrics.keys, "fitness"}]:
        raise PluginError(Problem(f"the task itself already has the metric {taken[0]!r}.", "rename it"))
    kind = type(metrics)
    extended: Any = object.__new__(type(kind.__name__, (PluginColumnsMixin, kind), {"__module__": __name__}))
    vars(extended).update(vars(metrics), figures=dict.fromkeys(names, 0.0))
    return extended
