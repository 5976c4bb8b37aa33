"""The engine's experiment trackers: off in a run of the host, unless they are selected by name.

The engine switches on every tracker whose package is installed and that its settings do not switch off. A run of the
host loads only selected ones: see `engine_callbacks`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError, UnsafeError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

INTEGRATIONS = ("ultralytics.utils.events", "ultralytics.utils.callbacks.", "ultralytics.hub")
"""Modules of the engine whose functions it adds to the callbacks of every run."""
OWN = "ultralytics.utils.callbacks.base"
"""The module of the callbacks that belong to training itself."""
LOCAL_STORE = re.compile(r"file:|sqlite:|(?![a-z][a-z0-9+.-]+:)(?!databricks)", re.IGNORECASE)
"""Beginning of a tracking address of MLflow that is on this machine."""


@dataclass(frozen=True)
class Tracker:
    """An experiment tracker that the engine can use.

    Attributes:
        module: The engine's module for it.
        package: The package that it needs; None for what is part of the engine.
        local: Whether it writes files on this machine alone.
        environment: Variables that keep it so in an offline run.
    """

    module: str
    package: str | None
    local: bool = False
    environment: tuple[tuple[str, str], ...] = ()


TRACKERS = {
    "clearml": Tracker("clearml", "clearml"),
    "comet": Tracker("comet", "comet_ml"),
    "dvc": Tracker("dvc", "dvclive", True, (("DVC_STUDIO_OFFLINE", "true"), ("DVC_NO_ANALYTICS", "true"))),
    "mlflow": Tracker("mlflow", "mlflow", True, (("MLFLOW_DISABLE_TELEMETRY", "true"),)),
    "platform": Tracker("platform", None),
    "raytune": Tracker("raytune", "ray"),
    "tensorboard": Tracker("tensorboard", "tensorboard", True),
    "wandb": Tracker("wb", "wandb"),
}


def tracker_problems(names: Sequence[str]) -> list[Problem]:
    """Return the problems of trackers: unknown names, and packages that are not installed."""
    problems = []
    for name in names:
        tracker = TRACKERS.get(name)
        if tracker is None:
            known = f"Known: {', '.join(TRACKERS)}."
            near = nearest(name, TRACKERS)
            hint = f"Did you mean {near!r}? {known}" if near else known
            problems.append(Problem(f"unknown tracker {name!r}.", hint=hint))
        elif tracker.package is not None and importlib.util.find_spec(tracker.package) is None:
            what = f"tracker {name} needs the package {tracker.package}, which is not installed."
            problems.append(Problem(what, f"pip install {tracker.package}"))
    return problems


def refuse_remote_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that need a network.

    Raises:
        UnsafeError: If there are any.
    """
    problems = []
    local = ", ".join(name for name, tracker in TRACKERS.items() if tracker.local)
    for name in names:
        address = os.environ.get("MLFLOW_TRACKING_URI", "") if name == "mlflow" else ""
        if not TRACKERS[name].local:
            what = f"tracker {name} needs a network, but the run is offline."
            problems.append(Problem(what, f"remove --offline or --tracker {name}. Trackers that work offline: {local}"))
        elif not LOCAL_STORE.match(address):
            what = f"tracker mlflow would send to MLFLOW_TRACKING_URI={address}, but the run is offline."
            problems.append(Problem(what, "unset MLFLOW_TRACKING_URI, or name a folder"))
    if problems:
        raise UnsafeError(*problems)


class HostCallbacks(defaultdict[str, list[Any]]):
    """Callbacks by event, without those that the engine adds for its telemetry and trackers.

    The engine adds them to the mapping after it was handed over, and reads the mapping by `get` alone.
    """

    def get(self, event: str, default: Any = None) -> Any:
        """Return the functions of an event."""
        functions = super().get(event, default)
        return functions and [f for f in functions if not _is_unasked(f)]


def asked_for(function: Any) -> Any:
    """Return a callback in a form that is not skipped, also if it is one of the engine's integrations."""
    return partial(function) if _is_unasked(function) else function


def _is_unasked(function: Any) -> bool:
    module = str(getattr(function, "__module__", ""))
    return module.startswith(INTEGRATIONS) and module != OWN


def engine_callbacks(trackers: Sequence[str] = (), offline: bool = False) -> defaultdict[str, list[Any]]:
    """Return the callbacks that a trainer, validator or predictor of the engine starts with, and those of trackers.

    Args:
        trackers: Names of the selected trackers.
        offline: Whether they may not use a network.

    Raises:
        SettingsError: If the engine cannot use one of them.
    """
    from ultralytics.utils.callbacks import get_default_callbacks

    events = HostCallbacks(list, get_default_callbacks())
    for name in trackers:
        tracker = TRACKERS[name]
        if offline:
            os.environ.update(tracker.environment)  # the session restores the environment
        functions = importlib.import_module(f"ultralytics.utils.callbacks.{tracker.module}").callbacks
        if not functions:
            what = f"the engine cannot use tracker {name}: its package is too old or damaged."
            raise SettingsError(Problem(what, f"pip install --upgrade {tracker.package}"))
        for event, function in functions.items():
            events[event].append(asked_for(function))
    return events
