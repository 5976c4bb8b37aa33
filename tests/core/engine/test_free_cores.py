"""Cores that other programs leave, by the times of the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trainer_host.base.machine import processors
from trainer_host.engine import free_cores
from trainer_host.engine.free_cores import FreeCores, Times, times_of_machine, usable_cores


def watched(*times: Times) -> FreeCores:
    following: Iterator[Times] = iter(times)
    return FreeCores(lambda: next(following))


def test_what_others_compute_is_not_free() -> None:
    start = Times(wall=0.0, own=0.0, busy=10.0, cores=4)
    assert watched(start, Times(2.0, 2.0, 12.0, 4)).read() == pytest.approx(4.0)  # this process alone
    assert watched(start, Times(2.0, 2.0, 15.0, 4)).read() == pytest.approx(2.5)


def test_a_reading_holds_until_enough_time_has_passed() -> None:
    start = Times(0.0, 0.0, 0.0, 2)
    watch = watched(
        start, Times(0.1, 0.1, 0.1, 2), Times(1.0, 1.0, 1.0, 2), Times(1.5, 1.5, 2.0, 2), Times(2.5, 2.5, 4.0, 2)
    )
    assert [watch.read() for _ in range(4)] == [None, pytest.approx(2.0), pytest.approx(2.0), pytest.approx(1.0)]


def test_times_that_lack_this_process_say_nothing() -> None:
    """As in a sandbox that has no times of the machine, or those of another one."""
    assert watched(Times(0.0, 0.0, 0.0, 2), Times(2.0, 2.0, 0.0, 2)).read() is None


def test_the_times_of_this_machine_grow() -> None:
    first, second = times_of_machine(), times_of_machine()
    assert second.wall >= first.wall and second.own >= first.own and second.busy >= first.busy
    assert first.cores == (processors()["affinity"] or first.cores)


@pytest.mark.parametrize(
    ("found", "cores"),
    [
        ({"count": 8, "affinity": 4, "cgroup_limit": None}, 4),
        ({"count": 8, "affinity": None, "cgroup_limit": 2.5}, 3),
        ({"count": 8, "affinity": 8, "cgroup_limit": 0.5}, 1),
        ({"count": None, "affinity": None, "cgroup_limit": None}, 1),
    ],
)
def test_cores_are_limited_by_affinity_and_containers(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, float | None], cores: int
) -> None:
    monkeypatch.setattr(free_cores, "processors", lambda: found)
    assert usable_cores() == cores
