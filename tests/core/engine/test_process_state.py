"""What a run changes in its process is put back, also after an error."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("engine")


class WentWrong(Exception):
    """Raised inside of a preserved state."""


def leave_normally() -> None:
    """Do nothing."""


def leave_with_an_error() -> None:
    raise WentWrong


@pytest.fixture(params=[leave_normally, leave_with_an_error])
def inside(request: pytest.FixtureRequest) -> Callable[[Callable[[], None]], None]:
    """Return a function that calls another one inside of a preserved state, left normally or by an error."""
    from trainer_host.engine.factory import default_engine
    from trainer_host.engine.process_state import preserved_state

    def run(change: Callable[[], None]) -> None:
        try:
            with preserved_state(default_engine):
                change()
                request.param()
        except WentWrong:
            assert request.param is leave_with_an_error

    return run


@pytest.fixture(autouse=True)
def corrected() -> Iterator[None]:
    """Put everything back that a failing test may leave changed."""
    from ultralytics.utils.torch_utils import unset_deterministic

    yield
    unset_deterministic()


Inside = Callable[[Callable[[], None]], None]


def test_random_generators(inside: Inside) -> None:
    import numpy as np
    import torch

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    def change() -> None:
        random.seed(1)
        np.random.seed(2)
        torch.manual_seed(3)
        draw()

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    inside(change)
    assert draw() == expected


def test_flags_of_torch(inside: Inside) -> None:
    import torch

    def flags() -> tuple[Any, ...]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.get_num_threads(),
        )

    def change() -> None:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = not before[2]
        torch.backends.cudnn.deterministic = not before[3]
        torch.backends.cudnn.benchmark = not before[4]
        torch.set_num_threads(before[5] + 1)
        assert all(a != b for a, b in zip(flags(), before, strict=True))

    before = flags()
    inside(change)
    assert flags() == before


def test_what_the_engine_does_for_a_seed(inside: Inside) -> None:
    import torch
    from ultralytics.utils.torch_utils import init_seeds

    before = torch.are_deterministic_algorithms_enabled(), dict(os.environ), torch.get_rng_state()
    inside(lambda: init_seeds(7, deterministic=True))
    after = torch.are_deterministic_algorithms_enabled(), dict(os.environ), torch.get_rng_state()
    assert after[:2] == before[:2]
    assert torch.equal(after[2], before[2])


def test_the_environment(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("CHANGED", "1")
    monkeypatch.setenv("REMOVED", "1")
    before = dict(os.environ)

    def change() -> None:
        os.environ["CHANGED"] = "2"
        os.environ["ADDED"] = "2"
        del os.environ["REMOVED"]

    inside(change)
    assert dict(os.environ) == before


def test_the_working_folder(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    inside(lambda: os.chdir("below"))
    assert Path.cwd() == tmp_path


def test_a_working_folder_that_is_gone(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    below = tmp_path / "below"
    below.mkdir()

    def change() -> None:
        os.chdir(below)
        below.rmdir()

    inside(change)
    assert Path.cwd() == tmp_path


def test_signal_handlers(inside: Inside) -> None:
    from trainer_host.base.signals import StopRequest

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def change() -> None:
        with StopRequest().listening():
            assert signal.getsignal(signal.SIGINT) is not before[0]

    inside(change)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_thread_has_no_signal_handlers_to_restore(inside: Inside) -> None:
    from trainer_host.base.signals import StopRequest

    before = signal.getsignal(signal.SIGINT)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with StopRequest().listening():
                inside(lambda: None)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []
    assert signal.getsignal(signal.SIGINT) is before


def test_loggers(inside: Inside) -> None:
    from ultralytics.utils import LOGGER

    known = logging.getLogger("trainer_host.test_state")
    known.setLevel(logging.ERROR)
    known.addHandler(logging.NullHandler())

    def state() -> list[Any]:
        every = (logging.root, known, LOGGER)
        return [(log.level, log.handlers[:], log.propagate, log.disabled) for log in every]

    def change() -> None:
        for log in (logging.root, known, LOGGER):
            log.setLevel(logging.DEBUG)
            log.addHandler(logging.NullHandler())
            log.propagate = not log.propagate
            log.disabled = True
        known.handlers.clear()

    before = state()
    inside(change)
    assert state() == before


def test_warning_filters(inside: Inside) -> None:
    before = warnings.filters[:]

    def change() -> None:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("ignore", message="x")

    inside(change)
    assert warnings.filters == before


def test_the_engines_default_callbacks(inside: Inside) -> None:
    from ultralytics.utils import callbacks

    def state() -> dict[str, list[Any]]:
        return {event: functions[:] for event, functions in callbacks.default_callbacks.items()}

    def change() -> None:
        callbacks.default_callbacks["on_train_end"].append(print)
        callbacks.default_callbacks["on_train_start"].clear()
        callbacks.default_callbacks["on_something_new"] = [print]

    before = state()
    inside(change)
    assert state() == before


def test_the_engines_default_activation(inside: Inside) -> None:
    import torch
    from ultralytics.nn.modules.conv import Conv

    before = Conv.default_act

    def change() -> None:
        Conv.default_act = torch.nn.ReLU()

    inside(change)
    assert Conv.default_act is before


def test_the_engines_log_is_turned_back(inside: Inside) -> None:
    from ultralytics.utils import LOGGER

    from trainer_host.base.reporting import NullReporter
    from trainer_host.engine.ultralytics.engine_log import engine_log

    before = LOGGER.level, LOGGER.handlers[:]

    def change() -> None:
        with engine_log(NullReporter()):
            assert LOGGER.handlers != before[1]

    inside(change)
    assert (LOGGER.level, LOGGER.handlers) == before


def test_a_failed_run_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from trainer_host import DatasetError, run

    monkeypatch.chdir(tmp_path)
    before = (
        dict(os.environ),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        signal.getsignal(signal.SIGTERM),
        random.getstate(),
        warnings.filters[:],
        Path.cwd(),
    )
    with pytest.raises(DatasetError):
        run("pose", data="none.yaml", model="yolo11n-pose.yaml", seed=5)
    after = (
        dict(os.environ),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        signal.getsignal(signal.SIGTERM),
        random.getstate(),
        warnings.filters[:],
        Path.cwd(),
    )
    assert after == before
    assert capsys.readouterr() == ("", "")
