"""The evaluation of the epoch that made the best checkpoint, kept so that the end of a run need not repeat it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.engine.validator import BaseValidator
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils import LOGGER, TryExcept
from ultralytics.utils.metrics import DetMetrics

from trainer_host.engine.ultralytics.noted_evaluation import NotingMixin
from trainer_host.engine.ultralytics.trackers import OWN

if TYPE_CHECKING:
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer
    from trainer_host.engine.ultralytics.noted_evaluation import NotedEvaluation

EVENTS = ("on_val_start", "on_val_batch_start", "on_val_batch_end", "on_val_end")
FINAL_ONLY = ("augment", "save_json", "save_txt", "visualize", "dnn", "quantize")
"""Settings by which the engine evaluates a trained model otherwise than a training does, or writes more files."""


class KeptEvaluation:
    """The evaluation of the weights that the best checkpoint has.

    Attributes:
        noted: It, if there is one; None if the best checkpoint has to be evaluated.
        values: Its metrics, in every process, once the training has ended.
        epoch: Its epoch, counted from 1, once the training has ended.
    """

    noted: NotedEvaluation | None = None
    values: dict[str, float] | None = None
    epoch: int | None = None

    def prepare(self, trainer: HostTrainer, validator: Any) -> None:
        """Have a validator note its evaluations in training instead of drawing them, if they may be kept."""
        if _fixed_obstacle(trainer, validator) is None:
            kind = type(validator)
            validator.__class__ = type(kind.__name__, (NotingMixin, kind), {"__module__": kind.__module__})

    def before_validation(self, trainer: HostTrainer) -> None:
        """Have a validator draw nothing in an epoch: the end of the run draws the same files."""
        if isinstance(trainer.validator, NotingMixin):
            trainer.validator.wanted_plots = bool(trainer.args.plots)
        elif isinstance(trainer.validator, BaseValidator) and _evaluates_at_end(trainer):
            trainer.validator.args.plots = False

    def saved_best(self, trainer: HostTrainer, same: bool) -> None:
        """Keep the evaluation of the epoch whose weights have just become the best checkpoint.

        Args:
            trainer: The trainer.
            same: Whether the checkpoint has the weights that were evaluated.
        """
        validator, epoch = trainer.validator, trainer.epoch + 1
        evaluated = same and trainer.evaluated_epoch == epoch and isinstance(validator, NotingMixin)
        self.noted = validator.noted(epoch) if evaluated and validator.training else None

    def settle(self, trainer: HostTrainer) -> None:
        """Decide for all processes whether the kept evaluation is that of the best checkpoint."""
        noted, validator = self.noted, trainer.validator
        kept = noted if noted is not None and noted.epoch == trainer.best_epoch else None
        obstacle = _obstacle(trainer, validator) if kept else "no evaluation of these weights was kept"
        if kept is not None and trainer.held.content(trainer.best) is None:
            obstacle = "the file was changed"
        if obstacle is not None:
            kept = None
            LOGGER.debug(f"Evaluating the best checkpoint: {obstacle}.")
        self.noted = kept
        agreed = trainer.host_run.group.broadcast([kept.epoch, dict(kept.values)] if kept is not None else None)
        self.epoch, self.values = agreed if agreed is not None else (None, None)

    def draw(self, trainer: HostTrainer) -> None:
        """Report the kept evaluation as a final evaluation is, and draw it."""
        if self.noted is not None:
            trainer.validator.show(self.noted)


@TryExcept("cannot draw results.png")  # type: ignore[untyped-decorator]
def plot_results(trainer: HostTrainer) -> None:
    """Draw the table of results."""
    from trainer_host.engine.ultralytics.charts import draw_training  # with matplotlib, which a training does not need

    draw_training(trainer.csv, trainer.on_plot)


def _evaluates_at_end(trainer: HostTrainer) -> bool:
    """Return whether the host itself evaluates the best checkpoint after the training, and not as the engine does."""
    run = trainer.host_run
    return not (run.drop_in or run.options.exact or run.chain.answers("evaluate_best"))


def _fixed_obstacle(trainer: HostTrainer, validator: Any) -> str | None:
    """Return why no evaluation of a validator stands for that of a trained model, as far as is known early."""
    if not _evaluates_at_end(trainer):
        return "it is evaluated as the engine or a plugin does"
    if not (isinstance(validator, DetectionValidator) and isinstance(validator.metrics, DetMetrics)):
        return "its validator is not one of the engine's for objects"
    if not type(validator.metrics).process.__module__.startswith("ultralytics."):
        return "its metrics draw what the engine's do not"
    if given := [name for name in FINAL_ONLY if getattr(trainer.args, name, None)]:
        return f"{given[0]}={getattr(trainer.args, given[0])}"
    return None


def _obstacle(trainer: HostTrainer, validator: Any) -> str | None:
    """Return why the best checkpoint has to be evaluated, or None."""
    if (fixed := _fixed_obstacle(trainer, validator)) is not None:
        return fixed
    if validator.is_coco or validator.is_lvis:
        return "predictions.json is written"
    if isinstance(trainer.ema.ema, DistillationModel):
        return "only a part of the model is saved"
    if any(_is_foreign(function) for event in EVENTS for function in trainer.callbacks.get(event, [])):
        return "a plugin or a tracker has functions for evaluations"
    return None


def _is_foreign(function: Any) -> bool:
    """Return whether a callback belongs to neither the engine nor the host."""
    module = str(getattr(function, "__module__", ""))
    return module != OWN and not module.startswith("trainer_host.")
