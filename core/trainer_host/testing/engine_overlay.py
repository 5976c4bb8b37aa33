"""Other releases of the engine, each in a separate folder that takes precedence over the installed one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from trainer_host.base.child_process import module_command
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.temporaries import temporary_folder
from trainer_host.data.cache_location import cache_folder
from trainer_host.engine.factory import default_engine

if TYPE_CHECKING:
    from pathlib import Path


def engine_overlay(version: str) -> Path:
    """Return a folder with a release of the engine and nothing else, installed on first use.

    Raises:
        SettingsError: If there is no such release, or if it cannot be installed.
    """
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise SettingsError(Problem(f"--engine {version} is not a version.", "write one such as --engine 8.4.190"))
    folder = cache_folder() / "engines" / version
    if folder.is_dir():
        return folder
    with temporary_folder(folder) as scratch:
        put = ["install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(scratch)]
        command = module_command("pip", *put, f"{default_engine().name}=={version}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SettingsError(_problem(version, done.stderr))
        if not folder.exists():
            shutil.copytree(scratch, folder)
    return folder


def _problem(version: str, said: str) -> Problem:
    release = f"{default_engine().name} {version}"
    if "No module named pip" in said:
        return Problem("cannot install another engine: this environment has no pip.", "python -m ensurepip")
    if "No matching distribution" in said and "from versions: none" not in said:
        return Problem(f"{release} was never released.", "give another release")
    lines = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or ["no reason given"]
    return Problem(f"{release} cannot be installed: {lines[-1]}.", "check the network and the package index")


def environment_with(folder: Path) -> dict[str, str]:
    """Return the environment of a process that imports from ``folder`` first."""
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
