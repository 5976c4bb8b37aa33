"""Objects that entry points name: the specifications of tasks and extensions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task. If it is installed, its name is that of its entry point in the group ``trainer_host.tasks``.

    Attributes:
        hooks: Object whose `hookimpl` methods implement the task. A class is instantiated for each run, so that hooks
            can keep state between calls.
        base: Name of the task that this one builds on, or None.
        options: Dataclass or pydantic model of the task's options, all with defaults.
        engine_task: The engine's kind of task; None for the base's. Omit it for a task that does not use the engine's
            classes: the kind is then the task's own name.
        default_model: Weights to start from if the user gives no model.
        scratch_model: Architecture to train from scratch; named in errors and used for samples.
        best_metric: Metric that selects ``best.pt``, ``NAME`` or ``min:NAME``, unless the user names another or a
            plugin answers the hook ``compute_fitness``; ``fitness``, the default, is the validator's own.
        loss_reduction: What the loss of a batch is: the ``sum`` over its images, as the engine's own are, or their
            ``mean``, which the host multiplies by their number; None for the base's, else ``sum``. So a step is made
            of the same sums for any number of processes.
        metrics: Names of the metrics in the table of epochs, which also shows the one that selects ``best.pt``.
        dataset_keys: Keys of a dataset YAML by which the task is inferred: the task that finds most of its keys wins.
        known_keys: All keys of a dataset YAML that the task understands, besides those that every task has.
        trainer: Trainer class that the task is made from, or its place as ``module:Class``; an engine's own function
            sets it, such as ``task_from_trainer`` of ``trainer_host.ultralytics``.
        settings: Engine keys that suit the task, such as ``{"imgsz": 64}``. Settings of the user take precedence, then
            those of the sample; a task's take precedence over those of its base.
        engine: The engine that trains the task, as ``module:Class``; the base's if this is None, and the host's own
            if no base has one.
        name: Name of a task that is given as an object; by default that of its module or class.
    """

    hooks: Any
    base: str | None = None
    options: type[Any] | None = None
    engine_task: str | None = None
    default_model: str | None = None
    scratch_model: str | None = None
    best_metric: str | None = None
    loss_reduction: Literal["sum", "mean"] | None = None
    metrics: tuple[str, ...] = ()
    dataset_keys: tuple[str, ...] = ()
    known_keys: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainer: type[Any] | str | None = None
    engine: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExtensionSpec:
    """An extension: a plugin that works with any task.

    Its entry point belongs to the group ``trainer_host.plugins`` if a run has to ask for it, or to
    ``trainer_host.always`` if it is part of every run, as dataset formats are.

    Attributes:
        hooks: Object or module whose `hookimpl` functions implement the extension; or a class, as for a task.
        options: Dataclass or pydantic model of the extension's options, all with defaults.
        name: Name of an extension that is given as an object; by default that of its module or class.
    """

    hooks: Any
    options: type[Any] | None = None
    name: str | None = None
