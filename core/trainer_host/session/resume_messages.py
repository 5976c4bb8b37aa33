"""What a resume says: where it goes on, what differs from the record, and what would change the result."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.settings import shown_value

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.resumption import Resumption
    from trainer_host.engine.state_files import StateEntry
    from trainer_host.session.recorded_environment import Difference
    from trainer_host.session.recorded_run import RecordedRun


def announce(
    run: RecordedRun, state: Resumption | None, epochs: Any, changed: Sequence[Difference], reporter: Reporter
) -> None:
    """Say where a run goes on, and which settings the user changes; for more epochs, state the schedule."""
    more = any(one.name == "epochs" for one in changed)  # which can only become more
    if state is None:
        reporter.note(f"{run.shown} has no state yet: starting from the beginning.")
    else:
        at = replace(state.entry, phase="batches") if more and state.entry.phase == "finished" else state.entry
        saved = datetime.fromtimestamp((run.folder / "weights" / at.file).stat().st_mtime).astimezone()
        place = position(at, epochs, (state.content or {}).get("batches"))
        reporter.note(f"Resuming {run.shown} {place} (state of {saved:%Y-%m-%d %H:%M}).")
    for one in changed:
        effect = " (changes the result)" if one.changes_result else ""
        reporter.note(f"Changed: {one.name}={shown_value(one.recorded)} -> {shown_value(one.now)}{effect}.")
    if more and state is not None:
        reporter.note(
            f"Schedule: from epoch {state.entry.epoch + 1} on, the learning rate and all else that depends on the "
            f"number of epochs are those of a run of {epochs} epochs."
        )


def position(entry: StateEntry, epochs: Any, batches: Any = None) -> str:
    """Return where a state stands, for people.

    Args:
        entry: The state.
        epochs: Epochs of the run, if they are known.
        batches: Batches of an epoch, if they are known.
    """
    of = f" of {epochs}" if epochs else ""
    if entry.phase == "finished":
        return f"after epoch {entry.epoch}{of}, before the final evaluation"
    if entry.phase == "validation":
        return f"at the end of epoch {entry.epoch + 1}{of}, before its validation"
    batch = f", batch {entry.batch + 1}{f' of {batches}' if batches else ''}" if entry.batch else ""
    return f"at epoch {entry.epoch + 1}{of}{batch}"


def as_data(entry: StateEntry) -> dict[str, Any]:
    """Return where a state stands, for programs: the epoch in progress counted from 1, its batches that are done."""
    return {"epoch": entry.epoch + 1, "batch": entry.batch}


def accept(found: Sequence[Difference], allowed: Collection[str], reporter: Reporter) -> None:
    """List what differs from the record of a run, and refuse what would change the result and is not allowed.

    Raises:
        SettingsError: If something is not allowed; everything is reported.
    """
    names = set(allowed)
    problems = []
    for one in found:
        text = f"{one.name}: {_value(one.recorded)} in the run's record, {_value(one.now)} here"
        text = f"the run was recorded with {one.what}" if one.what else text
        if not one.changes_result:
            reporter.note(f"Differs from the record: {text}.")
        elif one.name in names or one.name.rpartition(" ")[2] in names:
            reporter.warn(f"{text}, so the result is not that of the run without an interruption.")
        else:
            word = shlex.quote(one.name)
            fix = f"restore it, or accept another result with --allow {word} (from Python: allow=[{one.name!r}])"
            problems.append(Problem(f"{text}, which would change the result.", fix))
    if problems:
        raise SettingsError(*problems)
    differing = {word for one in found for word in (one.name, one.name.rpartition(" ")[2])}
    for name in allowed:
        if name not in differing:
            reporter.note(f"--allow {name}: nothing of this name differs from the record.")


def _value(value: Any) -> str:
    return "none" if value is None else shown_value(value)
