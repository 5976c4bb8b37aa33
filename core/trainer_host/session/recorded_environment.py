"""The environment that a run was recorded in, compared with the one in which it is made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.request import part_of
from trainer_host.data.dataset_parts import changed_parts, newer_files
from trainer_host.engine.engine_state import tested_source
from trainer_host.plugin.discovery import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.protocol import LiveRun

EQUAL_RESULTS = frozenset({"python"})
"""Versions that are recorded for bug reports, and on which no result depends."""
STATE = "engine"
"""The version that says whether the engine has the source of a tested release."""


@dataclass(frozen=True)
class Difference:
    """A part of the environment that differs from what the record of a run says.

    Attributes:
        name: The part: a package, ``plugin NAME``, ``setting KEY``, or ``dataset``.
        recorded: Its version or value in the record; None if it was not there.
        now: Its version or value here; None if it is not here.
        changes_result: Whether results may differ because of it.
        what: The difference in words, if its values say nothing to people.
    """

    name: str
    recorded: Any
    now: Any
    changes_result: bool = True
    what: str = ""

    def __str__(self) -> str:
        if self.what:
            return self.what
        recorded = f"no {self.name}" if self.recorded is None else f"{self.name} {self.recorded}"
        return f"{recorded} (now {'none' if self.now is None else self.now})"


def differences(run: LiveRun, dataset: Mapping[str, Any] | None = None) -> list[Difference]:
    """Return what differs from the record of the run that a run repeats; nothing for one that repeats none.

    Args:
        run: The run. Its own fields describe what is here.
        dataset: The fingerprint of its dataset and the parts of it, once it is read.
    """
    return [*_versions(run), *_plugins(run), *_defaults(run), *_dataset(run, dataset or {})]


def report(found: Sequence[Difference], run: LiveRun, reporter: Reporter) -> None:
    """Warn of what may change the results of a run that is made again.

    Raises:
        SettingsError: If the run is to be exact.
    """
    listed = ", ".join(str(one) for one in found if one.changes_result)
    if not listed:
        return
    what, where = f"the run was recorded with {listed}", str(run.file) if run.file else None
    if run.options.exact:
        fix = "restore what differs, or accept other results with --no-exact (from Python: exact=False)"
        raise SettingsError(Problem(f"--exact is refused: {what}.", fix, where))
    reporter.warn(str(Problem(f"{what}, so results may differ.", "restore what differs to repeat its results", where)))


def _versions(run: LiveRun) -> Iterator[Difference]:
    recorded, now = part_of(run.repeats, "versions"), run.resolved.versions
    engine = run.engine.name
    for name in sorted(recorded.keys() & now.keys() - {STATE, engine}):
        if recorded[name] != now[name]:
            yield Difference(name, recorded[name], now[name], name not in EQUAL_RESULTS)
    before, here = ((of.get(engine), of.get(STATE)) for of in (recorded, now))
    if before[0] is not None and before != here:
        same = tested_source(*before) is not None and tested_source(*before) == tested_source(*here)
        yield Difference(engine, _release(*before), _release(*here), not same)


def _release(release: Any, state: Any) -> str:
    changed = state.get("changed") if isinstance(state, dict) else None
    return f"{release} with changed {', '.join(map(str, changed))}" if isinstance(changed, list) else str(release)


def _plugins(run: LiveRun) -> Iterator[Difference]:
    """Yield plugins of another version; and those that are always on, and were not, or no longer are.

    One that the user switched on or off is not a difference.
    """
    listed = run.repeats.get("plugins")
    recorded = dict(map(_origin, listed if isinstance(listed, list) else ()))
    now, unasked = dict(map(_origin, run.resolved.used)), dict(map(_origin, run.chain.unasked))
    for name in recorded | unasked if recorded else ():
        before, here = recorded.get(name), now.get(name)
        built_in = all(origin is None or origin.startswith(f"{HOST} ") for origin in (before, here))
        off = {name, (before or "").rpartition(" ")[0]}.intersection(run.options.no_plugins)
        if before != here and not built_in and not off:
            yield Difference(f"plugin {name}", before, here)


def _origin(used: Any) -> tuple[str, str]:
    """Return name and origin of a plugin that is written as ``NAME (ORIGIN)``."""
    name, _, origin = str(used).partition(" (")
    return name, origin.removesuffix(")")


def _defaults(run: LiveRun) -> Iterator[Difference]:
    """Yield the settings that one of both engines does not have."""
    recorded, here = part_of(run.repeats, "defaults"), run.resolved.defaults
    given = run.resolved.settings.keys() | part_of(run.repeats, "origins").keys()
    for key in sorted((recorded.keys() ^ here.keys()) - given) if recorded else ():
        yield Difference(f"setting {key}", recorded.get(key, "absent"), here.get(key, "absent"))


def _dataset(run: LiveRun, dataset: Mapping[str, Any]) -> Iterator[Difference]:
    before, here = part_of(run.repeats, "dataset"), dataset.get("fingerprint")
    recorded = before.get("fingerprint")
    if recorded is None or here is None or recorded == here:
        return
    changed = "; ".join(changed_parts(before.get("parts"), dataset.get("parts") or {}))
    newer = newer_files(Path(str(before["file"])).parent, _began(run)) if changed and before.get("file") else ""
    what = f"a dataset that has changed since ({changed or f'fingerprint {str(recorded)[:12]}, now {here[:12]}'}"
    what += f"; files newer than the run: {newer})" if newer else ")"
    yield Difference("dataset", str(recorded)[:12], here[:12], what=what)


def _began(run: LiveRun) -> float:
    try:
        return datetime.fromisoformat(str(run.repeats.get("started"))).timestamp() + 1  # recorded in whole seconds
    except ValueError:
        return math.inf
