"""The content of the checkpoints of a training, held in memory so that its end need not read them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils import DEFAULT_CFG_DICT

from trainer_host.engine.checkpoint.record import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.type_aliases import Module

LEFT_OUT = frozenset({"optimizer", "scaler"})
"""Parts of a checkpoint that only a training that goes on needs."""


class HeldCheckpoints:
    """What was written into checkpoints, as long as nobody else changes the files."""

    def __init__(self) -> None:
        self._held: dict[Path, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._trained: tuple[Path, tuple[int, ...], dict[str, Any]] | None = None

    def hold(self, paths: list[Path], content: Mapping[str, Any]) -> None:
        """Hold what has just been written into files. On the processor: a device's memory belongs to the training."""
        model = content["ema"]
        if isinstance(model, DistillationModel):
            self.forget(paths)
            return
        kept = {k: v for k, v in content.items() if k not in LEFT_OUT}
        # Both change with the training.
        kept |= {"train_args": dict(content["train_args"]), RECORD: deepcopy(content[RECORD])}
        if model is not None:
            model.cpu()
        self._held |= {path: (_identity(path), kept) for path in paths}

    def forget(self, paths: list[Path]) -> None:
        """Free the memory of what files hold."""
        for path in paths:
            self._held.pop(path, None)

    def content(self, path: Path) -> dict[str, Any] | None:
        """Return what a file holds, which nobody changes; None if it has to be read."""
        identity, content = self._held.get(path, (None, None))
        try:
            return content if identity is not None and identity == _identity(path) else None
        except OSError:
            return None

    def hold_trained(self, path: Path, content: Mapping[str, Any]) -> None:
        """Hold a trained model that has just been written into a file, for its evaluation."""
        self._held.clear()
        self._trained = (path, _identity(path), {k: content[k] for k in ("model", "train_args", RECORD)})

    def take_trained(self, path: Path) -> Module | None:
        """Return the trained model of a file, ready for its evaluation, once; None if the file has to be read."""
        held, self._trained = self._trained, None
        if held is None or held[0] != path or not path.exists() or _identity(path) != held[1]:
            return None
        model, settings, record = held[2].values()
        model.args, model.pt_path = {**DEFAULT_CFG_DICT, **settings}, str(path)
        model.task = record.get("task") or settings.get("task")
        trained: Module = model.float().eval()
        return trained


def _identity(path: Path) -> tuple[int, ...]:
    # A file that was replaced is another one, also at the same size.
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
