"""Runs of the command whose sockets, processes and files are written down, and stand-ins for experiment trackers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.command import TRAINER, environment, process

GUARD = Path(__file__).with_name("audit_hook")
NETWORK = ("socket.", "urllib.", "http.")
PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
NOT_IN_A_TEST = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "CI", "GITHUB_ACTIONS", "YOLO_OFFLINE", "YOLO_CONFIG_DIR")
FOLDERS = ("TRAINER_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
PACKAGES = {"clearml": "clearml", "comet": "comet_ml", "dvc": "dvclive", "mlflow": "mlflow", "wandb": "wandb"}
"""Packages of trackers that the engine uses where they are installed."""

STUB = """
import os, sys
from types import SimpleNamespace

__version__ = "9.9.9"

def note(what):
    with open(os.environ["TRACKED"], "a") as file:
        file.write(__name__ + " " + what + "\\n")

note("imported")
"""
MLFLOW = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    def call(*args, **kwargs):
        note(name)
        if name == "start_run":
            return SimpleNamespace(info=SimpleNamespace(run_id="7"))
        return None
    return call
"""


@dataclass
class Watched:
    """What a run has done.

    Attributes:
        code: How it ended.
        err: What it said.
        events: What the guard wrote down, as its kind and its arguments.
        tracked: What was called of experiment trackers.
    """

    code: int
    err: str
    events: list[list[Any]] = field(default_factory=list)
    tracked: list[str] = field(default_factory=list)

    @property
    def requests(self) -> list[list[Any]]:
        """Look-ups and connections, but for sockets within this machine."""
        return [e for e in self.events if e[0].startswith(NETWORK) and e[1:2] != ["AF_UNIX"]]

    @property
    def processes(self) -> set[str]:
        """The names of the programs that were started."""
        return {Path(str(e[1])).name for e in self.events if e[0] in PROCESSES}

    def written(self, root: Path) -> set[str]:
        """Return the files that were opened for writing, relative to a folder if they are below it."""
        files = {Path(e[1]) for e in self.events if e[0] == "open"}
        return {f.relative_to(root).as_posix() if f.is_relative_to(root) else str(f) for f in files}


def stub_packages(folder: Path, names: Sequence[str] = tuple(PACKAGES)) -> Path:
    """Write packages with the names of trackers that note down what is called; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        package = PACKAGES[name]
        (folder / f"{package}.py").write_text(STUB + (MLFLOW if name == "mlflow" else ""))
    return folder


def surroundings(folder: Path, *path: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a user whose home and temporary files are in a folder, and who runs no tests."""
    home, temporary = folder / "home", folder / "tmp"
    for place in (home, temporary):
        place.mkdir(parents=True, exist_ok=True)
    here = {"HOME": home, "TMPDIR": temporary, "GUARD_LOG": folder / "guard.log", "TRACKED": folder / "tracked.log"}
    given = environment(GUARD, *path, PYTHONDONTWRITEBYTECODE="1", **{k: str(v) for k, v in here.items()}, **variables)
    return {k: v for k, v in given.items() if k not in NOT_IN_A_TEST + FOLDERS}


def watched(command: Sequence[str], folder: Path, *path: Path, **variables: str) -> Watched:
    """Run a command in a folder with the guard, and return what it has done."""
    given = surroundings(folder, *path, **variables)
    logs = [folder / "guard.log", folder / "tracked.log"]
    for log in logs:
        log.unlink(missing_ok=True)
    done = process(*command, cwd=folder, env=given)
    events, tracked = (log.read_text().splitlines() if log.exists() else [] for log in logs)
    return Watched(done.code, done.err, [json.loads(line) for line in events], tracked)


def trainer(*words: str, alone: bool = False) -> list[str]:
    """Return the words of a command; ``alone`` runs it where there is no network interface."""
    return [*(["unshare", "-rn"] if alone else []), *TRAINER, *words]


def can_be_alone() -> bool:
    """Return whether the kernel lets this user make a network namespace."""
    if shutil.which("unshare") is None:
        return False
    return process("unshare", "-rn", "true").code == 0


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file below a folder."""
    found = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return {f.relative_to(folder).as_posix(): (f.stat().st_size, f.stat().st_mtime_ns) for f in found}
