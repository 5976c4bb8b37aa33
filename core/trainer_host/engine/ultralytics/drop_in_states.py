"""The states of a training by a drop-in class, which has no record of a run: a file next to them names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ultralytics.utils import LOGGER

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import SettingsError
from trainer_host.engine.state_files import StateEntry, StateFiles
from trainer_host.engine.ultralytics.state_saving import StateSaver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

NAMED = "states.json"


def recorded_states(folder: Path) -> tuple[StateEntry, ...]:
    """Return the states that the file in a folder names, the newest last; none if there is no such file."""
    try:
        listed = json.loads((folder / NAMED).read_text(encoding="utf-8"))
        return tuple(StateEntry.of_data(one) for one in listed)
    except (OSError, ValueError, TypeError, KeyError, SettingsError):
        return ()  # then the training is resumed from last.pt, as by the engine


def record_states(folder: Path, entries: Sequence[StateEntry]) -> None:
    """Write the file that names the states; without any it is removed."""
    if entries:
        atomic_write(folder / NAMED, json.dumps([entry.as_data() for entry in entries]).encode())
    else:
        (folder / NAMED).unlink(missing_ok=True)


def drop_in_saver(trainer: HostTrainer) -> StateSaver:
    """Return what saves the states of a training, and has the one to resume from if there is one next to ``last.pt``.

    Without one, and with ``save=False``, a training is resumed from ``last.pt``, as by the engine: without the
    accumulated gradients and the generators, and from weights in half precision.
    """
    files = StateFiles(trainer.wdir, record=lambda entries: record_states(trainer.wdir, entries))
    entries: tuple[StateEntry, ...] = ()
    found = None
    if trainer.resume:
        beside = Path(trainer.args.resume).parent
        entries = recorded_states(beside)
        source = files if beside.resolve() == trainer.wdir.resolve() else StateFiles(beside)
        found = source.newest(entries)
        if found is None:
            LOGGER.warning(f"No state of the training next to {trainer.args.resume}: resuming from it, not exactly.")
    return StateSaver(
        files if trainer.args.save else None,
        content=found[1] if found is not None else None,
    )
