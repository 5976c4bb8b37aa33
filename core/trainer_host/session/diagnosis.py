"""Facts for a bug report: versions, the engine's state, devices, limits, plugins, and their problems."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from trainer_host.base.errors import EnvironmentProblemError, ExitCode, Problem
from trainer_host.base.machine import free_space, memory, processors, size_of
from trainer_host.base.request import from_environment
from trainer_host.data.cache_location import cache_folder
from trainer_host.engine.factory import default_engine
from trainer_host.plugin.discovery import HOST, PluginRecord
from trainer_host.plugin.import_check import check_all
from trainer_host.plugin.registry import Registry
from trainer_host.session.device_probe import probe
from trainer_host.version import ENGINE_WINDOW, __version__

PACKAGES = (
    *("torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless", "pillow", "pluggy"),
    *("click", "pydantic", "pyyaml", "psutil"),
)
"""Distributions whose versions are shown; those that are not installed have none."""
VARIABLES = ("TRAINER_", "OMP_", "MKL_", "CUDA_", "NVIDIA_", "PYTORCH_", "TORCH_", "PYTHONPATH")
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""User and password within an address."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LOW_DISK = 1 << 30
"""Free bytes below which a training is likely to fill the disk."""
UNUSABLE = frozenset({"broken", "conflict", "incompatible"})
"""States of plugins that are problems."""
GPU_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass
class Diagnosis:
    """The state of an installation.

    Attributes:
        versions: Versions by distribution, with Python and the platform; None for what is not installed.
        engine: The engine's release, its state in the window of releases, and the tested ones.
        devices: Torch's devices and threads; empty after a quick look.
        processors: Processors, and those that the process may use.
        memory: Bytes of memory.
        disk: Free bytes where runs go.
        cache: The folder of the host's caches and its bytes.
        plugins: All plugins.
        environment: Environment variables that have an effect, without secrets.
        network: Whether fetching is refused, and the trackers and proxies that the environment sets.
        of_environment: Problems of the environment that keep the installation from working.
        warnings: What may surprise.
    """

    versions: dict[str, str | None]
    engine: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    processors: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, int | None] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    plugins: list[PluginRecord] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    of_environment: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def problems(self) -> list[Problem]:
        """Everything that keeps the installation from working: problems of the environment, then of plugins."""
        return self.of_environment + [
            Problem(f"{r.kind} {r.name!r} is {r.state}: {r.reason}", "see: trainer plugins --check", r.origin)
            for r in self.plugins
            if r.state in UNUSABLE
        ]

    @property
    def exit_code(self) -> ExitCode:
        """0, or the code with which a run would end: that of the environment before that of plugins."""
        if self.of_environment:
            return ExitCode.SETTINGS
        return ExitCode.PLUGIN if self.problems else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON can hold it."""
        plain = {**vars(self), "problems": self.problems, "plugins": [record.as_json() for record in self.plugins]}
        del plain["of_environment"]
        for kind in ("problems", "warnings"):
            plain[kind] = [problem.as_json() for problem in plain[kind]]
        return plain


def diagnose(quick: bool = False) -> Diagnosis:
    """Look at the installation and the machine.

    Args:
        quick: Import neither torch nor any plugin: versions and plugins come from metadata, devices are skipped.
    """
    found = Diagnosis(_versions())
    _look_at_requirements(found)
    _look_at_engine(found)
    if not quick:
        _look_at_devices(found)
    found.processors, found.memory = processors(), memory()
    _look_at_threads(found)
    _look_at_disks(found)
    registry = Registry.installed()
    found.plugins = list(registry.records) if quick else check_all(registry)
    found.environment = _environment()
    given = from_environment("run")
    found.of_environment += given.problems
    proxies = [name for name in PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    found.network = {"offline": given.options.offline, "trackers": list(given.options.trackers), "proxies": proxies}
    return found


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"trainer-host": __version__, "python": platform.python_version()}
    found |= {"platform": platform.platform(), "executable": sys.executable}
    for name in (default_engine().name, *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _look_at_requirements(found: Diagnosis) -> None:
    """Compare what is installed with what the host requires; the window of engine releases is looked at elsewhere."""
    try:
        lines = metadata.requires(HOST) or []
    except metadata.PackageNotFoundError:
        return  # run from its source
    for requirement in map(Requirement, lines):
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if requirement.name == default_engine().name or not needed:
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            has = f"is {version}" if version else "is not installed"
            what = f"{requirement.name} {has}, and trainer-host needs {requirement.name}{requirement.specifier}."
            found.of_environment.append(Problem(what, f'pip install "{requirement.name}{requirement.specifier}"'))


def _look_at_engine(found: Diagnosis) -> None:
    try:
        state = default_engine().state()
    except EnvironmentProblemError as error:
        found.of_environment += error.problems
        return
    found.versions[state.engine] = state.release  # which another folder on the path may provide
    found.engine = {
        "release": state.release,
        "state": state.as_data(),
        "missing": list(state.missing),
        "tested": list(state.tested),
        "window": ENGINE_WINDOW,
    }
    if problem := state.problem():
        (found.of_environment if state.missing else found.warnings).append(problem)


def _look_at_devices(found: Diagnosis) -> None:
    found.devices = probe()
    for name, reason in found.devices.get("failed", {}).items():
        found.of_environment.append(Problem(f"{name} cannot be imported: {reason}.", f"reinstall {name}"))
    devices = [d["device"] for d in found.devices.get("devices", ())]
    if devices == ["cpu"] and GPU_DRIVER.exists():
        what = "an NVIDIA driver is installed, but torch cannot use a GPU."
        fix = "install torch for CUDA: https://pytorch.org/get-started/locally"
        if found.devices.get("cuda"):
            fix = "check nvidia-smi, CUDA_VISIBLE_DEVICES, and whether the driver supports this CUDA release"
        found.warnings.append(Problem(what, f"{fix}"))


def _look_at_threads(found: Diagnosis) -> None:
    threads, limit = found.devices.get("threads", 0), found.processors["cgroup_limit"]
    if limit and threads > max(limit, 1):
        what = f"torch uses {threads} threads, and the container is limited to {limit:g} processors."
        found.warnings.append(Problem(what, f"set OMP_NUM_THREADS={max(int(limit), 1)}"))


def _look_at_disks(found: Diagnosis) -> None:
    runs, cache = Path.cwd() / "runs", cache_folder()
    found.disk = {"folder": str(runs), "free": free_space(runs)}
    found.cache = {"folder": str(cache), "size": size_of(cache), "free": free_space(cache)}
    for folder, free in ((runs, found.disk["free"]), (cache, found.cache["free"])):
        if free is not None and free < LOW_DISK:
            what = f"{free / (1 << 20):.0f} MiB are free on the disk of {folder}."
            found.warnings.append(Problem(what, "free space on the disk"))


def _environment() -> dict[str, str]:
    """Return the variables that have an effect; secrets are not shown, whether by name or within an address."""
    return {
        name: "(not shown)" if SECRET.search(name) else LOGIN.sub("(not shown)", value)
        for name, value in sorted(os.environ.items())
        if name.startswith((*VARIABLES, *default_engine().variables)) or name.upper() in PROXIES
    }
