"""Trains a class of the engine, and a task of a package in its place; everything has to be equal to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.contract.conftest import Trainer, rows

SETTINGS = {"imgsz": 64, "batch": 4, "epochs": 2, "close_mosaic": 1, "workers": 0, "plots": False, "optimizer": "AdamW"}
KEEP = """
import os, torch
from trainer_host import hookimpl

def keep(trainer):
    weights = {"model": trainer.model.state_dict(), "ema": trainer.ema.ema.state_dict()}
    torch.save({**weights, "losses": dict(trainer.loss_items)}, os.environ["KEPT"])

@hookimpl
def callbacks(ctx):
    return {"on_train_epoch_end": keep}
"""
STOCK = """
import importlib, json, os, sys
sys.path.insert(0, os.environ["FOLDER"])
from keep import keep

module, name, overrides = sys.argv[1:]
trainer = getattr(importlib.import_module(module), name)(overrides=json.loads(overrides))
trainer.add_callback("on_train_epoch_end", keep)
trainer.train()
"""


def train_stock(command: Trainer, target: str, **overrides: Any) -> dict[str, Any]:
    """Train with a class of the engine; return its weights and the table of its epochs."""
    (command.folder / "keep.py").write_text(KEEP)
    command = command.having(KEPT=str(command.folder / "stock.pt"), FOLDER=str(command.folder))
    given = {**SETTINGS, **overrides, "project": str(command.folder / "stock"), "name": "run"}
    done = command.python("-c", STOCK, *target.split(":"), json.dumps(given))
    assert done.code == 0, done.err
    for cache in Path(str(overrides["data"])).parent.rglob("*.cache"):
        cache.unlink()  # which the engine leaves next to the labels
    return reported(command.folder / "stock.pt", command.folder / "stock" / "run")


def train_task(command: Trainer, task: str, **overrides: Any) -> dict[str, Any]:
    """Train a task by the command; return its weights, the table of its epochs, and the best checkpoint."""
    (command.folder / "keep.py").write_text(KEEP)
    command = command.having(KEPT=str(command.folder / f"{task}.pt"))
    words = [f"{k}={v}" for k, v in {**SETTINGS, **overrides}.items()]
    done = command("run", "--task", task, "--exact", "--plugin", "./keep.py", *words, "--json").json
    return {**reported(command.folder / f"{task}.pt", Path(done["save_dir"])), "best": Path(done["best"])}


def reported(weights: Path, run: Path) -> dict[str, Any]:
    table = [{k.strip(): v for k, v in row.items() if k.strip() != "time"} for row in rows(run / "results.csv")]
    return {**torch.load(weights, weights_only=True), "table": table}


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return the names of everything that is not equal to the bit."""
    found = []
    for part in ("model", "ema", "losses"):
        assert a[part].keys() == b[part].keys()
        found += [f"{part}.{k}" for k, v in a[part].items() if not torch.equal(v, b[part][k])]
    return found + ([] if a["table"] == b["table"] else ["results.csv"])
