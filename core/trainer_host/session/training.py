"""A training from the request to the result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.ranks import ranks_of_environment
from trainer_host.base.reporting import NullReporter
from trainer_host.engine.process_group import SingleProcess
from trainer_host.session.launching import launch_if_asked
from trainer_host.session.ranks import (
    Crew,
    finish,
    follow,
    joined,
    reporter_of_rank,
    share_plan,
    stop_request,
    with_recorded_origins,
)
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
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.protocol import Engine, LiveRun
    from trainer_host.plugin.registry import Registry


def run(request: Request, registry: Registry, reporter: Reporter) -> RunResult:
    """Train, or resume a run, and return the outcome. The process is left as it was found.

    Raises:
        TrainerError: For every cause that is expected.
    """
    if (rank := LaunchedRank.of(os.environ)) is not None:
        rank.enter(ranks_of_environment(os.environ).rank)
    if (launched := launch_if_asked(request, registry, reporter)) is not None:
        return launched
    reporter = reporter_of_rank(reporter)
    stop = stop_request(reporter)
    try:
        request, folder = split_resume(with_recorded_origins(request), reporter)
        known = _of_task(folder, request)
        device = {**known.values, **request.values}.get("device")
        with working_engine(known, registry, reporter) as engine, stop.listening(), joined(device) as group:
            if not group.ranks.is_first:
                return follow(group, request, registry, stop, lambda run: prepared_for(run, engine, reporter))
            with Crew(group).leading() as crew:
                result = _lead(folder, request, registry, reporter, stop, engine, crew)
            finish(crew, result)
            if rank is not None:
                rank.leave()
            return result
    finally:
        reporter.close()


def _lead(
    folder: Path | None,
    request: Request,
    registry: Registry,
    reporter: Reporter,
    stop: StopRequest,
    engine: Engine,
    crew: Crew,
) -> RunResult:
    """Train as the first process of a run, or its only one."""
    rank = LaunchedRank.of(os.environ)
    if rank is not None and folder is None and rank.has_begun:
        folder, request = rank.run_folder, in_its_folder(request)
    if folder is not None:
        return resume(folder, request, registry, reporter, stop, engine, crew)
    run = resolve(request, registry, reporter if rank is None else NullReporter(), engine)
    with prepared_for(run, engine, reporter):
        if rank is not None:
            return _train_in(rank.run_folder, run, reporter, stop, crew)
        return begin(run, request, registry, reporter, stop, crew)


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


def begin(
    run: LiveRun,
    request: Request,
    registry: Registry,
    reporter: Reporter,
    stop: StopRequest,
    crew: Crew | None = None,
) -> RunResult:
    """Train in the folder that the request chooses, or go on with the run that is in it."""
    crew = crew or Crew(SingleProcess())
    if_exists = request.options.if_exists
    if if_exists is None or if_exists == "new":
        return train(run, reporter, stop, crew)
    folder, is_new = claim_named_folder(run.chain.name, run.resolved.settings, if_exists)
    if is_new:
        return _train_in(folder, run, reporter, stop, crew)
    return resume(folder, in_its_folder(request), registry, reporter, stop, run.engine, crew)


def train(run: LiveRun, reporter: Reporter, stop: StopRequest, crew: Crew | None = None) -> RunResult:
    """Train in a new folder, which holds the record of the run."""
    crew = crew or Crew(SingleProcess())
    return _train_in(claim_folder(run.chain.name, run.resolved.settings), run, reporter, stop, crew)


def _train_in(folder: Path, run: LiveRun, reporter: Reporter, stop: StopRequest, crew: Crew) -> RunResult:
    """Train in a folder, which holds the record of the run."""
    before = {entry.name for entry in folder.iterdir()}
    lock = hold_folder(folder, reporter)
    try:
        run = share_plan(crew, run, folder, ())
        record = RunRecord(folder, run.resolved)
        return TrainingWork(run, folder, record, reporter, stop, lock, before, crew=crew).carry_out()
    finally:
        lock.release()


def _of_task(folder: Path | None, request: Request) -> Request:
    """Return the request of the run that is resumed, whose task decides on the engine; a new run's own."""
    begun = folder is not None and (folder / FILE).exists()
    return RecordedRun.read(folder, request).request if folder is not None and begun else request
