"""Trainers of tasks that are made of a third-party trainer class: its overrides run in the middle of the hooks.

The class of a run is composed as ``(Front, MyTrainer, Below, the engine's trainer)``. If a hook decides, the
training loop calls `Front`, which asks the hooks: extensions wrap what ``MyTrainer`` answers, and its ``super()``
reaches `Below`, which asks the tasks that it builds on. All its other methods are called first, and their ``super()``
reaches the host's.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ultralytics.utils import DEFAULT_CFG

from trainer_host.base.contexts import RunContext
from trainer_host.base.errors import PluginError, Problem
from trainer_host.data.check_runner import unanswered
from trainer_host.engine.ultralytics.host_trainer import HostTrainer
from trainer_host.engine.ultralytics.trainer_adapter import load_trainer, stop_of
from trainer_host.plugin.chain import DEFAULTS
from trainer_host.plugin.plugin_spec import TaskSpec

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.base.contexts import ValidationContext
    from trainer_host.base.protocols import Dataset, Validator
    from trainer_host.base.type_aliases import Batch, Device, Module, Optimizer
    from trainer_host.engine.protocol import LiveRun
    from trainer_host.plugin.chain import Chain


class HostTraining(HostTrainer):
    """The trainer of a run, under a name by which the engine does not give it experiment trackers.

    The engine gives them to every class with "Trainer" in its name. The drop-in classes keep such names.
    """


class Front:
    """Methods that ask the hooks, called by the training loop before those of the trainer class."""

    asked: dict[str, tuple[Any, ...]]
    get_dataset = HostTrainer.get_dataset
    get_dataloader = HostTrainer.get_dataloader
    preprocess_batch = HostTrainer.preprocess_batch
    get_model = HostTrainer.get_model
    set_model_attributes = HostTrainer.set_model_attributes
    build_optimizer = HostTrainer.build_optimizer
    get_validator = HostTrainer.get_validator

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """Return the dataset of the images at ``img_path``; the one that is there while its loader is built."""
        ctx, dataset = self.asked.get("get_dataloader", (None, None))
        if ctx is not None and (ctx.path, ctx.mode) == (img_path, mode):
            return dataset
        return HostTrainer.build_dataset(self, img_path, mode, batch)  # type: ignore[arg-type]


class Below(HostTrainer):
    """Methods that ask the tasks below, reached by ``super()`` of the trainer class."""

    run_of_class: ClassVar[LiveRun]
    asked: dict[str, tuple[Any, ...]]
    test_loader: Any
    callbacks: Any

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Any]] | None = None,
    ) -> None:
        self.asked = {}
        super().__init__(cfg, overrides, _callbacks, run=self.run_of_class)

    def _base(self, hook: str, **arguments: Any) -> Any:
        """Return the answer of the tasks below, without the extensions, which wrap what the class returns."""
        chain = self.host_run.chain
        depth, spec = ported(chain) or (0, None)
        kept = {DEFAULTS, *(f"task:{m.record.name}" for m in chain.tasks[:depth])}
        others = [plugin for name, plugin in chain.manager.list_name_plugin() if name not in kept]
        answer = chain.manager.subset_hook_caller(hook, others)(**arguments)
        if answer is None:
            raise PluginError(unanswered((spec and spec.base) or chain.name, hook))
        return answer

    def get_dataset(self) -> Any:
        """Return the keys of the dataset as the base reads it, which the trainer class may change."""
        _, data, error = self.asked["get_dataset"]
        if error is not None:
            raise error
        return deepcopy(dict(data))

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Dataset:
        """Return the base's dataset."""
        (ctx,) = self.asked["build_dataset"]
        dataset: Dataset = self._base(
            "build_dataset", ctx=replace(ctx, path=img_path, mode=mode, batch_size=batch or ctx.batch_size)
        )
        return dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Return the base's loader."""
        ctx, dataset = self.asked["get_dataloader"]
        ctx = replace(ctx, path=dataset_path, batch_size=batch_size, mode=mode)
        return self._base("build_dataloader", ctx=ctx, dataset=dataset)

    def preprocess_batch(self, batch: Batch) -> Batch:
        """Return the batch as the base prepares it."""
        prepared: Batch = self._base("preprocess_batch", ctx=self.context(RunContext), batch=batch)
        return prepared

    def get_model(self, cfg: Any = None, weights: Module | None = None, verbose: bool = True) -> Module:
        """Return the base's model."""
        (ctx,) = self.asked["get_model"]
        model: Module = self._base("build_model", ctx=replace(ctx, cfg=cfg, weights=weights, verbose=verbose))
        return model

    def set_model_attributes(self) -> None:
        """Do nothing: the base has set the attributes before the class is asked."""

    def build_optimizer(
        self,
        model: Module,
        name: str = "auto",
        lr: float = 0.001,
        momentum: float = 0.9,
        decay: float = 1e-5,
        iterations: float = 1e5,
    ) -> Optimizer:
        """Return the base's optimizer."""
        (ctx,) = self.asked["build_optimizer"]
        wanted = {"name": name, "lr": lr, "momentum": momentum, "decay": decay, "iterations": iterations}
        optimizer: Optimizer = self._base("build_optimizer", ctx=replace(ctx, model=model, **wanted))
        return optimizer

    def get_validator(self) -> Validator:
        """Return the base's validator."""
        (ctx,) = self.asked["get_validator"]
        validator: Validator = self._base("build_validator", ctx=ctx)
        return validator

    def measure(self, ctx: ValidationContext) -> None:
        """Take over the data that a trained model is evaluated on, with a loader of it."""
        self.data, self.args, self.callbacks = deepcopy(dict(ctx.data)), ctx.args, ctx.callbacks
        self.test_loader = self.get_dataloader(ctx.data[ctx.args.split], ctx.args.batch, -1, "val")


def ported(chain: Chain) -> tuple[int, TaskSpec] | None:
    """Return the task of a chain that is made of a trainer class, and its place in the chain; None without one."""
    places = reversed(list(enumerate(m.spec for m in chain.tasks)))
    return next(((i, spec) for i, spec in places if isinstance(spec, TaskSpec) and spec.trainer), None)


def trainer_class(run: LiveRun) -> type[HostTrainer] | None:
    """Return the class of a run whose task is made of a trainer class, or None."""
    found = ported(run.chain)
    if found is None or found[1].trainer is None:
        return None
    kind = load_trainer(found[1].trainer)
    engine = stop_of(kind, found[1].base)
    below = Below if engine is object else type("Below", (Below, engine), {})
    name = kind.__name__.replace("Trainer", "Training")  # without trackers, as `HostTraining`
    return type(name, (Front, kind, below), {"run_of_class": run, "__qualname__": kind.__name__})


def new_trainer(run: LiveRun, overrides: dict[str, Any], callbacks: dict[str, list[Any]]) -> HostTrainer:
    """Return the trainer of a run.

    Raises:
        PluginError: If the trainer class of its task needs other arguments than the engine's own.
    """
    kind = trainer_class(run)
    if kind is None:
        return HostTraining(overrides=overrides, _callbacks=callbacks, run=run)
    try:
        inspect.signature(kind).bind(overrides=overrides, _callbacks=callbacks)
    except TypeError as error:
        what = f"task {run.chain.name!r}: its trainer {kind.__qualname__} cannot be instantiated: {error}."
        fix = "give all arguments of its __init__ defaults, overrides=None and _callbacks=None among them"
        raise PluginError(Problem(what, fix)) from error
    return kind(overrides=overrides, _callbacks=callbacks)  # type: ignore[call-arg]


def detached_trainer(run: LiveRun, args: Any, data: Any, device: Device, save_dir: Path) -> HostTrainer | None:
    """Return a trainer that trains nothing, on which the methods of a trainer class are called for a trained model."""
    kind = trainer_class(run)
    if kind is None:
        return None
    trainer: HostTrainer = object.__new__(kind)
    known = {
        "host_run": run,
        "args": args,
        "data": dict(data),
        "description": data,
        "device": device,
        "save_dir": save_dir,
    }
    trainer.__dict__.update(known, asked={}, model=None, test_loader=None, callbacks=None, plugin_metrics={})
    return trainer
