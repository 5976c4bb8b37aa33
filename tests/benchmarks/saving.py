"""What saving the state of a training costs: epochs of the built-in sample with and without it, in turn.

python -m tests.benchmarks.saving [--model yolo26n-pose.yaml] [--imgsz 640] [--epochs 3] [--rounds 5]

The first table has the seconds of an epoch; the second how long the training waits for the state, and for the
checkpoints, which are the engine's own save.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from typing import Any

import trainer_host
from tests.benchmarks.timing import Timer, in_turn, print_times, ratio
from trainer_host import hookimpl

waits: dict[str, list[float]] = defaultdict(list)


class Timing:
    """Times the epochs, and what the training waits for at their ends.

    Args:
        saves: Whether the state is saved.
    """

    def __init__(self, saves: bool) -> None:
        self.saves = saves
        self.epochs: list[float] = []
        self.began = 0.0

    @hookimpl
    def callbacks(self) -> dict[str, Any]:
        """Time an epoch from its first batch to that of the next, with all that is done at its end."""
        return {"on_train_start": self.start, "on_train_epoch_start": self.epoch, "on_train_end": self.epoch}

    def start(self, trainer: Any) -> None:
        """Have the saves of the training timed."""
        saver = trainer.saver
        if not self.saves:
            saver.files = None
        else:
            saver.files.start_writing = timed("state", saver.files.start_writing)
        trainer.save_model = timed("checkpoints", trainer.save_model)

    def epoch(self, _: Any) -> None:
        """Note the epoch that is over."""
        now = time.perf_counter()
        if self.began:
            self.epochs.append(now - self.began)
        self.began = now


def timed(name: str, function: Any) -> Any:
    """Return a function whose calls are timed."""

    def call(*args: Any, **more: Any) -> Any:
        began = time.perf_counter()
        result = function(*args, **more)
        waits[name].append(time.perf_counter() - began)
        return result

    return call


def trained(saves: bool, settings: dict[str, Any]) -> Timer:
    """Return a function that trains, and returns the seconds of an epoch, the first and the last left out."""

    def train() -> float:
        timing = Timing(saves)
        trainer_host.run("pose", plugins=[timing], plots=False, **settings)
        return statistics.mean(timing.epochs[1:-1])

    return train


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.saving", description=__doc__)
    parser.add_argument("--model", help="Model YAML; that of the sample by default")
    parser.add_argument("--imgsz", type=int, help="Image size; that of the sample by default")
    parser.add_argument("--epochs", type=int, default=4, help="Epochs of a training")
    parser.add_argument("--rounds", type=int, default=5, help="Pairs of trainings")
    wanted = parser.parse_args()
    settings = {k: v for k, v in vars(wanted).items() if k != "rounds" and v is not None}
    times = in_turn({"with the state": trained(True, settings), "without": trained(False, settings)}, wanted.rounds)
    print_times(times)
    pairs = [a / b for a, b in zip(*times.values(), strict=True)]
    print(f"ratio: {ratio(*times.values()):.3f} [{min(pairs):.3f}, {max(pairs):.3f}]\n")
    print_times(waits)


if __name__ == "__main__":
    main()
