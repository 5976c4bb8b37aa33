"""What a plugin's entry point points at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task. If it is installed, its name is that of its entry point in the group ``trainer_host.tasks``.

    Attributes:
        hooks: The object whose `hookimpl` methods implement the task; or its class, of which each run makes an object
            of its own, where the hooks keep something between calls.
        base: Name of the task that this one builds on, or None.
        options: A dataclass or pydantic model with the task's options, all with defaults.
        engine_task: The kind of task that the engine is told; the base's where this is None. A task that is not
            made of the engine's parts leaves it out and is told by its own name.
        default_model: Weights that a run starts from when data is given and no model.
        scratch_model: The architecture to train from scratch, named in errors and used by samples.
        best_metric: Name of the metric that tells people how good the model is.
        metrics: Names of the metrics that belong in a summary, with ``best_metric`` among them.
        dataset_keys: Keys of a dataset YAML that tell this task. The task that finds most of its keys is taken.
        known_keys: All keys of a dataset YAML that the task understands, besides those that every task has.
        trainer: The trainer class of the engine that the task is made of, or where it is, as ``module:Class``; see
            `from_trainer`.
        settings: Engine keys that suit the task, such as ``{"imgsz": 64}``; what the user gives goes before, and so
            do the settings of the sample. A task's go before those of its base.
        engine: The engine that trains the task, as ``module:Class``; the base's if this is None, and the host's own
            if no base has one.
        name: The name of a task that is given as an object; without it that of its module or class.
    """

    hooks: Any
    base: str | None = None
    options: type[Any] | None = None
    engine_task: str | None = None
    default_model: str | None = None
    scratch_model: str | None = None
    best_metric: str | None = None
    metrics: tuple[str, ...] = ()
    dataset_keys: tuple[str, ...] = ()
    known_keys: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainer: type[Any] | str | None = None
    engine: str | None = None
    name: str | None = None

    @classmethod
    def from_trainer(
        cls, trainer: type[Any] | str, *, base: str | None = None, engine_task: str | None = None, **fields: Any
    ) -> TaskSpec:
        """Return a task that is made of a subclass of the engine's trainers.

        What the class and its parents override, up to the engine's trainer of the base task, answers the hooks; its
        ``super()`` reaches the base's answers. Everything else is the base's.

        Args:
            trainer: The class; or where it is, as ``module:Class``, so that listing the task does not import the
                engine: ``base`` has to be given then, which is told when the task is loaded.
            base: The task that the new one builds on. Left out, it is the nearest of the host's own tasks whose
                trainer the class builds on, or none.
            engine_task: The kind of task that the engine is told, told by the class where it is left out.
            fields: Further attributes of the task.
        """
        from trainer_host.plugin.trainer_adapter import TrainerHooks, base_of, kind_of

        if isinstance(trainer, type):
            base = base or base_of(trainer)
            engine_task = engine_task or next(filter(None, map(kind_of, trainer.__mro__)), None)
        hooks = TrainerHooks(trainer, base)
        return cls(hooks=hooks, trainer=trainer, base=base, engine_task=engine_task, **fields)


@dataclass(frozen=True, kw_only=True)
class ExtensionSpec:
    """An extension: what cuts across tasks.

    Its entry point stands in the group ``trainer_host.plugins``, where a run has to ask for it; or in the group
    ``trainer_host.always``, which makes it part of every run, as dataset formats are.

    Attributes:
        hooks: The object or module whose `hookimpl` functions implement the extension; or a class, as for a task.
        options: A dataclass or pydantic model with the extension's options, all with defaults.
        name: The name of an extension that is given as an object; without it that of its module or class.
    """

    hooks: Any
    options: type[Any] | None = None
    name: str | None = None
