"""Plugins that are broken on purpose, one for each check: the check of that name has to find it, and no other one."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.kit import toy
from tests.kit.toy import Network, ToyHooks
from trainer_host import ExtensionSpec, TaskSpec, hookimpl


def task(hooks: Any, **fields: Any) -> TaskSpec:
    return replace(toy.TASK, hooks=hooks, **fields)


class Unmarked(ToyHooks):
    def plot_data(self, ctx: Any) -> None: ...


@dataclass(frozen=True)
class AnyOption:
    gain: Any = 1.0


class Crashing(ToyHooks):
    @hookimpl
    def build_dataset(self, ctx: Any) -> Any:
        raise KeyError("brightness")


class TrustsData(ToyHooks):
    @hookimpl
    def check_dataset(self, ctx: Any) -> Iterator[Any]:
        for image, _ in toy.read_rows(Path(ctx.data["train"])):
            Image.open(image).close()
        yield from ()


class Climbs(Network):
    def loss(self, found: Tensor, value: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, items = super().loss(found, value)
        return 2 * loss.detach() - loss, items


class ClimbingHooks(ToyHooks):
    network = Climbs


class UnseededHooks(ToyHooks):
    @hookimpl
    def build_model(self, ctx: Any) -> nn.Module:
        model = self.network()
        nn.init.constant_(model.line.bias, 2 + int.from_bytes(os.urandom(2), "big") / 2**16)
        return model


class FixedHooks(ToyHooks):
    @hookimpl
    def build_model(self, ctx: Any) -> nn.Module:
        model = self.network()
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.5)
        return model

    @hookimpl
    def build_dataloader(self, ctx: Any, dataset: Any) -> Any:
        return DataLoader(dataset, ctx.batch_size)


class Mean(Network):
    def loss(self, found: Tensor, value: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, items = super().loss(found, value)
        return loss / len(value), items


class MeanHooks(ToyHooks):
    network = Mean


class SwitchesMode(toy.Validator):
    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        if trainer is not None:
            trainer.model.eval()
        return super().__call__(trainer, model)


class ModeHooks(ToyHooks):
    validator = SwitchesMode


class NotFinite(toy.Validator):
    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        self.metrics = SimpleNamespace(keys=["metrics/error", "metrics/ratio"])

    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        return {**super().__call__(trainer, model), "metrics/ratio": float("nan")}


class NotFiniteHooks(ToyHooks):
    validator = NotFinite


class EmbellishingHooks(ToyHooks):
    @hookimpl
    def evaluate_best(self, ctx: Any) -> dict[str, float]:
        metrics = super().evaluate_best(ctx)
        return {**metrics, "metrics/error": metrics["metrics/error"] / 2}


class PicklingHooks(ToyHooks):
    @hookimpl
    def callbacks(self, ctx: Any) -> dict[str, Any]:
        return {"on_train_end": lambda trainer: torch.save(trainer.model, trainer.wdir / "whole.pt")}


class SquaresOnly(toy.Predictor):
    def batch(self, file: Path) -> Tensor:
        pixels = np.asarray(Image.open(file))
        return torch.from_numpy(pixels.copy()).view(1, toy.SIZE * 2, toy.SIZE * 2, 3).permute(0, 3, 1, 2) / 255


class SquaresHooks(ToyHooks):
    predictor = SquaresOnly


RUNS: list[int] = []


class RememberingHooks(ToyHooks):
    @hookimpl
    def build_model(self, ctx: Any) -> nn.Module:
        RUNS.append(len(RUNS))
        model = self.network()
        nn.init.constant_(model.line.bias, RUNS[-1] / 10)
        return model


class ThreadedHooks(ToyHooks):
    @hookimpl
    def finish_setup(self, ctx: Any) -> None:
        threading.Thread(target=ENDED.wait, name="watcher", daemon=True).start()


ENDED = threading.Event()
BATCHES: list[Tensor] = []


class HoardingHooks(ToyHooks):
    @hookimpl(wrapper=True)
    def preprocess_batch(self, ctx: Any) -> Generator[None, Any, Any]:
        batch = yield
        BATCHES.append(batch["img"].clone())
        return batch


class Lonely:
    @hookimpl
    def finish_setup(self, ctx: Any) -> None:
        hooks = ctx.engine.hooks.finish_setup.get_hookimpls()
        if len([h for h in hooks if h.wrapper]) > 0:
            raise RuntimeError("I want to be alone")


class Shifted(Network):
    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.line.bias, 0.3)


class Sticky:
    @hookimpl(wrapper=True)
    def build_model(self, ctx: Any) -> Generator[None, Any, Any]:
        ToyHooks.network = Shifted  # for good
        return (yield)


UNMARKED = task(Unmarked())
ANY_OPTION = task(ToyHooks(), options=AnyOption)
CRASHING = task(Crashing())
TRUSTS_DATA = task(TrustsData())
CLIMBING = task(ClimbingHooks())
UNSEEDED = task(UnseededHooks())
FIXED = task(FixedHooks())
MEAN = task(MeanHooks())
MODE = task(ModeHooks())
NOT_FINITE = task(NotFiniteHooks())
EMBELLISHING = task(EmbellishingHooks())
PICKLING = task(PicklingHooks())
SQUARES = task(SquaresHooks())
REMEMBERING = task(RememberingHooks())
THREADED = task(ThreadedHooks())
HOARDING = task(HoardingHooks())
LONELY = ExtensionSpec(hooks=Lonely())
STICKY = ExtensionSpec(hooks=Sticky())

BROKEN = {
    "hooks": UNMARKED,
    "options": ANY_OPTION,
    "dataset-findings": TRUSTS_DATA,
    "trains": CRASHING,
    "learns": CLIMBING,
    "same-seed": UNSEEDED,
    "other-seed": FIXED,
    "loss-is-a-sum": MEAN,
    "validation-leaves-training": MODE,
    "memory-flat": HOARDING,
    "metrics-finite-json": NOT_FINITE,
    "metrics-same-after-reload": EMBELLISHING,
    "checkpoint-plain": PICKLING,
    "prediction-odd-sizes": SQUARES,
    "two-runs-in-one-process": REMEMBERING,
    "nothing-left-behind": THREADED,
    "composes": LONELY,
    "off-is-off": STICKY,
}
