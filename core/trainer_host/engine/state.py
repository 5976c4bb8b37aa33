"""What a run changes in its process, put back afterwards."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def preserved_state() -> Iterator[None]:
    """Restore on leaving, also after an exception, what the engine changes in the process.

    That is: random generators, deterministic and cudnn flags, thread count, environment, working folder, signal
    handlers, logging, warning filters, the engine's default callbacks and its default activation.
    """
    with ExitStack() as stack:
        for part in (_random, _torch_flags, _environment, _signals, _logging, _engine):
            stack.enter_context(part())
        with warnings.catch_warnings():
            yield


@contextmanager
def _random() -> Iterator[None]:
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    initialised = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if initialised else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _torch_flags() -> Iterator[None]:
    deterministic = _determinism()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        # Not called without need, because it imports torch's compiler, which takes a second.
        if _determinism() != deterministic:
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        memory.fill_uninitialized_memory = fill
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        torch.set_num_threads(threads)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


@contextmanager
def _environment() -> Iterator[None]:
    environment, folder = dict(os.environ), Path.cwd()
    try:
        yield
    finally:
        for key in os.environ.keys() - environment.keys():
            del os.environ[key]
        os.environ.update({k: v for k, v in environment.items() if os.environ.get(k) != v})
        with suppress(OSError):  # either folder may be gone
            os.chdir(folder)


@contextmanager
def _signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _logging() -> Iterator[None]:
    kept = {n: (log.level, log.handlers[:], log.propagate, log.disabled) for n, log in _loggers()}
    try:
        yield
    finally:
        for name, log in _loggers():
            if name in kept:
                level, log.handlers[:], log.propagate, log.disabled = kept[name]
                if log.level != level:
                    log.setLevel(level)


def _loggers() -> list[tuple[str, logging.Logger]]:
    found = [("", logging.getLogger())]
    return found + [(n, log) for n, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)]


@contextmanager
def _engine() -> Iterator[None]:
    from ultralytics.nn.modules.conv import Conv
    from ultralytics.utils import callbacks

    events = callbacks.default_callbacks
    kept: dict[str, list[Any]] = {event: functions[:] for event, functions in events.items()}
    activation = Conv.default_act
    try:
        yield
    finally:
        # The engine itself swaps these objects; what it put there is filled with what stood there before.
        current = callbacks.default_callbacks
        current.clear()
        current.update(kept)
        if Conv.default_act is not activation:
            Conv.default_act = activation
