"""How many threads a training uses, on simulated machines."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from trainer_host.engine.thread_policy import HOPELESS, TIE, ThreadPolicy, candidates

DISASTER = 15.0
"""How much a batch costs if threads wait for each other."""


@dataclass
class Machine:
    """A machine that trains.

    Attributes:
        cores: Its cores.
        serial: The part of a batch that takes one thread.
        busy: Cores that other programs use.
        noise: By how much a batch may take longer.
        known: Whether the load can be read.
        taken: What each batch has cost, and what it would have cost with the best number.
    """

    cores: int = 2
    serial: float = 0.3
    busy: int = 0
    noise: float = 0.0
    known: bool = True
    seed: int = 0
    taken: list[tuple[float, float]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = candidates(self.cores, max(1, self.cores - 1))
        self._random = random.Random(self.seed)
        self.policy = ThreadPolicy(self.numbers, max(1, self.cores - 1), self.free)

    @property
    def free(self) -> float | None:
        return self.cores - self.busy if self.known else None

    def cost(self, threads: int) -> float:
        """Return what a batch costs without noise."""
        alone = self.serial + (1 - self.serial) / threads
        return alone * (DISASTER if threads > 1 and threads > self.cores - self.busy else 1.0)

    def best(self) -> float:
        return min(map(self.cost, self.numbers))

    def train(self, batches: int) -> None:
        for _ in range(batches):
            cost = self.cost(self.policy.threads) * (1 + self.noise * self._random.random())
            self.taken.append((cost, self.best()))
            self.used.append(self.policy.threads)
            self.policy.observe(cost, self.free)

    def loss(self, since: int = 0) -> float:
        """Return how much longer the batches took than with the best number, from one of them on."""
        taken = self.taken[since:]
        return sum(cost for cost, _ in taken) / sum(best for _, best in taken) - 1


MACHINES = st.builds(
    Machine,
    cores=st.sampled_from([1, 2, 3, 4, 8, 16, 64]),
    serial=st.floats(0.02, 1.0),
    busy=st.integers(0, 3),
    noise=st.sampled_from([0.0, 0.05]),
    known=st.booleans(),
    seed=st.integers(0, 99),
)
AN_EPOCH = 45


def test_numbers_to_choose_from() -> None:
    assert candidates(1, 1) == [1]
    assert candidates(2, 1) == [1, 2]
    assert candidates(6, 5) == [1, 2, 4, 5, 6]
    assert candidates(16, 8) == [1, 2, 4, 8, 16]
    assert candidates(2, 7) == [1, 2]  # a container with fewer cores than the machine


def test_a_quiet_machine() -> None:
    machine = Machine()
    machine.train(20)
    assert machine.policy.chosen == 2
    assert machine.used == [1, 1] + [2] * 18  # the first batch with a number does not count


def test_numbers_that_are_close_are_measured_in_turn() -> None:
    machine = Machine(serial=0.6)
    machine.train(20)
    assert machine.used == [1, 1, 2, 2, 1, 2, 1, 2] + [2] * 12


def test_a_number_without_free_cores_is_not_tried() -> None:
    machine = Machine(busy=1)
    machine.train(300)
    assert set(machine.used) == {1}
    assert machine.loss() == 0


def test_an_unknown_load_costs_one_batch_with_each_number() -> None:
    machine = Machine(busy=1, known=False)
    machine.train(AN_EPOCH)
    assert machine.used.count(2) == 1
    assert machine.policy.chosen == 1


def test_a_machine_that_becomes_busy_is_noticed_with_the_next_batch() -> None:
    machine = Machine()
    machine.train(30)
    machine.busy = 1
    machine.train(20)
    assert machine.used[30:] == [2] + [1] * 19


def test_and_within_a_few_batches_if_the_load_is_unknown() -> None:
    machine = Machine(known=False)
    machine.train(30)
    machine.busy = 1
    machine.train(20)
    assert machine.policy.chosen == 1
    assert machine.used[30:].count(2) < 7


def test_a_machine_that_becomes_quiet() -> None:
    machine = Machine(busy=1)
    machine.train(100)
    machine.busy = 0
    machine.train(AN_EPOCH)
    assert machine.policy.chosen == 2
    assert set(machine.used[115:]) == {2}


def test_a_load_that_is_unknown_is_looked_at_again_at_a_slow_pace() -> None:
    machine = Machine(busy=1, known=False)
    machine.train(100)
    machine.busy = 0
    machine.train(2000)
    assert machine.policy.chosen == 2


def test_ties_go_to_fewer_threads() -> None:
    machine = Machine(cores=8, serial=1.0, noise=0.02)
    machine.train(AN_EPOCH)
    assert machine.policy.chosen == 1


def test_a_single_slow_batch_changes_nothing() -> None:
    policy = ThreadPolicy([1, 2], 1, 2)
    for number in range(100):
        policy.observe(5.0 if number == 30 else 1 / policy.threads, 2)
        assert number < 20 or number >= 50 or policy.threads == 2


def test_batches_that_cannot_be_compared_decide_nothing() -> None:
    policy = ThreadPolicy([1, 2], 1, 2)
    for _ in range(50):
        policy.observe(None, 2)
    assert policy.searching
    assert policy.chosen == 1


def test_a_search_whose_cores_are_taken_ends() -> None:
    policy = ThreadPolicy([1, 2, 4], 4, 4)
    policy.observe(1.0, 4)
    policy.observe(1.0, 1)
    assert not policy.searching
    assert policy.threads == policy.chosen == 1


def test_a_resumed_training_begins_with_its_number() -> None:
    assert ThreadPolicy([1, 2, 4], 2).threads == 2
    assert ThreadPolicy([1, 2, 4], 2, free=4).threads == 2
    assert ThreadPolicy([1, 2, 4], 4, free=1.9).threads == 2  # there are no cores for more
    assert ThreadPolicy([1, 2], 8).threads == 2


@given(MACHINES)
def test_within_an_epoch_the_number_is_nearly_the_best(machine: Machine) -> None:
    machine.train(AN_EPOCH)
    assert machine.cost(machine.policy.chosen) <= machine.best() * TIE * (1 + machine.noise) + 1e-9


@given(MACHINES, st.integers(0, 3), st.integers(1, 100))
def test_also_after_the_machine_has_changed(machine: Machine, busy: int, batches: int) -> None:
    machine.known = True
    machine.train(batches)
    machine.busy = busy
    machine.train(2 * AN_EPOCH)
    assert machine.cost(machine.policy.chosen) <= machine.best() * HOPELESS


@given(MACHINES)
def test_looking_again_costs_little(machine: Machine) -> None:
    machine.train(AN_EPOCH)
    before = len(machine.taken)
    machine.train(3000)
    steady = machine.cost(machine.policy.chosen) / machine.best() - 1
    assert machine.loss(before) < steady + machine.noise + 0.02
