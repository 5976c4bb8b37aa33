"""How long threads of OpenMP spin while they wait for each other.

By default they spin for milliseconds. Next to another busy process a batch in two threads then takes 15 to 30 times as
long, and the first batch in two threads does so on some machines even without one. With short spins it takes 1.3 to
1.5 times as long as with one thread, and a quiet machine is as fast as before.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SPINS = "GOMP_SPINCOUNT"
LONGEST = "1000"
CHOICES = (SPINS, "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
"""Variables by which a user chooses; OpenMP reads them once, when it is loaded."""
_own_process = False


def own_process() -> None:
    """Note that this process is the host's own, which may choose; a program that calls the API chooses itself."""
    global _own_process
    _own_process = True


@contextmanager
def short_waits() -> Iterator[None]:
    """Have an OpenMP that is loaded meanwhile spin briefly, unless the user chose. Children do not inherit it."""
    if not _own_process or any(name in os.environ for name in CHOICES):
        yield
        return
    os.environ[SPINS] = LONGEST
    try:
        yield
    finally:
        os.environ.pop(SPINS, None)
