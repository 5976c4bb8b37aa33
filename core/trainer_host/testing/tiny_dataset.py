"""Tiny datasets: a task's own sample, cut down to a few images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.contexts import SampleContext
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.data.check_runner import read_and_check
from trainer_host.plugin.registry import Registry
from trainer_host.session.dataset_check import prepare
from trainer_host.testing.check_outcome import CheckSkippedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.plugin.chain import Chain

KEPT = {"train": 8, "val": 4, "test": 4}
"""Images that remain of each split."""
LARGEST = 64
"""Largest size of the images that are trained on, in pixels."""
SETTINGS: dict[str, Any] = {
    "batch": 4,
    "nbs": 4,
    "workers": 0,
    "warmup_epochs": 0,
    "close_mosaic": 0,
    "lrf": 1.0,
    "plots": False,
    "amp": False,
    "device": "cpu",
    "patience": 100,
}
"""Engine keys of every training of the kit."""


@dataclass(frozen=True)
class TinyDataset:
    """A dataset that trains in seconds.

    Attributes:
        file: The value of ``data`` for a run.
        settings: Engine keys that suit it.
        folder: The folder that it was drawn into; None for a dataset of the author's.
    """

    file: Path
    settings: dict[str, Any]
    folder: Path | None


def tiny_dataset(
    task: str, folder: Path, data: str | Path | None = None, registry: Registry | None = None
) -> TinyDataset:
    """Return a tiny dataset of a task: its sample, cut down to a few images, or ``data`` as it is.

    Args:
        task: The task's name.
        folder: Where to draw the sample.
        data: A dataset to use instead.
        registry: The plugins to choose from; the installed ones if omitted.

    Raises:
        CheckSkippedError: If the task has no sample, and no dataset is given.
    """
    registry = registry or Registry.installed()
    chain = registry.chain(task)
    if data is not None:
        scratch = chain.attribute("scratch_model")
        model = {"model": scratch} if scratch else {}
        return TinyDataset(Path(data).absolute(), {**model, **_tiny(chain)}, None)
    folder.mkdir(parents=True)
    sample = chain.manager.hook.build_sample(ctx=SampleContext(folder=folder))
    if sample is None:
        raise CheckSkippedError(f"task {task!r} has no sample: implement the hook build_sample, or give a dataset.")
    _cut(chain, registry, Path(sample.data), folder)
    return TinyDataset(Path(sample.data), _tiny(chain, sample.settings), folder)


def _tiny(chain: Chain, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return engine keys: those of the kit, over those of a sample, over those that suit the task."""
    suiting = {k: v for member in chain.tasks for k, v in getattr(member.spec, "settings", {}).items()}
    settings = {**suiting, **(given or {})}
    return {**settings, **SETTINGS, "imgsz": min(int(settings.get("imgsz", LARGEST)), LARGEST)}


def _cut(chain: Chain, registry: Registry, file: Path, folder: Path) -> None:
    """Remove all but a few images, with their labels, if the host reads the dataset."""
    ctx = prepare(Request.of("check", {"data": str(file)}, task=chain.name), registry, NullReporter())[1]
    for name, split in read_and_check(chain, ctx).splits.items():
        if split.shares_files:
            continue
        for image, labels in list(zip(split.images, split.label_files, strict=True))[KEPT[name] :]:
            for surplus in (Path(image), Path(labels)):
                if surplus.resolve().is_relative_to(folder):
                    surplus.unlink(missing_ok=True)
