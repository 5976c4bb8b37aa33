"""Trains in a process of its own and writes down everything that has to be equal: run as a script.

    python -m tests.support.training WHO OUT.pt '{"overrides": {...}, "model": ...}'

WHO is ``stock-pose``, ``stock-detect``, ``pose`` or ``detect``. OUT.pt gets the tensors of model and EMA at the end,
and the metrics. A job with ``lost_in`` has a loss of NaN at the end of that epoch, once; one with
``seconds_per_batch`` has a clock that moves with each batch only.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.support.command import ROOT, process


def trainer_class(who: str) -> Any:
    if who == "stock-pose":
        from ultralytics.models.yolo.pose import PoseTrainer as Stock

        return Stock
    if who == "stock-detect":
        from ultralytics.models.yolo.detect import DetectionTrainer as Stock

        return Stock
    if who == "pose":
        from trainer_pose import PoseTrainer

        return PoseTrainer
    from trainer_detect import DetectionTrainer

    return DetectionTrainer


def main(who: str, out: str, job: str) -> None:
    wanted = json.loads(job)
    kind = trainer_class(who)
    if wanted.get("plugins"):
        kind = kind.configured(plugins=wanted["plugins"])
    trainer = kind(overrides=wanted["overrides"])
    kept: dict[str, Any] = {}

    def keep(trainer: Any) -> None:
        # Before the final evaluation, so that live weights and moving average are both still there.
        kept["model"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        kept["ema"] = {k: v.clone() for k, v in trainer.ema.ema.state_dict().items()}
        kept["losses"] = dict(trainer.loss_items)
        kept["names"] = list(trainer.loss_names)

    def lose(trainer: Any) -> None:
        if trainer.epoch == wanted["lost_in"] and not kept.get("lost"):
            kept["lost"] = True
            trainer.loss = torch.tensor(float("nan"))

    if "seconds_per_batch" in wanted:
        now = [1e9]
        time.time = lambda: now[0]

        def tick(_: Any) -> None:
            now[0] += wanted["seconds_per_batch"]

        trainer.add_callback("on_train_batch_start", tick)
    trainer.add_callback("on_train_epoch_end", keep)
    if "lost_in" in wanted:
        trainer.add_callback("on_train_epoch_end", lose)
    trainer.train()
    kept["epochs"] = trainer.epoch + 1
    kept["metrics"] = {k: float(v) for k, v in trainer.metrics.items()}
    kept["best"] = checkpoint_tensors(trainer.best)
    torch.save(kept, out)


def checkpoint_tensors(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=False)
    return dict((content.get("ema") or content["model"]).state_dict())


def train(who: str, out: Path, overrides: dict[str, Any], **job: Any) -> dict[str, Any]:
    """Train in a process of its own, and return what it wrote down."""
    overrides = {**overrides, "project": str(out.parent / f"runs-{out.stem}"), "name": "run"}
    words = [sys.executable, "-m", "tests.support.training", who, out, json.dumps({"overrides": overrides, **job})]
    done = process(*words, cwd=ROOT)
    assert done.code == 0, done.out[-3000:] + done.err[-3000:]
    result: dict[str, Any] = torch.load(out, weights_only=True)
    return result


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return the names of everything that is not equal to the bit."""
    found = []
    for part in ("model", "ema", "best"):
        assert a[part].keys() == b[part].keys()
        found += [f"{part}.{k}" for k, v in a[part].items() if not torch.equal(v, b[part][k])]
    found += [
        f"metric {k}" for k in a["metrics"].keys() | b["metrics"].keys() if a["metrics"].get(k) != b["metrics"].get(k)
    ]
    found += [f"loss {k}" for k in a["losses"] if not torch.equal(a["losses"][k], b["losses"][k])]
    return found + ([] if a["names"] == b["names"] else ["names of the losses"])


if __name__ == "__main__":
    main(*sys.argv[1:4])
