"""The kit's own extension, which records the training of a plugin."""

from __future__ import annotations

import gc
import hashlib
import pickle
import random
from collections.abc import Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.plugin.markers import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from trainer_host.base.contexts import ModelContext, RunContext
    from trainer_host.base.type_aliases import Trainer

NAME = "trainer-host-probe"
BATCH = 4
"""Different images in the batch whose loss is computed."""
OTHER_SEED = 987_654
REPEATS = 32
"""Repeats of each of them: a loss may have a floor that only many objects exceed."""


@dataclass
class Recording:
    """A recording of a training.

    Attributes:
        weights: A hash of the trained weights after each epoch.
        metrics: The metrics of each epoch, as the validator returned them.
        memory: Tensors that are alive and bytes that the process holds, after each epoch.
        loss_before: The loss of a batch by the weights that training began with.
        loss_after: The loss of the same batch by the weights that it ended with.
        loss_once: The loss of a batch; None if the loader has no function that makes one.
        loss_twice: The loss of the same batch, with each image twice.
        touched: The parts of the training that a validation between two epochs changed.
        layers: The layers of plugins, and whether the model has them.
    """

    weights: list[str] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    loss_before: float | None = None
    loss_after: float | None = None
    loss_once: float | None = None
    loss_twice: float | None = None
    touched: list[str] = field(default_factory=list)
    layers: dict[str, bool] = field(default_factory=dict)


class Probe:
    """The hooks of the extension.

    Args:
        stop_after: The epoch after which the training ends.
        measure: Whether to measure losses, memory and validation as well.
    """

    def __init__(self, stop_after: int | None = None, measure: bool = False) -> None:
        self.stop_after, self.measure = stop_after, measure
        self.recording = Recording()
        self.untrained: Any = None

    @hookimpl(wrapper=True)
    def build_model(self, ctx: ModelContext) -> Generator[None, Any, Any]:
        """Note which layers of plugins are in the model."""
        model = yield
        architecture = getattr(model, "yaml", None)
        parts = [architecture.get(part, ()) for part in ("backbone", "head")] if isinstance(architecture, dict) else []
        rows = {row[2] for part in parts for row in part}
        classes = {type(m) for m in model.modules()} if isinstance(model, torch.nn.Module) else set()
        self.recording.layers = {n: n in rows or layer.module in classes for n, layer in ctx.layers.items()}
        return model

    @hookimpl
    def callbacks(self, ctx: RunContext) -> dict[str, Callable[[Any], None]]:
        """Record at the beginning, and after each epoch."""
        return {
            "on_train_start": self._begin,
            "on_train_epoch_end": self._trained_epoch,
            "on_fit_epoch_end": self._measured_epoch,
        }

    def _begin(self, trainer: Trainer) -> None:
        if self.measure:
            self.untrained = deepcopy(trainer.model)

    def _trained_epoch(self, trainer: Trainer) -> None:
        self.recording.weights.append(digest(trainer.model.state_dict()))
        if self.measure:
            gc.collect()
            tensors = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
            self.recording.memory.append((tensors, resident_bytes()))
        if self.measure and trainer.epoch + 1 >= trainer.epochs:
            with preserved_random():
                self._measure_losses(trainer)
            self._measure_validation(trainer)

    def _measured_epoch(self, trainer: Trainer) -> None:
        self.recording.metrics.append(dict(trainer.metrics))
        if self.stop_after is not None and trainer.epoch + 1 >= self.stop_after:
            trainer.stop = True

    def _measure_losses(self, trainer: Trainer) -> None:
        loader = trainer.train_loader
        collate = getattr(loader, "collate_fn", None)
        if collate is None:
            return
        items = [loader.dataset[i] for i in range(min(BATCH, len(loader.dataset)))]
        trained = deepcopy(self.untrained)
        trained.load_state_dict(trainer.model.state_dict())

        def loss(model: Any, repeats: int) -> float:
            batch = collate([deepcopy(item) for _ in range(repeats) for item in items])
            found = loss_of(deepcopy(model), trainer.preprocess_batch(batch))
            mean = trainer.host_run.chain.loss_reduction == "mean"  # which training multiplies
            return found * len(items) * repeats if mean else found

        found = self.recording
        found.loss_before, found.loss_after = loss(self.untrained, REPEATS), loss(trained, REPEATS)
        found.loss_once, found.loss_twice = found.loss_after, loss(trained, 2 * REPEATS)

    def _measure_validation(self, trainer: Trainer) -> None:
        before = training_state(trainer)
        trainer.validator(trainer)
        after, drawn = training_state(trainer), random_state()
        with preserved_random():
            seed_all(OTHER_SEED)
            trainer.validator(trainer)
            drawn_otherwise = random_state()
        touched = [part for part in before if before[part] != after[part]]
        # Loaders may draw from the generators, but the next epoch must not begin with the same numbers.
        self.recording.touched = touched + [f"the seed of {k}" for k in drawn if drawn[k] == drawn_otherwise[k]]


def loss_of(model: Any, batch: Any) -> float:
    """Return the loss of a batch as training computes it, but without dropout."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.eval()
    loss, _ = model(batch)
    return float(loss.detach().sum())


def training_state(trainer: Trainer) -> dict[str, str]:
    """Return a hash of each part of a training that a validation must not change."""
    model = trainer.model
    return {
        "the weights": digest(model.state_dict()),
        "the EMA": digest(trainer.ema.ema.state_dict()),
        "the optimizer": digest(trainer.optimizer.state_dict()),
        "the mode of modules (train or eval)": digest([m.training for m in model.modules()]),
        "requires_grad": digest([p.requires_grad for p in model.parameters()]),
    }


def random_state() -> dict[str, str]:
    """Return a hash of the state of each random generator."""
    return {
        "random": digest(random.getstate()),
        "numpy.random": digest(np.random.get_state()),
        "torch": digest(torch.get_rng_state()),
    }


def seed_all(seed: int) -> None:
    """Seed each random generator."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def preserved_random() -> Iterator[None]:
    """Restore the random generators on leaving."""
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(cpu)


def digest(value: Any) -> str:
    """Return a hash of tensors, arrays and plain data in containers."""
    found = hashlib.sha256()
    _update(found, value)
    return found.hexdigest()


def _update(found: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        whole = value.detach().cpu().contiguous()
        found.update(f"{whole.dtype}{tuple(whole.shape)}".encode())
        found.update(whole.flatten().view(torch.uint8).numpy().tobytes() if whole.numel() else b"")
    elif isinstance(value, np.ndarray):
        found.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            found.update(repr(key).encode())
            _update(found, item)
    elif isinstance(value, (list, tuple)):
        found.update(f"{len(value)}[".encode())
        for item in value:
            _update(found, item)
    elif isinstance(value, (str, int, float, bool, type(None))):
        found.update(repr(value).encode())
    else:
        found.update(pickle.dumps(value))


def resident_bytes() -> int:
    """Return how many bytes of memory the process holds; 0 if the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    import resource

    return pages * resource.getpagesize()
