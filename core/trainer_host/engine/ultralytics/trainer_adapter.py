"""A trainer class of the engine as the hooks of a task; ultralytics is not imported before the class is."""

from __future__ import annotations

import importlib
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.plugin.discovery import HOST, TASKS
from trainer_host.plugin.markers import hookimpl
from trainer_host.plugin.plugin_spec import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from trainer_host.base.contexts import (
        DataContext,
        LoaderContext,
        ModelContext,
        OptimizerContext,
        PredictionContext,
        RunContext,
        ValidationContext,
    )
    from trainer_host.base.protocols import Dataset
    from trainer_host.base.type_aliases import Batch

ENGINE = "ultralytics"


def task_from_trainer(
    trainer: type[Any] | str, *, base: str | None = None, engine_task: str | None = None, **fields: Any
) -> TaskSpec:
    """Return a task made from a subclass of the engine's trainers.

    Methods that the class and its parents override, up to the engine's trainer of the base task, answer the hooks;
    ``super()`` reaches the base's answers. All other hooks are answered by the base.

    Args:
        trainer: The class; or its place as ``module:Class``, so that listing the task does not import the engine. A
            place needs ``base``.
        base: Task that the new one builds on. Default: the nearest of the host's own tasks whose trainer the class
            derives from, or none.
        engine_task: The engine's kind of task; inferred from the class by default.
        fields: Further attributes of the task.

    Raises:
        PluginError: When the task is loaded, if there is no such class, or if ``base`` is missing.
    """
    if isinstance(trainer, type):
        base = base or base_of(trainer)
        engine_task = engine_task or next(filter(None, map(kind_of, trainer.__mro__)), None)
    hooks = TrainerHooks(trainer, base)
    return TaskSpec(hooks=hooks, trainer=trainer, base=base, engine_task=engine_task, **fields)


def kind_of(trainer: type[Any]) -> str | None:
    """Return the kind of task that one of the engine's own trainers is for, inferred from its module."""
    parts = trainer.__module__.split(".")
    return parts[3] if parts[:3] == [ENGINE, "models", "yolo"] and parts[-1] == "train" else None


def base_of(trainer: type[Any]) -> str | None:
    """Return the nearest of the host's own tasks whose trainer of the engine a class builds on, or None."""
    from importlib import metadata

    own = {e.name for e in metadata.distribution(HOST).entry_points if e.group == TASKS}
    return next((kind for c in trainer.__mro__ if (kind := kind_of(c)) in own), None)


def load_trainer(target: type[Any] | str) -> type[Any]:
    """Return a trainer class, imported if it is given as ``module:Class``.

    Raises:
        PluginError: If its module cannot be imported, or if the text does not name a class.
    """
    if isinstance(target, type):
        return target
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name or "?", None)
    except ImportError as error:
        what = f"cannot import the trainer {target}: {error}".rstrip(".")
        raise PluginError(Problem(f"{what}.", "correct the argument of task_from_trainer, or the module")) from error
    if not isinstance(found, type):
        raise PluginError(Problem(f"{target!r} is not a trainer class.", "write it as module:Class"))
    return found


def stop_of(trainer: type[Any], base: str | None) -> type[Any]:
    """Return the first class above a trainer that the base task stands for.

    Without a base, that is `object`; if the engine has no trainer of the base's name, it is the nearest class of the
    engine.
    """
    classes = trainer.__mro__
    if base is None:
        return object
    named = next((c for c in classes if kind_of(c) == base), None)
    return named or next((c for c in classes if c.__module__.partition(".")[0] == ENGINE), object)


METHODS = {
    "read_dataset": "get_dataset",
    "build_dataset": "build_dataset",
    "build_dataloader": "get_dataloader",
    "preprocess_batch": "preprocess_batch",
    "build_model": "get_model",
    "set_model_attributes": "set_model_attributes",
    "build_optimizer": "build_optimizer",
    "build_validator": "get_validator",
}
"""The method of a trainer class that answers a hook."""


class TrainerHooks:
    """Hooks that call the methods that a trainer class overrides; its base answers all others.

    Args:
        trainer: The class, or ``module:Class``.
        base: The task that the new one builds on.
    """

    def __init__(self, trainer: type[Any] | str, base: str | None) -> None:
        self.trainer, self.base = trainer, base

    @cached_property
    def _kind(self) -> type[Any]:
        return load_trainer(self.trainer)

    @cached_property
    def _names(self) -> frozenset[str]:
        stop = stop_of(self._kind, self.base)
        return frozenset(name for c in takewhile(lambda c: c is not stop, self._kind.__mro__) for name in vars(c))

    def overridden(self) -> list[str]:
        """Return the hooks that the class answers with methods; its base answers all others."""
        return sorted(hook for hook, method in METHODS.items() if method in self._names)

    def _own(self, hook: str, ctx: RunContext, *more: Any) -> Callable[..., Any] | None:
        """Return the method that answers a hook, bound to the trainer of the run; None if the base answers it.

        The arguments are kept for ``super()``, which calls the base.
        """
        name = METHODS[hook]
        if ctx.engine is None or not isinstance(ctx.engine, self._kind) or name not in self._names:
            return None
        ctx.engine.asked[name] = (ctx, *more)
        return partial(getattr(self._kind, name), ctx.engine)

    @hookimpl(wrapper=True)
    def read_dataset(self, ctx: DataContext) -> Generator[None, Any, Any]:
        """Call ``get_dataset``, whose ``super()`` returns what the base has read."""
        error: Exception | None = None
        data: Any = None
        try:
            data = yield
        except Exception as caught:
            error = caught
        method = self._own("read_dataset", ctx, data, error)
        if method is not None:
            return method()
        if error is not None:
            raise error
        return data

    @hookimpl
    def build_dataset(self, ctx: LoaderContext) -> Any:
        """Call ``build_dataset``."""
        method = self._own("build_dataset", ctx)
        return method and method(ctx.path, ctx.mode, ctx.batch_size)

    @hookimpl
    def build_dataloader(self, ctx: LoaderContext, dataset: Dataset) -> Any:
        """Call ``get_dataloader``, whose own call of ``build_dataset`` returns the existing dataset."""
        method = self._own("build_dataloader", ctx, dataset)
        if method is None:
            return None
        try:
            return method(ctx.path, ctx.batch_size, -1, ctx.mode)  # the host divides what the loader yields
        finally:
            del ctx.engine.asked["get_dataloader"]

    @hookimpl
    def preprocess_batch(self, ctx: RunContext, batch: Batch) -> Any:
        """Call ``preprocess_batch``."""
        method = self._own("preprocess_batch", ctx)
        return method and method(batch)

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        """Call ``get_model``."""
        method = self._own("build_model", ctx)
        return method and method(cfg=ctx.cfg, weights=ctx.weights, verbose=ctx.verbose)

    @hookimpl
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Call ``set_model_attributes``, after the base has set its own."""
        method = self._own("set_model_attributes", ctx)
        if method is None:
            return
        trainer, model = ctx.engine, ctx.engine.model
        trainer.model = ctx.model  # not the trainer's own while a checkpoint is restored
        try:
            method()
        finally:
            trainer.model = model

    @hookimpl
    def build_optimizer(self, ctx: OptimizerContext) -> Any:
        """Call ``build_optimizer``."""
        method = self._own("build_optimizer", ctx)
        return method and method(ctx.model, ctx.name, ctx.lr, ctx.momentum, ctx.decay, ctx.iterations)

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        """Call ``get_validator``."""
        method = self._own("build_validator", ctx)
        if method is not None and ctx.loader is None:
            ctx.engine.measure(ctx)
        return method and method()

    def _other_kind(self) -> str | None:
        """Return the kind of task that the class trains if its base is of another kind, or None."""
        kind = next(filter(None, map(kind_of, self._kind.__mro__)), None)
        below = kind_of(stop_of(self._kind, self.base))
        return kind if below is not None and below != kind else None

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> None:
        """Leave it to the base, as a trainer cannot predict.

        Raises:
            PluginError: If the base is of another kind.
        """
        if kind := self._other_kind():
            what = f"task {ctx.task!r} cannot predict: it trains {kind}, and its base {self.base!r} does not."
            fix = f"make it from its trainer with a base that does, such as base={kind!r} from trainer-{kind}"
            raise PluginError(Problem(what, fix))

    @hookimpl
    def build_sample(self) -> None:
        """Leave it to the base.

        Raises:
            SettingsError: If the base is of another kind.
        """
        if kind := self._other_kind():
            what = f"the built-in sample is of the base {self.base!r}, and a trainer of {kind} needs another."
            raise SettingsError(Problem(what, "give a dataset: data=my.yaml"))
