"""What hooks cost: a training step on the built-in sample with no extension, and with ten that wrap every hook.

python -m tests.benchmarks.hooks [--rounds 3] [--extensions 10] [--task pose]

Trainings take turns in one process and see the same images. What the extensions add is smaller than the noise between
them, so the call that each step makes is timed by itself too, and compared with the median step. A separate training
counts the calls of each hook.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import types
from collections import Counter
from pathlib import Path
from typing import Any

import trainer_host
from tests.benchmarks.timing import in_turn, print_times, ratio
from trainer_host.plugin.chain import HookManager, Member, register
from trainer_host.plugin.discovery import PluginRecord
from trainer_host.plugin.hookspecs import HOOKS
from trainer_host.plugin.plugin_spec import ExtensionSpec

CALLS = 2000
AIM = 0.005
WRAPPER = "@hookimpl(wrapper=True)\ndef {}():\n    return (yield)\n"
DO_NOTHING = "\n".join(["from trainer_host import hookimpl\n", *map(WRAPPER.format, HOOKS)])
CLOCK = """
import time
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    began = []

    def end(trainer):
        with (trainer.save_dir / "steps").open("a") as file:
            file.write(f"{time.perf_counter() - began[-1]}\\n")

    return {"on_train_batch_start": lambda trainer: began.append(time.perf_counter()), "on_train_batch_end": end}
"""
COUNT = """
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    def begin(trainer):
        calls = (trainer.save_dir / "calls").open("a")
        manager = trainer.host_run.chain.manager
        note = lambda name, *_: calls.write(f"{name}\\n")
        trainer.stop_counting = manager.add_hookcall_monitoring(note, lambda *_: None)
        (trainer.save_dir / "size").write_text(f"{len(trainer.train_loader)} {len(trainer.train_loader.dataset)}")

    return {"on_train_epoch_start": begin, "on_train_epoch_end": lambda trainer: trainer.stop_counting()}
"""


def train(task: str, folder: Path, **files: str) -> Path:
    """Train for an epoch on the sample with extensions that are written as files; return the run's folder."""
    for name, code in files.items():
        (folder / f"{name}.py").write_text(code)
    plugins = [str(folder / f"{name}.py") for name in files]
    settings = {"epochs": 1, "plots": False, "project": str(folder / "runs")}
    return trainer_host.run(task, plugins=plugins, **settings).save_dir


def step(task: str, folder: Path, extensions: int) -> float:
    """Return the seconds of the median step."""
    others = {f"nothing{i}": DO_NOTHING for i in range(extensions)}
    return statistics.median(map(float, (train(task, folder, clock=CLOCK, **others) / "steps").read_text().split()))


class Task:
    @trainer_host.hookimpl
    def preprocess_batch(self, batch: Any) -> Any:
        return batch


def call(extensions: int) -> float:
    """Return the seconds of the call that a step makes, to a task that has nothing to do."""
    manager = HookManager()
    manager.register(Task())
    for i in range(extensions):
        module = types.ModuleType(f"nothing{i}")
        exec(DO_NOTHING, vars(module))
        record = PluginRecord(module.__name__, "extension", "trainer-x", "1", "available", "", "x:")
        register(manager, Member(record, ExtensionSpec(hooks=module)))
    hook, began = manager.hook.preprocess_batch, time.perf_counter()
    for _ in range(CALLS):
        hook(ctx=None, batch={})
    return (time.perf_counter() - began) / CALLS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extensions", type=int, default=10)
    parser.add_argument("--task", default="pose")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, name = Path(scratch), f"with {given.extensions}"
        steps = in_turn(
            {
                "without": lambda: step(given.task, folder, 0),
                name: lambda: step(given.task, folder, given.extensions),
            },
            given.rounds,
        )
        print(f"a step of the sample of {given.task}, {given.extensions} extensions that wrap {len(HOOKS)} hooks each")
        print_times(steps)
        print(f"with extensions / without: {ratio(steps[name], steps['without']):.4f}")
        calls = in_turn({"without": lambda: call(0), name: lambda: call(given.extensions)}, 5)
        added = statistics.median(calls[name]) - statistics.median(calls["without"])
        share = added / statistics.median(steps["without"])
        print(f"\nthe hook of a step: {statistics.median(calls['without']) * 1e6:.1f} µs without, ", end="")
        print(f"{statistics.median(calls[name]) * 1e6:.1f} µs with them", end="")
        print(f": {share:.3%} of a step (aim: {AIM:.1%}): {'good' if share < AIM else 'MISSED'}")
        counted = train(given.task, folder, count=COUNT)
        batches, images = map(int, (counted / "size").read_text().split())
        print(f"\nhooks called in an epoch of {batches} steps and {images} images:")
        for hook, count in Counter((counted / "calls").read_text().split()).most_common():
            print(f"  {hook}: {count}")


if __name__ == "__main__":
    main()
