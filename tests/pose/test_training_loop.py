"""The training loop, entered at every kind of position: the end is the same to the bit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sample_datasets import pose_dataset
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.state_saving import StateSaver

pytestmark = pytest.mark.train

SHORT = {"imgsz": 64, "batch": 4, "epochs": 3, "close_mosaic": 1, "workers": 0, "plots": False, "nbs": 8}
BATCHES = 3
POSITIONS = [(0, 1, "batches"), (1, 2, "batches"), (1, 3, "validation"), (2, 0, "batches"), (3, 0, "finished")]


class KnownOrder:
    """The order of a loader without workers, which can be entered in the middle of a pass."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.pending = loader, None
        self.began, self.drawn = loader.generator.get_state(), 0
        self.inner, loader.batch_sampler.sampler = loader.batch_sampler.sampler, self

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[int]]:
        self.began, self.drawn = self.loader.generator.get_state(), 0
        for batch in self.inner:
            self.drawn += 1
            yield batch

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        self.done = batch
        if self.pending is None:
            return
        state, self.pending = self.pending, None
        if self.loader.iterator is not None:  # else it was reset, and begins a new pass
            self.loader.generator.set_state(state["began"])
            for _ in range(state["drawn"]):
                next(self.loader.iterator._sampler_iter)
        self.loader.generator.set_state(state["now"])

    def batches(self) -> Iterator[Any]:
        return iter(self.loader) if not self.done else islice(self.loader, BATCHES - self.done)

    def state(self) -> dict[str, Any]:
        now = self.loader.generator.get_state()
        return {"began": self.began, "now": now, "drawn": self.drawn, "buffer": list(self.loader.dataset.buffer)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.pending = dict(state)
        self.loader.reset()
        self.loader.iterator = self.loader._get_iterator()
        dataset, device = self.loader.dataset, torch.device("cpu")
        kept = generator_states(device)
        for index in dataset.buffer:
            dataset.ims[index] = None
        dataset.buffer.clear()
        for index in state["buffer"]:
            dataset.load_image(index)  # which appends it
        set_generator_states(kept, device)


class MemoryFiles:
    """States in memory, by their position."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, int, str], dict[str, Any]] = {}

    entries: tuple[Any, ...] = ()

    def remove(self) -> None:
        return None  # the test goes on from them

    def wait(self) -> None:
        return None

    def raise_failure(self) -> None:
        return None

    def start_writing(self, content: dict[str, Any], *, epoch: int, batch: int, phase: str) -> Any:
        data = io.BytesIO()
        torch.save(content, data)
        data.seek(0)
        self.states[epoch, batch, phase] = torch.load(data, weights_only=True)
        return type("Entry", (), {"file": f"{epoch}-{batch}-{phase}"})


def train(folder: Path, overrides: dict[str, Any], saver: StateSaver) -> tuple[Any, list[str]]:
    """Train, and return the trainer and the events in their order."""
    from trainer_pose import PoseTrainer

    trainer = PoseTrainer(overrides={**overrides, "project": str(folder), "name": "run", "exist_ok": True})
    trainer.saver = saver
    events: list[str] = []

    def begin(trainer: Any) -> None:
        if trainer.order is None:
            trainer.order = KnownOrder(trainer.train_loader)

    trainer.add_callback("on_pretrain_routine_end", begin)
    for event in ("on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end", "on_fit_epoch_end"):
        trainer.add_callback(event, lambda _, event=event: events.append(event))
    trainer.train()
    return trainer, events


def tensors(trainer: Any) -> dict[str, torch.Tensor]:
    parts = {"model": trainer.model, "ema": trainer.ema.ema}
    found = {f"{part}.{k}": v.clone() for part, module in parts.items() for k, v in module.state_dict().items()}
    state = trainer.optimizer.state_dict()["state"]
    return found | {f"optimizer.{i}.{k}": torch.as_tensor(v) for i, s in state.items() for k, v in s.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pose_dataset(tmp_path_factory.mktemp("pose"), images=10))


@pytest.mark.smoke
@pytest.mark.parametrize(
    "more", [{"optimizer": "SGD"}, {"optimizer": "AdamW", "multi_scale": 0.5, "cos_lr": True, "warmup_epochs": 1}]
)
def test_entering_anywhere_ends_the_same(tmp_path: Path, data: str, more: dict[str, Any]) -> None:
    overrides = {**SHORT, **more, "data": data, "model": "yolo11n-pose.yaml"}
    files = MemoryFiles()
    whole, events = train(tmp_path, overrides, StateSaver(files, batches=1))  # type: ignore[arg-type]
    assert events.count("on_train_batch_end") == 3 * BATCHES
    expected = tensors(whole)
    for position in POSITIONS:
        content = files.states[position]
        entered, events = train(tmp_path, overrides, StateSaver(content=content))
        epoch, batch, _ = position
        left = 3 * BATCHES - epoch * BATCHES - batch
        assert events.count("on_train_batch_end") == left, position
        found = tensors(entered)
        assert found.keys() == expected.keys()
        assert [k for k, v in found.items() if not torch.equal(v, expected[k])] == [], position
        assert entered.metrics.keys() == whole.metrics.keys()
