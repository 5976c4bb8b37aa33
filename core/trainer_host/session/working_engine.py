"""The engine of a request: chosen here, passed on from here, and prepared for work."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.errors import TrainerError
from trainer_host.engine.error_translation import translated
from trainer_host.engine.factory import default_engine
from trainer_host.engine.live_run import engine_of_task
from trainer_host.engine.process_state import preserved_state
from trainer_host.plugin.discovery import HOST
from trainer_host.session.sample_dataset import SAMPLE
from trainer_host.session.task_inference import task_of_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import Engine, LiveRun
    from trainer_host.plugin.registry import Registry


def engine_of_request(request: Request, registry: Registry) -> Engine:
    """Return the engine of the task of a request, or the default one if the task is not known without an engine.

    Plugins may be imported for it, but no engine. Problems of the task are left to whoever loads it.
    """
    engine = default_engine()
    if all(record.distribution == HOST for record in registry.available("task")):
        return engine  # the built-in tasks name no other: nothing need be read or imported
    with engine.switches(), suppress(TrainerError):  # plugins may import the engine
        if task := _known_task(request, registry, engine):
            return engine_of_task(task, registry)
    return engine


def _known_task(request: Request, registry: Registry, engine: Engine) -> str | None:
    """Return the task that a request names, or that the record of its model or its dataset says."""
    model, data = request.values.get("model"), request.values.get("data")
    if request.options.task:
        return request.options.task
    if isinstance(data, str) and data.startswith(SAMPLE):
        return data.removeprefix(SAMPLE)
    if model:
        is_checkpoint = str(model).endswith(".pt") and Path(str(model)).is_file()
        return engine.checkpoints.read(str(model)).task if is_checkpoint else None
    inferred = task_of_dataset(str(data), request, registry, engine) if data else None
    return inferred.name if inferred else None


@contextmanager
def prepared(engine: Engine, reporter: Reporter, verbose: bool) -> Iterator[None]:
    """Translate the errors of an engine, and show its log through ``reporter``."""
    with translated(engine), engine.log(reporter, verbose):
        yield


@contextmanager
def prepared_for(run: LiveRun, engine: Engine, reporter: Reporter) -> Iterator[None]:
    """Prepare the engine of a run for work, if it is not the one that the request seemed to need."""
    if run.engine is engine:
        yield
    else:
        with preserved_state(lambda: run.engine), prepared(run.engine, reporter, run.options.verbose):
            yield


@contextmanager
def working_engine(request: Request, registry: Registry, reporter: Reporter) -> Iterator[Engine]:
    """Choose and import the engine of a request, prepare it for work, and leave the process as it was found."""
    choose = partial(engine_of_request, request, registry)
    with (
        translated(),
        preserved_state(choose) as engine,
        prepared(engine, reporter, request.options.verbose),
    ):
        yield engine
