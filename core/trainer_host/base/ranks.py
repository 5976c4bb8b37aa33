"""The place of a process among those that carry out one run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run.

    Attributes:
        rank: Its number, counted from 0 over all machines.
        world_size: The number of processes.
        local_rank: Its number among those of this machine.
        local_world_size: The number of processes of this machine.
        restart: How often the processes were started again.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restart: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it is the process that writes."""
        return self.rank == 0
