"""What one process, and several, carry out: each function is a job, and returns what it came to."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Generator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.ranks.work import Trained, Work
from tests.support.sample_datasets import detect_dataset, pose_dataset
from trainer_host import TaskSpec, hookimpl
from trainer_host.base.errors import TrainerError
from trainer_host.base.save_interval import SaveInterval
from trainer_host.base.signals import StopRequest
from trainer_host.engine.state_files import StateEntry

HEATMAP = Path(__file__).parents[1] / "contract" / "packages" / "trainer-heatmap"
SHORT = {"batch": 4, "nbs": 8, "warmup_epochs": 1, "close_mosaic": 1, "lr0": 0.01}
IMAGES = 9
"""Batches of 4 do not divide them: the last batch has one image, so that the second process has none."""


# Data


def pose_data(work: Work, name: str = "pose") -> str:
    """Write the pose sample, in which every other training image has no object; return its YAML."""
    folder = work.folder / f"data-{name}"
    if work.rank == 0:
        pose_dataset(folder, IMAGES)
        for file in sorted((folder / "labels" / "train").glob("*.txt"))[::2]:
            file.write_text("")
    work.group.barrier()
    return str(next(folder.glob("*.yaml")))


def detect_data(work: Work) -> str:
    folder = work.folder / "data-detect"
    if work.rank == 0 and not folder.exists():
        detect_dataset(folder, IMAGES)
    work.group.barrier()
    return str(next(folder.glob("*.yaml")))


def heatmap(work: Work, hooks: Any = None) -> tuple[TaskSpec, dict[str, Any]]:
    """Return the task of the heat-map package, and settings that it trains with."""
    if str(HEATMAP) not in sys.path:
        sys.path.insert(0, str(HEATMAP))
    from trainer_heatmap.data import draw_sample
    from trainer_heatmap.task import TASK

    folder = work.folder / "data-heatmap"
    if work.rank == 0 and not folder.exists():
        folder.mkdir()
        draw_sample(folder)
    work.group.barrier()
    settings = {"data": str(folder / "points.yaml"), "imgsz": 64, "batch": 9, "nbs": 9, "warmup_epochs": 0}
    return replace(TASK, name="heatmap", hooks=hooks or TASK.hooks), {**settings, "epochs": 2, "lr0": 0.001}


# Plugins


class Sums:
    """A metric that depends on the order of the images."""

    def reset(self) -> None:
        self.total, self.images = 0.0, 0

    def update(self, found: Any, truth: Any) -> None:
        self.images += 1
        self.total = self.total * 0.9 + float(found.scores.sum()) + float(found.boxes.sum()) * 1e-3 + len(truth)

    def compute(self) -> float:
        return self.total / max(self.images, 1)


class Counts(Sums):
    """A metric that merges its states."""

    def update(self, found: Any, truth: Any) -> None:
        self.images += 1
        self.total += len(found) + 2 * len(truth)

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "images": self.images}

    def merge(self, states: list[dict[str, Any]]) -> None:
        self.total, self.images = (sum(s[name] for s in states) for name in ("total", "images"))


class Metrics:
    """Two metrics."""

    @hookimpl
    def metrics(self, ctx: Any) -> dict[str, Any]:
        return {"metrics/sums": Sums(), "metrics/counts": Counts()}


class Chosen(torch.utils.data.Sampler[int]):
    """Draws images, some of them twice."""

    def __init__(self, count: int, shift: int = 0) -> None:
        self.count, self.shift = count, shift

    def __len__(self) -> int:
        return self.count - 1

    def __iter__(self) -> Any:
        drawn = torch.randint(self.count, (len(self),))
        return iter(((drawn + self.shift) % self.count).tolist())


class Sampler:
    """A sampler; by ``shift`` the processes may choose differently."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    @hookimpl(wrapper=True)
    def build_sampler(self, ctx: Any, dataset: Any) -> Generator[None, Any, Chosen]:
        yield
        return Chosen(len(dataset), self.shift)


class Stream:
    """The batches of a loader, some left out at the end, of which its length may know nothing."""

    def __init__(self, loader: Any, short: int, honest: bool) -> None:
        self.loader, self.short, self.honest = loader, short, honest

    def __len__(self) -> int:
        return len(self.loader) - self.short * self.honest

    def __iter__(self) -> Any:
        return islice(iter(self.loader), len(self.loader) - self.short)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class Uneven:
    """Loaders of which each process has another number of batches."""

    def __init__(self, honest: bool) -> None:
        self.honest = honest

    @hookimpl(wrapper=True)
    def build_dataloader(self, ctx: Any, dataset: Any) -> Generator[None, Any, Any]:
        loader = yield
        return Stream(loader, ctx.rank, self.honest) if ctx.mode == "train" else loader


class Fault:
    """Does something in a batch of a process."""

    def __init__(self, rank: int, act: Any, times: int = 1) -> None:
        self.rank, self.act, self.left = rank, act, times

    @hookimpl(wrapper=True)
    def preprocess_batch(self, ctx: Any, batch: Any) -> Generator[None, Any, Any]:
        prepared = yield
        if ctx.rank == self.rank and self.left:
            self.left -= 1
            self.act(ctx, prepared)
        return prepared


# Equality with one process


def pose(work: Work) -> dict[str, Any]:
    settings = {**SHORT, "data": pose_data(work), "model": "yolo26n-pose.yaml", "epochs": 2}
    return work.train("pose", "pose", settings, plugins=[Metrics()]).kept


def pose11(work: Work) -> dict[str, Any]:
    settings = {**SHORT, "data": pose_data(work), "model": "yolo11n-pose.yaml", "nbs": 4}
    return work.train("pose11", "pose", {**settings, "imgsz": 96, "multi_scale": 0.25}).kept


def still(work: Work) -> dict[str, Any]:
    """Train with a learning rate of zero: validations of the same weights."""
    settings = {**SHORT, "data": pose_data(work), "model": "yolo26n-pose.yaml", "lr0": 0.0, "warmup_epochs": 0}
    return work.train("still", "pose", {**settings, "plots": True, "conf": 1e-4}, plugins=[Metrics()]).kept


def detect(work: Work) -> dict[str, Any]:
    settings = {**SHORT, "data": detect_data(work), "model": "yolo26n.yaml", "epochs": 2, "cls_pw": 0.5}
    return work.train("detect", "detect", settings).kept


def sampled(work: Work) -> dict[str, Any]:
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml", "nbs": 4}
    return work.train("sampled", "detect", settings, plugins=[Sampler()]).kept


def heat(work: Work) -> dict[str, Any]:
    task, settings = heatmap(work)
    return work.train("heat", task, settings).kept


class MeanNet(nn.Module):
    """Returns the mean of a loss over the batch."""

    def __init__(self, summed: Any) -> None:
        super().__init__()
        self.summed, self.yaml = summed, summed.yaml

    def forward(self, x: Any) -> Any:
        found = self.summed(x)
        return (found[0] / len(x["img"]), found[1]) if isinstance(x, dict) else found


def mean(work: Work) -> dict[str, Any]:
    """Train the heat-map task with a mean loss."""
    task, settings = heatmap(work)
    from trainer_heatmap.task import HeatmapHooks

    class MeanHooks(HeatmapHooks):
        @hookimpl
        def build_model(self, ctx: Any) -> MeanNet:
            if ctx.weights is not None:
                ctx = replace(ctx, weights=None)
            return MeanNet(super().build_model(ctx))

    return work.train("mean", replace(task, hooks=MeanHooks(), name="mean", loss_reduction="mean"), settings).kept


# What all agree on


def live(work: Work) -> dict[str, Any]:
    """Train with batch norms that change, until the last process alone ends it, while nothing is evaluated."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml", "epochs": 3, "val": False}
    said: list[str] = []

    def end(trainer: Any) -> None:
        random.random()  # the processes drew a different number
        trainer.stop |= trainer.loop.epoch == 1

    def watch(trainer: Any) -> None:
        trainer.add_callback("on_train_epoch_start", lambda _: drawn.append(random.getstate()[1][0]))
        if work.rank == work.group.ranks.world_size - 1:
            trainer.add_callback("on_train_epoch_end", end)

    drawn: list[int] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ultralytics")
    log.addHandler(listener)
    try:
        done = work.train("live", "detect", settings, frozen=False, watch=watch)
    finally:
        log.removeHandler(listener)
    return {**done.kept, "said": said, "epochs": done.outcome.epochs, "drawn": drawn}


def on_gpu(work: Work) -> dict[str, Any]:
    """Train on one GPU with batch norms that change, in full precision and in mixed precision."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml", "nbs": 4, "device": "0"}
    full = work.train("full", "detect", {**settings, "amp": False}, frozen=False)
    mixed = work.train("mixed", "detect", {**settings, "amp": True}, frozen=False)
    return {
        "full": full.kept,
        "mixed": mixed.kept,
        "scaled": mixed.trainer.scaler.is_enabled(),
        "synchronised": [m for m in map(_class, mixed.trainer.model.modules()) if m == "SyncBatchNorm"] != [],
        "saved": [m for m in map(_class, mixed.trainer.ema.ema.modules()) if m == "SyncBatchNorm"],
    }


def _class(module: Any) -> str:
    return type(module).__name__


def resumed(work: Work) -> dict[str, Any]:
    """Train, and train again with stops that the last process alone is asked for, and go on after each."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml", "epochs": 3, "warmup_epochs": 0}
    settings |= {"batch": 2, "nbs": 4}  # three batches to evaluate, so that a second round notices the stop
    whole = work.train("whole", "detect", settings, frozen=False)
    first = _stopped(work, settings, "on_train_batch_end", (1, 0))
    second = _stopped(work, settings, "on_val_batch_start", (1, 5), first.entries)
    rest = work.train("cut", "detect", settings, frozen=False, entries=second.entries)
    return {
        "interrupted": [first.outcome.interrupted, second.outcome.interrupted],
        "positions": [[e.epoch, e.batch, e.phase] for e in (first.entries[-1], second.entries[-1])],
        "files": first.kept["files"],
        "whole": whole.kept,
        "rest": rest.kept,
    }


def _stopped(work: Work, settings: Any, event: str, at: tuple[int, int], entries: Any = ()) -> Trained:
    """Train until an event, at an epoch and a number of batches, at which the last process is asked to stop."""
    stop = StopRequest()

    def ask(trainer: Any) -> None:
        def request(_: Any) -> None:
            stop.requested |= (trainer.loop.epoch, trainer.loop.batch) == at

        if work.rank == work.group.ranks.world_size - 1:
            trainer.add_callback(event, request)

    return work.train("cut", "detect", settings, frozen=False, stop=stop, entries=entries, watch=ask)


CUT = {**SHORT, "model": "yolo11n.yaml", "epochs": 2, "warmup_epochs": 0}


def begun(work: Work) -> dict[str, Any]:
    """Train one of two epochs with frozen batch norms, and keep the state."""
    stop, settings = StopRequest(), {**CUT, "data": detect_data(work)}

    def ask(trainer: Any) -> None:
        def request(_: Any) -> None:
            stop.requested |= (trainer.loop.epoch, trainer.loop.batch) == (1, 0)

        trainer.add_callback("on_train_batch_end", request)

    done = work.train("begun", "detect", settings, stop=stop, watch=ask)
    return {"entries": [entry.as_data() for entry in done.entries]}


def alone(work: Work) -> dict[str, Any]:
    """Train two epochs, and go on with what two processes began."""
    settings = {**CUT, "data": detect_data(work)}
    folder = work.folder.parent / "two"
    entries = torch.load(folder / "begun.0.pt", weights_only=True)["entries"]
    work.folder.joinpath("begun").symlink_to(folder / "begun")
    rest = work.train("begun", "detect", settings, entries=tuple(map(StateEntry.of_data, entries)))
    return {"whole": work.train("whole", "detect", settings).kept, "rest": rest.kept}


def lost(work: Work) -> dict[str, Any]:
    """Train with a loss that is not finite in the last process, once; no process sees the folder of another."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml", "nbs": 4}

    def poison(ctx: Any, batch: Any) -> None:
        batch["img"] *= float("nan")

    fault = Fault(work.group.ranks.world_size - 1, poison)
    fault.left = 0

    def arm(trainer: Any) -> None:
        def at(trainer: Any) -> None:
            fault.left = int((trainer.loop.epoch, trainer.loop.batch, trainer.loop.attempt) == (0, 1, 0))

        trainer.add_callback("on_train_batch_start", at)

    options = {"checkpoint_every": SaveInterval.parse("1")}
    done = work.train(f"lost{work.rank}", "detect", settings, plugins=[fault], options=options, watch=arm)
    recoveries = [{k: r[k] for k in ("what", "epoch", "batch", "files")} for r in done.recoveries]
    return {"recoveries": recoveries, **done.kept}


def small(work: Work) -> dict[str, Any]:
    """Train with a device of the last process that lacks memory, once."""
    done = _without_memory(work, 1)
    return {"reduced": done.outcome.reduced_batch, **done.kept}


def exhausted(work: Work) -> dict[str, Any]:
    """Train with a device of the last process that always lacks memory."""
    return {"error": _error(lambda: _without_memory(work, 99))}


def _without_memory(work: Work, times: int) -> Trained:
    settings = {**SHORT, "data": detect_data(work), "model": "yolo26n.yaml", "nbs": 4}

    def fail(ctx: Any, batch: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    return work.train("small", "detect", settings, plugins=[Fault(work.group.ranks.world_size - 1, fail, times)])


def torn(work: Work) -> dict[str, Any]:
    """Train with samplers that choose differently."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml"}
    return {"error": _error(lambda: work.train("torn", "detect", settings, plugins=[Sampler(work.rank)]))}


def refused(work: Work) -> dict[str, Any]:
    """Ask for what several processes do not do."""
    settings = {**SHORT, "data": detect_data(work), "model": "yolo11n.yaml"}
    asked: dict[str, Any] = {"exact": (settings, {"exact": True}), "batch": ({**settings, "batch": -1}, {})}
    asked["files"] = {**settings, "save_txt": True}, {}
    asked["few"] = {**settings, "imgsz": 32, "batch": 3}, {}  # nine images: no batch of one, but parts of one
    found = {k: _error(lambda v=v: work.train("no", "detect", v[0], options=v[1])) for k, v in asked.items()}
    for name, honest in (("uneven", True), ("ended", False)):
        found[name] = _error(lambda honest=honest: work.train("no", "detect", settings, plugins=[Uneven(honest)]))
    return found


def _error(function: Any) -> str:
    try:
        function()
    except TrainerError as error:
        return str(error)
    return ""


def group(work: Work) -> dict[str, Any]:
    """Use the group itself."""
    each = {"rank": work.rank, "tensor": torch.arange(work.rank + 1)}
    gathered = work.group.gather(each)
    return {
        "gathered": gathered,
        "broadcast": work.group.broadcast({"of": work.rank, "long": "x" * work.rank}),
        "any": [work.group.any(work.rank == 1), work.group.any(False)],
        "sum": work.group.sum(torch.tensor([1.0, work.rank])),
    }
