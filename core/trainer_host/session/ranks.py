"""The processes of a run in its session: the first resolves the run and writes, the others train it too."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.util import register_after_fork
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from trainer_host.base.errors import Problem, RankError, StorageError, TrainerError
from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.option_declaration import Origin
from trainer_host.base.ranks import Ranks, rank_variables, ranks_of_environment
from trainer_host.base.reporting import NullReporter, RankReporter
from trainer_host.base.request import part_of
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.results import Ending, RunResult, StartingWeights
from trainer_host.base.signals import StopRequest, outlive_a_signal, unhandled
from trainer_host.engine.error_translation import blamed, known_error
from trainer_host.engine.process_group import SingleProcess, join
from trainer_host.engine.rank_devices import device_of_rank
from trainer_host.engine.resumption import Resumption
from trainer_host.engine.state_files import StateEntry, StateFiles
from trainer_host.session.opening import is_run_of_launcher
from trainer_host.session.resolution import load_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.process_group import ProcessGroup
    from trainer_host.engine.protocol import LiveRun
    from trainer_host.plugin.registry import Registry

RESOLVED_RUN, DATASET = "run", "dataset"
LOST = re.compile(
    r"gloo|nccl|connectFullMesh|[Cc]onnection (?:closed|reset|refused)|[Bb]roken pipe|TCPStore|DistStoreError", re.ASCII
)
"""Texts of torch for a peer that is gone."""
SOURCE = re.compile(r"^\[[^\]]*\] ")
"""The place in the source of torch at the beginning of such a text."""


@dataclass
class RankGroup:
    """The processes of a run, and what the first one has sent to the others.

    Attributes:
        group: The processes.
        sent: What the others know: nothing, the resolved run, or that the dataset was read.
    """

    group: ProcessGroup
    sent: tuple[str, ...] = ()

    def broadcast(self, what: str, value: Any = True) -> None:
        """Send a value to the others, which wait for it."""
        self.sent = (*self.sent, what)
        self.group.broadcast(value)

    @contextmanager
    def failures_sent(self) -> Iterator[RankGroup]:
        """Have the others end when this process fails while they wait for it."""
        try:
            yield self
        except BaseException:
            if self.group.ranks.world_size > 1 and DATASET not in self.sent:
                with suppress(Exception):  # they may be gone
                    self.group.broadcast(None)
            raise

    def receive(self) -> Any:
        """Return the value that the first process sends.

        Raises:
            RankError: If it failed.
        """
        with unhandled():  # a process that waits has nothing to save
            value = self.group.broadcast(None)
        if value is None:
            raise RankError(Problem("rank 0 failed before the training began.", "see its message"))
        return value


@contextmanager
def joined(device: Any) -> Iterator[ProcessGroup]:
    """Join the other processes of the run, if there are some.

    Args:
        device: The setting ``device``.

    Raises:
        RankError: If another process was lost.
    """
    ranks = ranks_of_environment(os.environ)
    if ranks.world_size == 1:
        yield SingleProcess()
        return
    os.environ.update(rank_variables(os.environ))
    with peers_watched(ranks), ExitStack() as stack:
        with unhandled():
            group = stack.enter_context(join(ranks, device_of_rank(device, ranks)))
        yield group


@contextmanager
def peers_watched(ranks: Ranks) -> Iterator[None]:
    """Translate what torch raises when another process is gone, if there are others.

    Raises:
        RankError: If one is gone.
    """
    try:
        yield
    except TrainerError:
        raise
    except Exception as error:
        if ranks.world_size == 1:
            raise
        if (known := known_error(error)) is not None:
            raise known from error
        if not is_lost_connection(error):
            raise
        said = SOURCE.sub("", str(error)).partition("\n")[0].partition(". ")[0] or type(error).__name__
        what = f"the connection to another process of the run was lost ({said.rstrip('.')})."
        raise RankError(Problem(what, "see the message of the process that failed")) from error


def is_lost_connection(error: BaseException) -> bool:
    """Return whether an error says that torch has lost another process.

    A plugin, a tracker or the system may have lost a connection of its own: torch's errors without a class of their
    own count only if its package for processes raised them.
    """
    from torch import distributed

    if isinstance(error, distributed.DistError):
        return True
    if not isinstance(error, (RuntimeError, OSError)) or not LOST.search(str(error)):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return f"{name}.".startswith("torch.distributed.")


def share_run(ranks: RankGroup, run: LiveRun, folder: Path, entries: Sequence[StateEntry]) -> LiveRun:
    """Send the run to the others, and return it with its processes."""
    group = ranks.group
    if run.options.processes != group.ranks.world_size:  # such as one that torchrun started
        options = replace(run.resolved.options, processes=group.ranks.world_size)
        run = replace(run, resolved=run.resolved.model_copy(update={"options": options}))
    if group.ranks.world_size == 1:
        return run
    sent = {"run": run.resolved.text(), "folder": str(folder), "states": [one.as_data() for one in entries]}
    ranks.broadcast(RESOLVED_RUN, sent)
    return replace(run, group=group)


def note_other_number(recorded: int, group: ProcessGroup, reporter: Reporter) -> None:
    """Say that a run goes on in another number of processes."""
    now = group.ranks.world_size
    if now != recorded:
        reporter.note(f"Changed: processes={recorded} -> {now} (sums are rounded in another order).")


def train_as_rank(
    group: ProcessGroup,
    request: Request,
    registry: Registry,
    stop: StopRequest,
    prepared: Callable[[LiveRun], AbstractContextManager[None]],
) -> RunResult:
    """Train the run that the first rank has resolved, and return its outcome.

    Args:
        group: The processes.
        request: What was asked for, of which the first rank decides everything.
        registry: The plugins to choose from.
        stop: Whether it is to end early.
        prepared: Prepares the engine of the run.
    """
    ranks = RankGroup(group)
    sent = ranks.receive()
    if "result" in sent:
        group.barrier()
        return _result(sent["result"])
    run = replace(_run_of(sent["run"], registry.without(request.off)), group=group)
    folder, entries = Path(sent["folder"]), tuple(map(StateEntry.of_data, sent["states"]))
    found = StateFiles(folder / "weights").newest(entries) if entries else None
    if entries and found is None:
        what = f"rank {group.ranks.rank} cannot read the state in {folder / 'weights'}."
        raise StorageError(Problem(what, "put the run folder on storage that all machines share"))
    resumption = Resumption(*found) if found is not None else None
    with prepared(run):
        training = run.engine.training(run, folder, NullReporter(), stop, resumption)
        ranks.receive()  # for the dataset, which is in the cache then
        with blamed(run.chain.manager, run.engine), peers_watched(group.ranks):
            training.prepare()
            outcome = training.train()
        if outcome.interrupted:
            stop.over = True
            raise stop.error("rank 0 saves the state", by_all=True)
        final = group.broadcast(None)
        group.barrier()
    return _result(final)


def finish(ranks: RankGroup, result: RunResult) -> None:
    """Give the others the outcome, and wait until they have it."""
    if ranks.group.ranks.world_size == 1:
        return
    if RESOLVED_RUN in ranks.sent:
        ranks.group.broadcast(result.as_json())
    else:  # there was nothing to do
        ranks.broadcast(RESOLVED_RUN, {"result": result.as_json()})
    ranks.group.barrier()


def _result(final: Mapping[str, Any]) -> RunResult:
    weights = final["weights"]
    return RunResult(
        task=final["task"],
        save_dir=Path(final["save_dir"]),
        best=_path(final["best"]),
        last=_path(final["last"]),
        epochs=final["epochs"],
        metrics=dict(final["metrics"]),
        best_epoch=final["best_epoch"],
        ending=Ending(final["stop_reason"], final["stop_message"], final["planned_epochs"]),
        weights=StartingWeights.of_data(weights) if weights else None,
        resumed_from=final["resumed_from"],
        nothing_done=final["nothing_done"],
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _run_of(text: str, registry: Registry) -> LiveRun:
    """Return the run that the first rank has resolved."""
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        file = Path(folder, "run.yaml")
        file.write_text(text, encoding="utf-8")
        return load_run(ResolvedRun.read(file), registry)


def with_recorded_origins(request: Request) -> Request:
    """Return the request of a launched rank with the origins of its settings as they were for whoever launched it."""
    if not is_run_of_launcher(request):
        return request
    origins, known = part_of(request.record, "origins"), get_args(Origin)
    settings = {
        key: replace(one, origin=origins[key], where=None) if origins.get(key) in known else one
        for key, one in request.settings.items()
    }
    return replace(request, settings=settings)


def stop_request(reporter: Reporter) -> StopRequest:
    """Return the request by signal to end the run, which says that the run waits for its state.

    A launcher ends the others by SIGTERM if one rank fails, which is not what anybody asked for.
    """
    launched = LaunchedRank.of(os.environ)

    def notify(text: str) -> None:
        if launched is None or not launched.is_reported or not stop.terminated:
            reporter.note(text)

    stop = StopRequest(notify=notify)
    if launched is not None and launched.is_reported:  # a scheduler may signal all processes, and its launcher too
        stop.insists = lambda: launched.ends_at_once
    register_after_fork(stop, outlive_a_signal)
    return stop


def reporter_of_rank(reporter: Reporter) -> Reporter:
    """Return the reporter of this process: only the first one shows progress."""
    ranks, launched = ranks_of_environment(os.environ), LaunchedRank.of(os.environ)
    if launched is not None and launched.is_quiet:
        return NullReporter()
    return reporter if ranks.is_first else RankReporter(reporter, ranks.rank)
