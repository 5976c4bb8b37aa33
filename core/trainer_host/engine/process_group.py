"""The processes of a run as a group: what they wait for, agree on, and add up.

Values travel as plain data and tensors in the form of state files: nothing is unpickled.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from trainer_host.base.ranks import Ranks
from trainer_host.engine.rank_devices import meet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.base.type_aliases import Tensor

TIMEOUT = timedelta(hours=6)
"""How long a process waits for the others on the CPU: the first one may read a large dataset meanwhile."""
DEVICE_TIMEOUT = timedelta(minutes=30)
"""How long sums on GPUs wait for those of the other processes, which train then: after it torch ends the process."""

JOIN_TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others to start."""
_stores: list[Any] = []
"""Stores of all runs of this process: with the first one, its server would go, which those that follow connect to."""


class ProcessGroup(Protocol):
    """The processes of a run. Every method but `ranks` has to be called by all of them, in the same order.

    Attributes:
        ranks: The place of this process.
    """

    ranks: Ranks

    def barrier(self) -> None:
        """Wait until all have come here."""
        ...

    def broadcast(self, value: Any) -> Any:
        """Return the value of rank 0: plain data and tensors."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all, by rank: plain data and tensors, on the CPU."""
        ...

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any of them."""
        ...

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """Return for each of a few flags whether it is set in any of them, in one exchange."""
        ...

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor in place, with the same bits everywhere, and return it."""
        ...

    def spread(self, tensor: Tensor) -> Tensor:
        """Give a tensor the values that it has on rank 0, in place, and return it."""
        ...


class SingleProcess:
    """A process on its own."""

    def __init__(self) -> None:
        self.ranks = Ranks()

    def barrier(self) -> None:
        """Wait for nobody."""

    def broadcast(self, value: Any) -> Any:
        """Return the value."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return a list of the value."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Return the flag."""
        return flag

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """Return the flags."""
        return list(flags)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the tensor."""
        return tensor

    def spread(self, tensor: Tensor) -> Tensor:
        """Return the tensor."""
        return tensor


class JoinedProcesses:
    """Processes that have joined.

    Args:
        ranks: The place of this process.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def barrier(self) -> None:
        """Wait until all have come here."""
        self.any(False)  # on the CPU: a barrier of NCCL needs the device

    def broadcast(self, value: Any) -> Any:
        """Return the value of rank 0: plain data and tensors."""
        import torch
        from torch import distributed

        data = _bytes(value) if self.ranks.is_first else b""
        size = torch.tensor([len(data)])
        distributed.broadcast(size, 0)
        buffer = _as_tensor(data) if self.ranks.is_first else torch.empty(int(size), dtype=torch.uint8)
        distributed.broadcast(buffer, 0)
        return value if self.ranks.is_first else _value(buffer)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all, by rank: plain data and tensors, on the CPU."""
        import torch
        from torch import distributed

        data, count = _as_tensor(_bytes(value)), self.ranks.world_size
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(count)]
        distributed.all_gather(sizes, torch.tensor([len(data)]))
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(data)] = data
        buffers = [torch.empty(longest, dtype=torch.uint8) for _ in range(count)]
        distributed.all_gather(buffers, padded)
        return [_value(buffer[: int(size)]) for buffer, size in zip(buffers, sizes, strict=True)]

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any of them."""
        return self.any_of([flag])[0]

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """Return for each of a few flags whether it is set in any of them, in one exchange."""
        import torch

        return [bool(count) for count in self.sum(torch.tensor([int(flag) for flag in flags])).tolist()]

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor in place, with the same bits everywhere, and return it."""
        from torch import distributed

        distributed.all_reduce(tensor)
        return tensor

    def spread(self, tensor: Tensor) -> Tensor:
        """Give a tensor the values that it has on rank 0, in place, and return it."""
        from torch import distributed

        distributed.broadcast(tensor, 0)
        return tensor


@contextmanager
def join(ranks: Ranks, device: str = "cpu", timeout: timedelta = TIMEOUT) -> Iterator[ProcessGroup]:
    """Join the other processes of a run, whose first one is at ``MASTER_ADDR`` and ``MASTER_PORT``; leave at the end.

    Args:
        ranks: The place of this process.
        device: The kind of device that computes: ``cuda`` for NCCL, with which each process has a GPU of its own, or
            ``cpu`` for gloo, with which they may share one.
        timeout: How long to wait for the others later, on the CPU.
    """
    if ranks.world_size == 1:
        yield SingleProcess()
        return
    # Its functions take the group that exists when it is imported as their default, and so would keep this one: its
    # threads would live on until the interpreter ends, which aborts then now and again.
    import torch.distributed.nn.functional  # noqa: F401
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    # On a GPU too, flags and plain data are exchanged on the CPU, which does not wait for the device.
    on_devices = device.startswith("cuda")
    backend = "cpu:gloo,cuda:nccl" if on_devices else "gloo"
    store, _, _ = next(rendezvous("env://", ranks.rank, ranks.world_size, timeout=JOIN_TIMEOUT))
    _stores.append(store)
    # A restarted process, or another run in this one, would otherwise read the addresses of those before it.
    store = distributed.PrefixStore(f"restart-{ranks.restart}-{len(_stores)}", store)  # type: ignore[attr-defined]
    meet(store, ranks, device, JOIN_TIMEOUT)
    distributed.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=timeout)
    if on_devices:
        _limit_wait_on_devices()
    try:
        yield JoinedProcesses(ranks)
    except BaseException:
        if not on_devices:
            distributed.destroy_process_group()
        raise  # NCCL would wait for sums that the others never take part in; they end with the process
    distributed.destroy_process_group()


def _limit_wait_on_devices() -> None:
    import torch
    from torch import distributed

    world: Any = distributed.group.WORLD
    world._get_backend(torch.device("cuda"))._set_default_timeout(DEVICE_TIMEOUT)


def _bytes(value: Any) -> bytes:
    import torch

    from trainer_host.engine.packed_state import packed

    data = io.BytesIO()
    torch.save(packed(value, "value"), data)
    return data.getvalue()


def _as_tensor(data: bytes) -> Tensor:
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _value(buffer: Tensor) -> Any:
    import torch

    from trainer_host.engine.packed_state import unpacked

    return unpacked(torch.load(io.BytesIO(buffer.numpy().tobytes()), map_location="cpu", weights_only=True))
