"""The record of a run: a file that is itself a settings file for the same run."""

from __future__ import annotations

import platform
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trainer_host.base.atomic_io import atomic_write, plain
from trainer_host.base.display import escaped
from trainer_host.plugin.discovery import OBJECT
from trainer_host.plugin.plugin_options import options_as_data
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.plugin.chain import Member
    from trainer_host.session.resolution import Resolved

FILE = "run.yaml"
FILES = frozenset({"data", "model", "pretrained", "distill_model"})
"""Settings that name files."""


def named_by_user(member: Member) -> str:
    """Return the name that switches an extension on: its own, or the path of its file."""
    return member.record.distribution if member.record.version == "file" else member.record.name


def settings_as_data(resolved: Resolved) -> dict[str, Any]:
    """Return the settings of a run in the form of a settings file."""
    chain = resolved.chain
    named = [m for m in chain.again if m.options is not None or m not in chain.tasks]
    plugins = {named_by_user(m): options_as_data(m.options) for m in named}
    data: dict[str, Any] = {"task": chain.name, **{k: _anchored(k, s.value) for k, s in resolved.settings.items()}}
    if resolved.exact:
        data["exact"] = True
    if resolved.bad.share:
        data["bad"] = resolved.bad.text
    if resolved.best_metric is not None:
        data["best_metric"] = resolved.best_metric.text
    if resolved.trackers:
        data["trackers"] = list(resolved.trackers)
    if resolved.images:
        data["images"] = [str(Path(folder).resolve()) for folder in resolved.images]
    return {**data, "plugins": plugins} if plugins else data


def _anchored(key: str, value: Any) -> Any:
    """Return a setting that means the same from every folder."""
    if key in FILES and isinstance(value, str):
        parts = value.split(",") if key == "data" else [value]  # a format may have a file for each split
        if all(Path(part).exists() for part in parts):
            return ",".join(str(Path(part).resolve()) for part in parts)
    return plain(value)


class RunRecord:
    """Writes ``run.yaml`` into a run's folder when it begins, and again when it ends.

    Args:
        folder: The run's folder.
        resolved: Its settings.
        versions: Versions of the engine and of torch, which the host does not import for this.
    """

    def __init__(self, folder: Path, resolved: Resolved, versions: dict[str, str]) -> None:
        self.path = folder / FILE
        self.settings = settings_as_data(resolved)
        files = [m.record.distribution for m in resolved.chain.again if m.record.version == "file"]
        self.objects = [m.record.name for m in resolved.chain.again if m.record.version == OBJECT]
        # Escaped, because a line break in a name would end the comment.
        self.files = "".join(f" --plugin {escaped(shlex.quote(name))}" for name in files)
        self.record: dict[str, Any] = {
            "status": "running",
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "exact": resolved.exact,
            "versions": {"trainer-host": __version__, "python": platform.python_version(), **versions},
            "plugins": [
                *(f"{m.record.name} ({m.record.origin})" for m in resolved.chain.members),
                *resolved.chain.unasked,
            ],
            "origins": {k: s.origin for k, s in resolved.settings.items()},
            "dataset": {"file": str(resolved.settings["data"].value)},
        }
        if self.objects:
            self.record["objects"] = self.objects
        self._write()

    def read(self, dataset: Mapping[str, Any]) -> None:
        """Say what was read of the dataset, and what was left out of it."""
        self.record["dataset"] |= dataset
        self._write()

    def end(self, status: str, **facts: Any) -> None:
        """Say how the run ended."""
        self.record |= {
            "status": status,
            "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
            **facts,
        }
        self._write()

    def _write(self) -> None:
        head = f"# A run of trainer-host. To run it again: trainer run {FILE}{self.files}\n"
        if self.objects:  # which no file can hold
            names = escaped(", ".join(self.objects))
            head = (
                f"# A run of trainer-host with plugins given as objects: {names}. This file alone cannot repeat it.\n"
            )
            head += f'# From Python: trainer_host.run(settings_file="{FILE}", plugins=[...])\n'
        body = yaml.safe_dump({**self.settings, "record": self.record}, sort_keys=False, allow_unicode=True)
        atomic_write(self.path, (head + body).encode())
