"""Going on with the run of a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.folder_lock import FILE as LOCK
from trainer_host.base.rank_folder import FOLDER as RANKS
from trainer_host.engine.resumption import Resumption
from trainer_host.session.opening import objects_of, refuse_absent_objects
from trainer_host.session.ranks import note_other_number, share_run
from trainer_host.session.recorded_environment import differences
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume_messages import accept, announce
from trainer_host.session.resume_request import joined_request, more_epochs, new_run
from trainer_host.session.run_folders import hold_folder
from trainer_host.session.run_record import RunRecord, remove_states
from trainer_host.session.training_work import Resumed, TrainingWork
from trainer_host.session.working_engine import prepared_for

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.results import RunResult
    from trainer_host.engine.state_files import StateFiles
    from trainer_host.session.session_context import SessionContext


def resume(folder: Path, request: Request, context: SessionContext) -> RunResult:
    """Go on with the run of a folder; a finished one is left as it is.

    Raises:
        SettingsError: If it cannot go on with what the user asks for.
    """
    registry, reporter, engine = context.registry, context.reporter, context.engine
    lock = hold_folder(folder, reporter)
    try:
        if _is_unused(folder):
            run = resolve(request, registry, reporter, engine)
            with prepared_for(run, engine, reporter):
                run = share_run(context.ranks, run, folder, ())
                record = RunRecord(folder, run.resolved)
                return TrainingWork(run, folder, record, context, lock).carry_out()
        recorded = RecordedRun.read(folder, request)
        more = more_epochs(request, recorded, engine)
        joined, changed = joined_request(request, recorded, engine, setting_problems(request, registry, engine))
        if recorded.is_finished and more is None:
            return _finished(recorded, request, reporter)
        if recorded.is_finished and not recorded.state_entries:
            raise _no_more_epochs(recorded, more)
        registry = registry.without(joined.off)
        refuse_absent_objects(joined, {*objects_of(registry), *request.settings}, "resume({file!r}")
        run = replace(resolve(joined, registry, reporter, engine), repeats=recorded.record)
        record = RunRecord(folder, run.resolved, recorded.record)
        state = _good_state(recorded, record.states, reporter)
        found = differences(run)
        accept(found, request.options.allow, reporter)
        announce(recorded, state, run.resolved.settings.get("epochs"), changed, reporter)
        note_other_number(recorded.request.options.processes, context.ranks.group, reporter)
        run = share_run(context.ranks, run, folder, (state.entry,) if state else ())
        record.resolved = run.resolved
        before = {each.name for each in folder.iterdir()}
        resumed = Resumed(state, [*changed, *found], request.options.allow)
        with prepared_for(run, engine, reporter):
            return TrainingWork(run, folder, record, context, lock, before, resumed).carry_out()
    finally:
        lock.release()


def _is_unused(folder: Path) -> bool:
    """Return whether a folder was claimed by a process that ended before it wrote a record."""
    return all(each.name in {LOCK, RANKS} or each.name.endswith(".part") for each in folder.iterdir())


def _finished(recorded: RecordedRun, request: Request, reporter: Reporter) -> RunResult:
    """Return the outcome of a run that is finished, with nothing done."""
    reporter.note(f"{recorded.shown} is finished: nothing to do.")
    if without_effect := sorted(request.settings.keys() & {"patience", "time"}):
        keys = " and ".join(f"{key}=" for key in without_effect)
        reporter.warn(f"{keys} cannot continue a finished run. Fix: give more epochs: epochs=NUMBER")
    if not recorded.request.options.keep_state:
        remove_states(recorded.folder)  # in case the process was killed before it did
    return recorded.result()


def _no_more_epochs(run: RecordedRun, more: int | None) -> SettingsError:
    """Return the refusal of more epochs for a finished run whose state was not kept."""
    what = f"{run.shown} is finished, and its state was removed when it was done, so it cannot go on to {more} epochs."
    trained = run.request.values.get("epochs")
    left = [f"epochs={more - trained}"] if isinstance(trained, int) and more is not None else []
    fix = f"start a new run from its weights: {new_run(run, *left)}; next time add --keep-state"
    return SettingsError(Problem(what, fix))


def _good_state(run: RecordedRun, states: StateFiles, reporter: Reporter) -> Resumption | None:
    """Read the newest state that verifies, and say which newer ones do not; return None for a run without any state.

    Raises:
        SettingsError: If there are states or checkpoints, but none to go on from.
    """
    entries = run.state_entries
    if (found := states.newest(entries)) is not None:
        for problem in states.skipped:
            reporter.warn(f"{problem} Going back to an older state.")
        return Resumption(*found)
    if entries or run.weights is not None:
        damaged = "; ".join(map(_damage, states.skipped))
        why = f"no state of {run.shown} can be used ({damaged})" if entries else f"{run.shown} has no state"
        what = f"{why}, and starting from the beginning would replace its checkpoints."
        raise SettingsError(Problem(what, f"start a new run from the weights: {new_run(run)}"))
    return None


def _damage(problem: Problem) -> str:
    """Return what is wrong with a state file, without its folder."""
    return f"{Path(problem.where or '').name}: {problem.message.rstrip('.')}"
