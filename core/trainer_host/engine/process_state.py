"""Process state that a run changes, restored afterwards, from the import of the engine on."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.interpreter_state import preserved_process
from trainer_host.base.openmp_waits import short_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

THREADS = "OMP_NUM_THREADS"


class EngineGlobals(Protocol):
    """The process-wide state of an engine's library.

    Attributes:
        package: The name that the library is imported by.
    """

    package: str

    def load(self) -> None:
        """Import the library."""
        ...

    def apply(self) -> None:
        """Set again what the first import sets, except environment, warning filters and how numbers are printed."""
        ...

    def preserved(self) -> AbstractContextManager[None]:
        """Return a context that restores what a run changes in the library."""
        ...


class HasGlobals(Protocol):
    """An engine, as far as it matters here."""

    process_globals: EngineGlobals


E = TypeVar("E", bound=HasGlobals)


@contextmanager
def preserved_state(choose: Callable[[], E]) -> Iterator[E]:
    """Choose and import an engine, and restore on leaving, also after an exception, what it changes in the process.

    That is: what `preserved_process` restores, the random generators of numpy and torch, deterministic and cudnn flags,
    torch's default type, numbers of threads, how numbers are printed, the backend of matplotlib, and the engine's own.

    Some of this is set when the engine is imported, which happens once. It is set again for later calls, so that every
    call runs like the first.

    Args:
        choose: Returns the engine. It may import plugins, which may import the engine.
    """
    with ExitStack() as stack:
        stack.enter_context(preserved_process())
        stack.enter_context(_plotting())
        present, before = set(sys.modules), _Before()
        _import_libraries()
        for part in (_random, _torch_flags, _libraries):
            stack.enter_context(part())
        engine = choose()
        own = engine.process_globals
        if own.package not in sys.modules:
            before = _Before()  # without what plugins have changed
        _note_threads(before, present=own.package in present and own.package not in _EFFECTS)
        own.load()
        if own.package not in present:
            _EFFECTS[own.package] = before.effects()
        elif own.package in _EFFECTS:
            _EFFECTS[own.package].apply()
            own.apply()
        _limit_threads(_EFFECTS.get(own.package), before)
        stack.enter_context(own.preserved())
        stack.enter_context(warnings.catch_warnings())
        yield engine


@dataclass(frozen=True)
class _Effects:
    """Changes that the import of an engine made in the process.

    Attributes:
        environment: Variables.
        filters: Filters of warnings.
        printing: How numpy prints numbers.
        torch_printing: How torch does.
    """

    environment: dict[str, str]
    filters: list[Any]
    printing: dict[str, Any]
    torch_printing: dict[str, Any]

    def apply(self) -> None:
        """Make the changes again."""
        import numpy as np
        import torch

        os.environ.update({k: v for k, v in self.environment.items() if k not in os.environ})
        active: Any = warnings.filters
        active[:0] = [f for f in self.filters if f not in active]
        np.set_printoptions(**self.printing)
        torch.set_printoptions(**self.torch_printing)  # type: ignore[no-untyped-call]


class _Before:
    """The process before an import.

    Attributes:
        environment: Its variables.
    """

    def __init__(self) -> None:
        self.environment, self._filters = dict(os.environ), warnings.filters[:]

    def effects(self) -> _Effects:
        """Return what has changed since then."""
        import numpy as np

        added = {k: v for k, v in os.environ.items() if self.environment.get(k) != v}
        filters = [f for f in warnings.filters if f not in self._filters]
        return _Effects(added, filters, dict(np.get_printoptions()), _torch_printing())


_EFFECTS: dict[str, _Effects] = {}
_fresh_threads: int | None = None
"""The number of threads that torch had when the host imported it; None if it was there before."""


def _import_libraries() -> None:
    """Import what an engine would import, so that the state that it changes can be read before."""
    global _fresh_threads
    fresh = "torch" not in sys.modules
    with gc_paused(), short_waits():
        torch = importlib.import_module("torch")
        importlib.import_module("cv2")
    if fresh:
        _fresh_threads = torch.get_num_threads()


_threads: str | None = None
"""The number of threads that the user's environment asks for: ``engine`` for the engine's own."""


_before_engine: str | None = "engine"
"""The user's variable when the host imported the engine; if others did, that is not known."""


@contextmanager
def engine_import() -> Iterator[None]:
    """Note the environment before the engine is imported meanwhile, and have OpenMP wait briefly."""
    global _before_engine
    _before_engine = os.environ.get(THREADS)
    with short_waits():
        yield


def _note_threads(before: _Before, present: bool) -> None:
    """Note the user's variable, unless it is, or may be, the engine's: its import sets it to 1."""
    global _threads
    value = before.environment.get(THREADS, "").partition(",")[0].strip()
    if present and value == "1":
        value = _before_engine or ""
    _threads = value if value == "engine" or (value.isdecimal() and int(value)) else None


def threads_of_environment(usual: int) -> int | None:
    """Return the number of threads that the user's environment asks for; None if it leaves it open.

    Args:
        usual: The engine's own number.
    """
    return usual if _threads == "engine" else int(_threads) if _threads is not None else None


def _limit_threads(effects: _Effects | None, before: _Before) -> None:
    """Limit the threads of torch if the engine does so by a variable: torch reads it once, and was imported first."""
    import torch

    limit = effects.environment.get(THREADS) if effects else None
    if limit and not before.environment.get(THREADS) and _fresh_threads == torch.get_num_threads():
        torch.set_num_threads(int(limit))


@contextmanager
def _plotting() -> Iterator[None]:
    """Leave the choice of matplotlib's backend open if it was; reading it the usual way would make the choice."""
    before: Any = sys.modules.get("matplotlib")
    backend = dict.get(before.rcParams, "backend") if before is not None else None
    try:
        yield
    finally:
        now: Any = sys.modules.get("matplotlib")
        if now is not None and hasattr(now, "rcParamsOrig"):
            backend = dict.get(now.rcParamsOrig, "backend") if before is None else backend
            dict.update(now.rcParams, {"backend": backend})


@contextmanager
def _random() -> Iterator[None]:
    import numpy as np
    import torch

    numpy_state, cpu = np.random.get_state(), torch.get_rng_state()
    initialised = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if initialised else None
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _torch_flags() -> Iterator[None]:
    import torch

    deterministic, dtype = _determinism(), torch.get_default_dtype()
    gradients, anomalies = torch.is_grad_enabled(), torch.is_anomaly_enabled()
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
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.autograd.set_detect_anomaly(anomalies)
        torch.set_num_threads(threads)


def _determinism() -> tuple[bool, bool]:
    import torch

    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


@contextmanager
def _libraries() -> Iterator[None]:
    import cv2
    import numpy as np
    import torch

    printing: dict[str, Any] = dict(np.get_printoptions())
    torch_printing, threads = _torch_printing(), cv2.getNumThreads()
    errors = np.geterr()
    try:
        yield
    finally:
        np.set_printoptions(**printing)
        np.seterr(**errors)
        torch.set_printoptions(**torch_printing)  # type: ignore[no-untyped-call]
        if cv2.getNumThreads() != threads:
            cv2.setNumThreads(threads)


def _torch_printing() -> dict[str, Any]:
    """Return how torch prints numbers, which it does not say in public."""
    options = importlib.import_module("torch._tensor_str").PRINT_OPTS
    return {k: getattr(options, k) for k in ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")}
