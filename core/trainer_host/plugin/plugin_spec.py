"""What a plugin's entry point points at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task. Its name is the name of its entry point in the group ``trainer_host.tasks``.

    Attributes:
        hooks: The object whose `hookimpl` methods implement the task; or its class, of which each run makes an object
            of its own, where the hooks keep something between calls.
        base: Name of the task that this one builds on, or None.
        options: A dataclass or pydantic model with the task's options, all with defaults.
        engine_task: The kind of task that the engine is told; the base's where this is None. A task that is not
            made of the engine's parts leaves it out and is told by its own name.
        default_model: Weights that a run starts from when data is given and no model.
        scratch_model: The architecture to train from scratch, named in errors and used by samples.
        best_metric: Metric that selects ``best.pt``, ``NAME`` or ``min:NAME``, unless the user names another or a
            plugin answers the hook ``fitness``; ``fitness``, the default, is the validator's own.
        metrics: Names of the metrics in the table of epochs, which also shows the one that selects ``best.pt``.
        dataset_keys: Keys of a dataset YAML that tell this task. The task that finds most of its keys is taken.
        known_keys: All keys of a dataset YAML that the task understands, besides those that every task has.
        trainer: The trainer class of the engine that the task is made of, or where it is, as ``module:Class``; see
            `from_trainer`.
        settings: Engine keys that suit the task, such as ``{"imgsz": 64}``; what the user gives goes before, and so
            do the settings of the sample. A task's go before those of its base.
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
    """

    hooks: Any
    options: type[Any] | None = None
