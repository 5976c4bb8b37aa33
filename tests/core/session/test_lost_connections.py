"""Errors that say another process of the run is gone, and those that resemble them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import distributed

from trainer_host import MemoryExhaustedError, RankError
from trainer_host.base.ranks import Ranks
from trainer_host.session.ranks import peers_watched

CLOSED = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:4711"


def raised(error: Exception, module: str, world_size: int = 2) -> None:
    """Raise an error in a function of a module, in a process of a run."""
    names: dict[str, Any] = {"__name__": module, "error": error}
    exec("def fail():\n    raise error", names)
    with peers_watched(Ranks(1, world_size)):
        names["fail"]()


@pytest.mark.parametrize(
    ("error", "module"),
    [
        (RuntimeError(CLOSED), "torch.distributed.distributed_c10d"),
        (distributed.DistNetworkError("The client socket has timed out."), "trainer_host.engine.process_group"),
        (distributed.DistBackendError("NCCL communicator was aborted."), "trainer_host.engine.process_group"),
    ],
)
def test_a_lost_process_is_named(error: Exception, module: str) -> None:
    with pytest.raises(RankError, match="the connection to another process of the run was lost"):
        raised(error, module)
    with pytest.raises(type(error)):  # a run of one process has none to lose
        raised(error, module, world_size=1)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), MemoryError()]
)
def test_memory_that_ran_out_is_no_lost_process(error: Exception) -> None:
    with pytest.raises(MemoryExhaustedError):
        raised(error, "torch.nn.modules.module")


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError("[Errno 111] Connection refused"), RuntimeError("gloo: broken pipe")]
)
def test_a_connection_of_a_plugin_is_its_own(error: Exception) -> None:
    with pytest.raises(type(error)):
        raised(error, "trainer_tracker.client")
