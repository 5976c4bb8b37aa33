"""The environment that a run was recorded in, compared with the one in which it is made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.engine.live_run import LiveRun

EQUAL_RESULTS = frozenset({"python"})
"""Versions that are recorded for bug reports, and on which no result depends."""


@dataclass(frozen=True)
class Difference:
    """A part of the environment that differs from what the record of a run says.

    Attributes:
        name: The part: a package, ``plugin NAME``, ``setting KEY``, or ``dataset``.
        recorded: Its version or value in the record; None if it was not there.
        now: Its version or value here; None if it is not here.
        changes_result: Whether results may differ because of it.
    """

    name: str
    recorded: Any
    now: Any
    changes_result: bool = True


def differences(run: LiveRun, fingerprint: str | None = None) -> list[Difference]:
    """Return what differs from the record of the run that a run repeats; nothing for one that repeats none.

    Args:
        run: The run. Its own fields describe what is here.
        fingerprint: That of its dataset, once it is read.
    """
    return [*_versions(run), *_plugins(run), *_dataset(run, fingerprint)]


def _versions(run: LiveRun) -> Iterator[Difference]:
    recorded, now = run.repeats.get("versions"), run.resolved.versions
    recorded = recorded if isinstance(recorded, dict) else {}
    for name in sorted(recorded.keys() & now.keys()):
        if recorded[name] != now[name]:
            yield Difference(name, recorded[name], now[name], name not in EQUAL_RESULTS)


def _plugins(run: LiveRun) -> Iterator[Difference]:
    listed = run.repeats.get("plugins")
    recorded = dict(map(_origin, listed if isinstance(listed, list) else ()))
    now = dict(map(_origin, run.resolved.used))
    for name in recorded | now if recorded else ():
        if recorded.get(name) != now.get(name) and name not in run.options.no_plugins:
            yield Difference(f"plugin {name}", recorded.get(name), now.get(name))


def _origin(used: Any) -> tuple[str, str]:
    """Return name and origin of a plugin that is written as ``NAME (ORIGIN)``."""
    name, _, origin = str(used).partition(" (")
    return name, origin.removesuffix(")")


def _dataset(run: LiveRun, fingerprint: str | None) -> Iterator[Difference]:
    dataset = run.repeats.get("dataset")
    recorded = dataset.get("fingerprint") if isinstance(dataset, dict) else None
    if recorded is not None and fingerprint is not None and recorded != fingerprint:
        yield Difference("dataset", str(recorded)[:12], fingerprint[:12])
