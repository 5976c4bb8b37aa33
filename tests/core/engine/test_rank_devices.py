"""Devices of the processes of a run, on machines with and without GPUs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from trainer_host import RankError, SettingsError
from trainer_host.base.ranks import Ranks
from trainer_host.engine import rank_devices
from trainer_host.engine.rank_devices import device_of_rank, devices_to_launch, meet


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that gives the machine a number of GPUs."""

    def give(count: int) -> None:
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return give


@pytest.mark.parametrize(
    ("device", "processes", "found", "expected"),
    [
        (None, 2, 0, ("cpu", "cpu")),
        ("cpu", 2, 4, ("cpu", "cpu")),
        ("0,1", 2, 4, ("0", "1")),
        ([1, 3], 2, 4, ("1", "3")),
        (None, 3, 4, ("0", "1", "2")),
        ("cuda", 3, 4, ("0", "1", "2")),
    ],
)
def test_one_device_for_each_process(
    gpus: Callable[[int], None], device: Any, processes: int, found: int, expected: tuple[str, ...]
) -> None:
    gpus(found)
    assert devices_to_launch(device, processes) == expected


@pytest.mark.parametrize(
    ("device", "processes", "found", "said"),
    [
        ("0,1", 2, 0, "device=0,1: CUDA finds no GPU. Fix: remove it, or write device=cpu"),
        ("cuda", 2, 0, "device=cuda: CUDA finds no GPU."),
        ("0,1", 3, 4, "device=0,1 names 2 GPUs for 3 processes. Fix: write --processes 2, or device=0,1,2"),
        ("0,1", 1, 4, "device=0,1 names 2 GPUs for 1 process. Fix: write --processes 2, or device=0"),
        ("0", 2, 4, "device=0 names 1 GPU for 2 processes. Fix: write --processes 1, or device=0,1"),
        ("0", 2, 1, "device=0 names 1 GPU for 2 processes. Fix: write --processes 1, or device=cpu"),
        ("0,0", 2, 4, "device=0,0 names 1 GPU for 2 processes."),
        ("0,4", 2, 4, "this machine has 4 GPUs, from 0 on. Fix: name other GPUs than 4"),
        (None, 5, 4, "this machine has 4 GPUs for 5 processes. Fix: write --processes 4, or device=cpu"),
        ("mps", 2, 0, "processes train on GPUs of CUDA or on the CPU, not on 'mps'."),
        ("0,cpu", 2, 4, "not on 'cpu'."),
    ],
)
def test_devices_that_do_not_fit(
    gpus: Callable[[int], None], device: Any, processes: int, found: int, said: str
) -> None:
    gpus(found)
    with pytest.raises(SettingsError) as caught:
        devices_to_launch(device, processes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("device", "local", "found", "expected"),
    [
        (None, 1, 0, "cpu"),
        ("cpu", 1, 4, "cpu"),
        ("0,3", 1, 4, "cuda:3"),
        (None, 2, 4, "cuda:2"),
        ("cuda", 2, 4, "cuda:2"),
        (None, 2, 1, "cuda:0"),
        ("0", 2, 1, "cuda:0"),
        ("0,1,2,3", 2, 1, "cuda:0"),
    ],
)
def test_device_of_a_rank(gpus: Callable[[int], None], device: Any, local: int, found: int, expected: str) -> None:
    gpus(found)
    assert device_of_rank(device, Ranks(local, 4, local, 4)) == expected


def test_a_rank_without_a_device(gpus: Callable[[int], None]) -> None:
    gpus(2)
    with pytest.raises(SettingsError, match="no GPU for process 2 of this machine"):
        device_of_rank(None, Ranks(2, 3, 2, 3))


def test_two_ranks_on_one_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed import HashStore

    monkeypatch.setattr(rank_devices, "place_of", lambda device: "node-1 GPU-4711")
    for other, refused in (("node-1 GPU-4711", True), ("node-2 GPU-4711", False)):
        store = HashStore()
        store.set("place-0", other)
        with pytest.raises(SettingsError, match="rank 0 and rank 1 use the same GPU") if refused else nullcontext():
            meet(store, Ranks(1, 2), "cuda:0", timedelta(seconds=5))


def test_processes_that_do_not_come_are_not_waited_for_long() -> None:
    from torch.distributed import HashStore

    with pytest.raises(RankError, match="not all 2 processes of the run have started"):
        meet(HashStore(), Ranks(1, 2), "cpu", timedelta(milliseconds=10))
