"""A training from the request to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.signals import StopRequest
from trainer_host.session.recorded_environment import differences, report
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume_request import in_its_folder, joined_request, split_resume
from trainer_host.session.resumed_training import resume
from trainer_host.session.run_folders import claim_folder, claim_named_folder, hold_folder
from trainer_host.session.run_record import FILE, RunRecord
from trainer_host.session.training_work import TrainingWork
from trainer_host.session.working_engine import prepared_for, working_engine

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.base.results import RunResult
    from trainer_host.engine.protocol import LiveRun
    from trainer_host.plugin.registry import Registry


def run(request: Request, registry: Registry, reporter: Reporter) -> RunResult:
    """Train, or resume a run, and return the outcome. The process is left as it was found.

    Raises:
        TrainerError: For every cause that is expected.
    """
    stop = StopRequest(notify=reporter.note)
    try:
        request, folder = split_resume(request, reporter)
        with working_engine(_of_task(folder, request), registry, reporter) as engine, stop.listening():
            if folder is not None:
                return resume(folder, request, registry, reporter, stop, engine)
            run = resolve(request, registry, reporter, engine)
            with prepared_for(run, engine, reporter):
                return begin(run, request, registry, reporter, stop)
    finally:
        reporter.close()


def resolve_only(request: Request, registry: Registry, reporter: Reporter) -> ResolvedRun:
    """Return what `run` would carry out, also for a run that is resumed; nothing is trained or written."""
    request, folder = split_resume(request, reporter)
    with working_engine(_of_task(folder, request), registry, reporter) as engine:
        if folder is not None:
            recorded = RecordedRun.read(folder, request)
            request, _ = joined_request(request, recorded, engine, setting_problems(request, registry, engine))
            return resolve(request, registry.without(request.off), reporter, engine).resolved
        run = resolve(request, registry, reporter, engine)
        report(differences(run), run, reporter)
        return run.resolved


def begin(run: LiveRun, request: Request, registry: Registry, reporter: Reporter, stop: StopRequest) -> RunResult:
    """Train in the folder that the request chooses, or go on with the run that is in it."""
    if_exists = request.options.if_exists
    if if_exists is None or if_exists == "new":
        return train(run, reporter, stop)
    folder, is_new = claim_named_folder(run.chain.name, run.resolved.settings, if_exists)
    if is_new:
        return _train_in(folder, run, reporter, stop)
    return resume(folder, in_its_folder(request), registry, reporter, stop, run.engine)


def train(run: LiveRun, reporter: Reporter, stop: StopRequest) -> RunResult:
    """Train in a new folder, which holds the record of the run."""
    return _train_in(claim_folder(run.chain.name, run.resolved.settings), run, reporter, stop)


def _train_in(folder: Path, run: LiveRun, reporter: Reporter, stop: StopRequest) -> RunResult:
    """Train in a folder, which holds the record of the run."""
    before = {entry.name for entry in folder.iterdir()}
    lock = hold_folder(folder, reporter)
    try:
        return TrainingWork(run, folder, RunRecord(folder, run.resolved), reporter, stop, lock, before).carry_out()
    finally:
        lock.release()


def _of_task(folder: Path | None, request: Request) -> Request:
    """Return the request of the run that is resumed, whose task decides on the engine; a new run's own."""
    begun = folder is not None and (folder / FILE).exists()
    return RecordedRun.read(folder, request).request if folder is not None and begun else request
