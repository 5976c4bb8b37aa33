"""A run that was begun, as its folder has it: what it does, and what its record says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.option_declaration import Origin
from trainer_host.base.request import from_file
from trainer_host.base.results import Ending, RunResult, StartingWeights
from trainer_host.session.run_record import DONE, FILE
from trainer_host.session.settings_file_safety import vetted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainer_host.base.request import Request
    from trainer_host.engine.state_files import StateEntry

FOLDER_KEYS = frozenset({"project", "name", "exist_ok", "save_dir"})
"""Settings that chose the run's folder."""


@dataclass(frozen=True)
class RecordedRun:
    """A run that was begun.

    Attributes:
        folder: Its folder.
        request: What it does, with the origin of each setting.
        record: What its record says besides.
    """

    folder: Path
    request: Request
    record: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, asked: Request) -> RecordedRun:
        """Read the record of a run.

        Args:
            folder: The run's folder.
            asked: What the user asks for now, who may trust more than a file does.

        Raises:
            SettingsError: If it is not the record of a run.
            UnsafeError: If it asks for what only the user may ask for.
        """
        path = folder / FILE
        request = from_file(path)
        record = request.record
        if request.options.task is None or not record:
            raise SettingsError(Problem("not the record of a run.", "give the folder of a run", str(path)))
        inside = {key: one for key, one in request.settings.items() if key not in FOLDER_KEYS}
        trusted = vetted(replace(request, settings=inside), asked)
        origins = record.get("origins") or {}
        known = get_args(Origin)
        settings = {
            key: replace(one, origin=origins[key]) if origins.get(key) in known else one
            for key, one in request.settings.items()
        }
        # Only the parts that the run is made of: what differs from the others is refused or accepted by name.
        parts = {key: record[key] for key in ("defaults", "objects") if key in record}
        return cls(folder, replace(trusted, settings=settings, record=parts), record)

    @property
    def shown(self) -> str:
        """The folder as one would type it here."""
        return display_path(self.folder)

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its end, the final evaluation included."""
        return self.record.get("status") == DONE

    @property
    def state_entries(self) -> tuple[StateEntry, ...]:
        """The state files that the record has, the newest last."""
        from trainer_host.engine.state_files import StateEntry

        listed = self.record.get("states")
        try:
            return tuple(StateEntry.of_data(one) for one in listed or ())
        except (SettingsError, KeyError, TypeError, AttributeError) as error:
            what = "record.states does not describe state files."
            raise SettingsError(Problem(what, "restore the file", str(self.folder / FILE))) from error

    @property
    def resumes(self) -> Sequence[Mapping[str, Any]]:
        """Earlier resumes of it."""
        listed = self.record.get("resumed")
        return listed if isinstance(listed, list) else ()

    @property
    def weights(self) -> Path | None:
        """The checkpoint that a new run would start from."""
        folder = self.folder / "weights"
        return next((path for path in (folder / "last.pt", folder / "best.pt") if path.is_file()), None)

    def result(self) -> RunResult:
        """Return the outcome of a run that is finished, from its record."""
        found, weights = self.record, self.folder / "weights"
        best, last = (path if path.is_file() else None for path in (weights / "best.pt", weights / "last.pt"))
        picture = self.folder / "predictions.jpg"
        started = found.get("weights")
        return RunResult(
            task=str(self.request.options.task).rpartition(":")[2],
            save_dir=self.folder,
            best=best if found.get("metrics_of") == "best" else None,
            last=last,
            epochs=int(found.get("epochs") or 0),
            metrics=dict(found.get("metrics") or {}),
            predictions=picture if picture.is_file() else None,
            best_epoch=found.get("best_epoch"),
            ending=Ending(
                str(found.get("stop_reason") or "epochs"), found.get("stop_message"), found.get("planned_epochs")
            ),
            weights=StartingWeights.of_data(started) if isinstance(started, dict) else None,
            resumed_from=self.resumes[-1].get("from") if self.resumes else None,
            nothing_done=True,
        )
