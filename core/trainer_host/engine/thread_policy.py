"""How many threads a training on a CPU uses, decided by what its own batches cost.

More threads are faster on a machine with nothing else to do, and many times slower next to other work: they wait for
each other, and spin meanwhile. So the number is measured, and measured again when something has changed. A number of
threads for which the machine has no free cores is not tried at all, since a single batch with it can cost as much as
twenty.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TIE = 1.05
"""Fewer threads are preferred as long as they cost at most this much more."""
HOPELESS = 1.3
"""A number that costs this much more than the best is not measured again in a search."""
DISASTER = 3.0
"""A number whose very first batch costs this much more than the best does not get a second one."""
ROUNDS = 3
"""Batches that are measured with each number that is not hopeless."""
SLACK = 0.3
"""Part of a core that may be missing: other programs always do a little."""
CALM = 2
"""Batches in a row after which cores count as free again."""
DRIFT = 1.3
"""Change in the cost of batches that starts a new search."""
BUDGET = 0.01
"""What searches may cost of a training's time, once the first one is done."""
DEBT = 6.0
"""Batches' time that searches may cost in advance if something has changed."""
PACE = 50
"""Batches between two searches at least, if nothing has changed."""
KEPT = 3
"""Batches over which a change in cost is seen."""


def candidates(cores: int, usual: int) -> list[int]:
    """Return the numbers of threads to choose from: powers of two, all cores, and what the engine usually takes."""
    powers = {1 << n for n in range(cores.bit_length())}
    return sorted(n for n in powers | {cores, usual} if 1 <= n <= max(cores, 1))


class ThreadPolicy:
    """Says how many threads the next batch uses.

    It starts with a search: a few batches with each number, in turn. A number that is much slower than the best is
    dropped, and with it those that are still further away. Ties go to fewer threads.

    Afterwards it searches again if the cost of batches changes, if cores become free, and at a slow pace, as far as
    searches cost little of the whole. If the machine has no cores for the number in use any more, it takes fewer
    at once.

    Args:
        numbers: Numbers of threads to choose from.
        start: The one to begin with.
        free: Cores that other programs leave; None if that is unknown.

    Attributes:
        chosen: The number that was found best last.
        threads: The number for the next batch, which differs from ``chosen`` during a search.
    """

    def __init__(self, numbers: Sequence[int], start: int, free: float | None = None) -> None:
        self.numbers = sorted(set(numbers))
        self._recent: deque[float] = deque(maxlen=KEPT)
        self._reference = 0.0
        self._tried: set[int] = set()
        self._debt, self._since, self._calm = 0.0, 0, 0
        allowed = self._allowed(free)
        self.chosen = self.threads = max((n for n in allowed if n <= start), default=allowed[0])
        self._search: _Search | None = None
        self._begin(allowed)

    @property
    def searching(self) -> bool:
        """Whether numbers are being compared."""
        return self._search is not None

    def observe(self, cost: float | None, free: float | None = None) -> None:
        """Note a batch that was computed with `threads`, which then has the number for the next.

        Args:
            cost: Its seconds, in proportion to its size; None for a batch that cannot be compared with others.
            free: Cores that other programs left meanwhile; None if that is unknown.
        """
        allowed = self._allowed(free)
        if self._search is not None:
            self._search.observe(self.threads, cost, allowed)
            self._proceed()
            return
        self._since += 1
        self._debt = max(0.0, self._debt - BUDGET)
        if cost is not None:
            self._recent.append(cost)
        self._calm = self._calm + 1 if set(allowed) - self._tried else 0
        if self.chosen not in allowed:
            self.chosen = self.threads = max((n for n in allowed if n < self.chosen), default=allowed[0])
            self._begin(allowed)
        elif self._is_due(allowed):
            self._begin(allowed)

    def _allowed(self, free: float | None) -> list[int]:
        """Return the numbers for which there are cores; with fewer than the least, that one."""
        return [n for n in self.numbers if free is None or n <= free + SLACK] or self.numbers[:1]

    def _is_due(self, allowed: list[int]) -> bool:
        if self._debt > DEBT:
            return False
        freed = self._calm >= CALM
        if not freed and len(allowed) == 1:
            return False
        return freed or self._drifted() or (self._debt == 0 and self._since >= PACE)

    def _drifted(self) -> bool:
        if len(self._recent) < KEPT or not self._reference:
            if len(self._recent) == KEPT:
                self._reference = median(self._recent)
            return False
        ratio = median(self._recent) / self._reference
        return ratio > DRIFT or ratio < 1 / DRIFT

    def _begin(self, allowed: list[int]) -> None:
        self._tried = set(allowed)
        self._calm, self._since = 0, 0
        self._recent.clear()
        self._reference = 0.0
        if len(allowed) == 1:
            self.chosen = self.threads = allowed[0]
            self._search = None
            return
        self._search = _Search(allowed, self.chosen)
        self._proceed()

    def _proceed(self) -> None:
        """Go on with the search, or end it."""
        search = self._search
        if search is None:
            return
        if (following := search.next()) is not None:
            self.threads = following
            return
        before, self._search = self.chosen, None
        self.chosen = self.threads = search.result(before)
        self._tried &= set(search.allowed)
        self._reference = search.cost_of(self.chosen) or 0.0
        if search.cost_of(before) > self._reference * HOPELESS:
            self._debt = 0.0  # it pays for itself
        else:
            self._debt += search.extra()


class _Search:
    """Measures several numbers of threads in turn.

    Args:
        allowed: The numbers.
        first: The one in use.
    """

    def __init__(self, allowed: list[int], first: int) -> None:
        self.allowed = allowed
        self._waiting = sorted(allowed, key=lambda n: (n != first, abs(n - first), n))
        """Numbers that have not been measured, the nearest first."""
        self._measured: dict[int, list[float]] = {}
        self._compared: set[int] = set()
        """Numbers that have been measured and not dropped."""
        self._warm: dict[int, float] = {}
        self._spent: list[float] = []

    def next(self) -> int | None:
        """Return the number to measure next; None at the end."""
        if len(self.allowed) == 1:
            return None
        if self._waiting:
            return self._waiting[0]
        if len(self._compared) < 2:
            return None
        found = [n for n in self._compared if len(self._measured[n]) < ROUNDS]
        return min(found, key=lambda n: (len(self._measured[n]), n), default=None)

    def observe(self, threads: int, cost: float | None, allowed: list[int]) -> None:
        """Note a batch; drop numbers that have become impossible or turn out to be hopeless."""
        if set(allowed) < set(self.allowed):
            self.allowed = [n for n in self.allowed if n in allowed]
            self._waiting = [n for n in self._waiting if n in allowed]
            self._compared &= set(allowed)
        if cost is None or threads not in self.allowed:
            return
        self._spent.append(cost)
        best = self._best()
        if threads not in self._warm:  # the first batch with a number compiles kernels for it
            self._warm[threads] = cost
            if best is None or cost <= DISASTER * best:
                return
        self._measured.setdefault(threads, []).append(cost)
        self._compared.add(threads)
        self._waiting = [n for n in self._waiting if n != threads]
        self._drop_hopeless()

    def _best(self) -> float | None:
        return min((self.cost_of(n) for n in self._compared), default=None)

    def _drop_hopeless(self) -> None:
        """Drop numbers that are much slower than the best, and those behind them that have not been tried."""
        best = min(self._compared, key=self.cost_of)
        limit = HOPELESS * self.cost_of(best)
        for n in [n for n in self._compared if min(self.cost_of(n), self._warm[n]) > limit]:
            self._waiting = [w for w in self._waiting if not (w < n < best or w > n > best)]
            self._compared.discard(n)

    def result(self, before: int) -> int:
        """Return the best number: the fewest threads that are not slower than others by more than a tie."""
        if (best := self._best()) is None:
            return before if before in self.allowed else self.allowed[-1]
        return min(n for n in self._compared if self.cost_of(n) <= TIE * best)

    def cost_of(self, threads: int) -> float:
        """Return what a batch costs with a number; 0 if it was not measured."""
        return median(self._measured.get(threads, (0.0,)))

    def extra(self) -> float:
        """Return what the search has cost, in batches of the best number."""
        best = self._best()
        return sum(max(0.0, cost / best - 1) for cost in self._spent) if best else 0.0
