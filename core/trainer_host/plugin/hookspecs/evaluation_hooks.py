"""Hooks of the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.plugin.markers import Done, hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.contexts import PredictionContext, RunContext, ValidationContext
    from trainer_host.base.protocols import Metric, Validator
    from trainer_host.base.vision import Detections


class EvaluationHooks:
    """Hooks of the evaluation."""

    @hookspec(firstresult=True)
    def build_validator(self, ctx: ValidationContext) -> Validator | None:
        """Return the validator: with ``ctx.loader`` during training, without one for a trained model.

        It is called with ``trainer=`` during training and with ``model=`` otherwise, and returns the metrics by name,
        ``fitness`` among them; without it the loss selects ``best.pt``. Its attribute ``metrics.keys`` lists
        the metrics' names.

        Called: at set-up, and for a validation.

        .. versionadded:: 0.1
        """

    @hookspec
    def metrics(self, ctx: ValidationContext) -> Mapping[str, Metric]:  # type: ignore[empty-body]
        """Return metrics by name, which every validation computes besides the task's own.

        A name such as ``metrics/PCK`` becomes a column of the table of results and a value for ``--best-metric``.

        Called: before `build_validator`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def postprocess_predictions(
        self, ctx: PredictionContext, found: Sequence[Detections]
    ) -> Sequence[Detections] | None:
        """Return the predictions on a batch of images, filtered or changed: one entry for each image.

        Coordinates are in pixels: of the images that the model saw in a validation (``ctx.mode`` is ``val``), of the
        files in a prediction.

        Called: for each batch of a validation or a prediction.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def compute_fitness(self, ctx: RunContext, metrics: Mapping[str, float]) -> float | None:
        """Return how good a model with these metrics is: the larger, the better. It selects ``best.pt``.

        ``metrics`` has the value that selects otherwise as ``fitness``: that of the task's ``best_metric``, or else of
        the validator. If the user names a metric, it takes the place of every answer; wrappers still see its value
        (negative if the lowest is the best), and what they return selects ``best.pt``.

        Called: after each validation during training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def evaluate_best(self, ctx: RunContext) -> Mapping[str, float] | Done | None:
        """Evaluate the best checkpoint after training; return its metrics, or `DONE` to keep the last ones.

        By default the evaluation of its epoch stands for it if it can, or the validator evaluates it again. An
        implementation that only adds something calls ``ctx.engine.measure_best()``, which always evaluates.

        Called: after the last epoch, unless a signal stopped the run.

        .. versionadded:: 0.1
        """
