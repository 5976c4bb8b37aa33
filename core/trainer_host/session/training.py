"""A training from the request to the result."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.ranks import ranks_of_environment
from trainer_host.base.reporting import NullReporter
from trainer_host.session.launching import launch_if_asked
from trainer_host.session.ranks import (
    RankGroup,
    finish,
    joined,
    reporter_of_rank,
    share_run,
    stop_request,
    train_as_rank,
    with_recorded_origins,
)
from trainer_host.session.recorded_environment import differences, report
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume_request import in_its_folder, joined_request, split_resume
from trainer_host.session.resumed_training import resume
from trainer_host.session.run_folders import claim_folder, claim_named_folder, hold_folder
from trainer_host.session.run_record import FILE, RunRecord
from trainer_host.session.session_context import SessionContext
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
                return train_as_rank(group, request, registry, stop, lambda run: prepared_for(run, engine, reporter))
            with RankGroup(group).failures_sent() as ranks:
                result = _lead(folder, request, SessionContext(registry, reporter, stop, engine, ranks))
            finish(ranks, result)
            if rank is not None:
                rank.leave()
            return result
    finally:
        reporter.close()


def _lead(folder: Path | None, request: Request, context: SessionContext) -> RunResult:
    """Train as the first process of a run, or its only one."""
    rank = LaunchedRank.of(os.environ)
    if rank is not None and folder is None and rank.has_begun:
        folder, request = rank.run_folder, in_its_folder(request)
    if folder is not None:
        return resume(folder, request, context)
    reporter = context.reporter if rank is None else NullReporter()
    run = resolve(request, context.registry, reporter, context.engine)
    with prepared_for(run, context.engine, context.reporter):
        if rank is not None:
            return _train_in(rank.run_folder, run, context)
        return begin(run, request, context)


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


def begin(run: LiveRun, request: Request, context: SessionContext) -> RunResult:
    """Train in the folder that the request chooses, or go on with the run that is in it."""
    if_exists, settings = request.options.if_exists, run.resolved.settings
    if if_exists is None or if_exists == "new":
        return _train_in(claim_folder(run.chain.name, settings), run, context)
    folder, is_new = claim_named_folder(run.chain.name, settings, if_exists)
    if is_new:
        return _train_in(folder, run, context)
    return resume(folder, in_its_folder(request), replace(context, engine=run.engine))


def _train_in(folder: Path, run: LiveRun, context: SessionContext) -> RunResult:
    """Train in a folder, which holds the record of the run."""
    before = {entry.name for entry in folder.iterdir()}
    lock = hold_folder(folder, context.reporter)
    try:
        run = share_run(context.ranks, run, folder, ())
        record = RunRecord(folder, run.resolved)
        return TrainingWork(run, folder, record, context, lock, before).carry_out()
    finally:
        lock.release()


def _of_task(folder: Path | None, request: Request) -> Request:
    """Return the request of the run that is resumed, whose task decides on the engine; a new run's own."""
    begun = folder is not None and (folder / FILE).exists()
    return RecordedRun.read(folder, request).request if folder is not None and begun else request
