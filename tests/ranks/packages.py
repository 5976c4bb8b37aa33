"""Runs of example packages in two processes, what each process saw of them, and what every one of them leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.contract.conftest import PACKAGES, rows
from tests.support.command import Done
from tests.support.written_package import copy_package

RECORDER = """
import hashlib, json, sys
from pathlib import Path
from trainer_host import hookimpl

EVENTS = {events}
seen = {{"events": [], "images": [], "weights": {{}}}}

def digest(model):
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()

@hookimpl(wrapper=True)
def preprocess_batch(ctx, batch):
    if seen["events"][-1] == "on_train_batch_start":
        seen["images"] += [Path(name).stem for name in batch.get("im_file") or batch.get("key") or ()]
    return (yield)

@hookimpl
def callbacks(ctx):
    def note(event):
        def noted(trainer):
            seen["events"].append(event)
            if event == "on_fit_epoch_end" and not seen["weights"]:
                seen["weights"] = {{"model": digest(trainer.model), "ema": digest(trainer.ema.ema)}}
                seen["rates"] = [group["lr"] for group in trainer.optimizer.param_groups]
            if event == "teardown":
                first = sys.modules.get("trainer_first_hooks")
                seen["hooks"] = sorted(first.TASK.hooks.called) if first else []
                seen["place"] = [ctx.rank, ctx.world_size]
                seen["folder"] = str(ctx.save_dir)
                Path(f"{folder}/seen-{{ctx.rank}}.json").write_text(json.dumps(seen))
        return noted
    return {{event: note(event) for event in EVENTS}}
"""
EVENTS = (
    *("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"),
    *("on_train_epoch_start", "on_train_batch_start", "on_train_batch_end", "on_train_epoch_end"),
    *("on_val_start", "on_val_batch_start", "on_val_batch_end", "on_val_end"),
    *("on_model_save", "on_fit_epoch_end", "on_train_end", "teardown"),
)


@dataclass(frozen=True)
class Place:
    """A folder in which runs are started, and where the packages are.

    Attributes:
        folder: The folder.
        path: Folders of the packages.
        without: Extensions that cannot be used here.
    """

    folder: Path
    path: tuple[Path, ...]
    without: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, folder: Path) -> Place:
        """Put all packages into a folder, as an installer would."""
        for source in sorted(PACKAGES.iterdir()):
            copy_package(source, folder / "site")
        return cls(folder, (folder / "site",))


@dataclass(frozen=True)
class Trained:
    """A training in two processes that ended.

    Attributes:
        run: The run folder.
        result: What it printed for programs.
        ranks: What the recorder saw in each process.
    """

    run: Path
    result: dict[str, Any]
    ranks: list[dict[str, Any]]

    @property
    def row(self) -> dict[str, float]:
        """The one row of results.csv."""
        (row,) = rows(self.run / "results.csv")
        return {name: float(value) for name, value in row.items()}

    @property
    def record(self) -> dict[str, Any]:
        """What the checkpoint says of the run."""
        record: dict[str, Any] = self.checkpoint["trainer_host"]
        return record

    @property
    def checkpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(self.run / "weights" / "best.pt", weights_only=False)
        return found

    @property
    def images(self) -> list[str]:
        """The images that all processes trained on."""
        return [image for rank in self.ranks for image in rank["images"]]


def recorder(folder: Path) -> tuple[str, str]:
    """Write a plugin file that notes what each process sees, and return the words that switch it on."""
    (folder / "recorder.py").write_text(RECORDER.format(events=EVENTS, folder=folder), "utf-8")
    return "--plugin", "./recorder.py"


def trained(folder: Path, out: str, task: str) -> Trained:
    """Return a training that was started in a folder, after a look at what every one of them leaves."""
    result = Done(0, out, "").json
    run = Path(result["save_dir"])
    ranks = [json.loads((folder / f"seen-{rank}.json").read_text("utf-8")) for rank in (0, 1)]
    found = Trained(run, result, ranks)
    content = yaml.safe_load((run / "run.yaml").read_text("utf-8"))
    assert (content["task"], content["processes"], content["record"]["status"]) == (task, 2, "done")
    names = {path.name for path in run.iterdir()}
    assert {"args.yaml", "results.csv", "run.yaml", "weights"} <= names
    assert not [name for name in names if name.startswith(".")]
    weights = {path.name for path in (run / "weights").iterdir()}
    assert {name for name in weights if not name.startswith("state-")} == {"best.pt", "last.pt"}
    assert found.row["epoch"] == 1
    assert [rank["place"] for rank in ranks] == [[0, 2], [1, 2]]
    assert ranks[0]["folder"] == str(run)
    assert not Path(ranks[1]["folder"]).exists(), "the folder of another process is removed"
    for what in ("weights", "rates"):
        assert ranks[0][what] == ranks[1][what], what
    assert set(ranks[0]["weights"]) == {"model", "ema"}
    first, second = (Counter(rank["events"]) for rank in ranks)
    parts = {event: (first.pop(event, 0), second.pop(event, 0)) for event in ("on_val_batch_start", "on_val_batch_end")}
    assert first == second
    assert all(count >= other for count, other in parts.values()), "each evaluates every other batch"
    return found


def shown_once(err: str, *words: str) -> None:
    """Require that the row of the epoch, and lines with some words, are shown once."""
    for text in ("1/1 ", *words):
        assert sum(text in line for line in err.splitlines()) == 1, (text, err)
