"""The devices of the processes of a run."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, RankError, SettingsError
from trainer_host.base.ranks import devices_of
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from datetime import timedelta

    from trainer_host.base.ranks import Ranks


def devices_to_launch(device: Any, processes: int) -> tuple[str, ...]:
    """Return the device of each process to start on this machine, as the setting ``device`` names it.

    Args:
        device: The setting.
        processes: Processes.

    Raises:
        SettingsError: If there are not enough devices, or too many.
    """
    import torch

    named, found = devices_of(device), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if named == ("cpu",) or (not named and not found):
        return ("cpu",) * processes
    named = () if found and named == ("cuda",) else named  # as many as there are
    if wrong := next((name for name in named if not name.isdecimal() and (found or name != "cuda")), None):
        what = f"device={_shown(device)}: processes train on GPUs of CUDA or on the CPU, not on {wrong!r}."
        raise SettingsError(Problem(what, "write device=0,1 for the first two GPUs, or device=cpu"))
    if named and not found:
        raise SettingsError(Problem(f"device={_shown(device)}: CUDA finds no GPU.", "remove it, or write device=cpu"))
    chosen = named or tuple(map(str, range(min(processes, found))))
    if len(set(chosen)) != processes:
        has = f"device={_shown(device)} names" if named else "this machine has"
        count = len(set(chosen))
        what = f"{has} {counted(count, 'GPU')} for {counted(processes, 'process', 'processes')}."
        other = ",".join(map(str, range(processes))) if named and processes <= found else "cpu"
        raise SettingsError(Problem(what, f"write --processes {count}, or device={other}"))
    if absent := [name for name in chosen if int(name) >= found]:
        what = f"device={_shown(device)}: this machine has {found} GPU{'s' if found > 1 else ''}, from 0 on."
        raise SettingsError(Problem(what, f"name other GPUs than {', '.join(absent)}"))
    return chosen


def device_of_rank(device: Any, ranks: Ranks) -> str:
    """Return the device of a process, as torch names it: ``cpu`` or ``cuda:1``.

    Args:
        device: The setting ``device``: the GPUs of this machine, one for each process; by default all of them in order.
        ranks: The place of the process.

    Raises:
        SettingsError: If there is no device for it.
    """
    import torch

    named, found = devices_of(device), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if named == ("cpu",) or (not named and not found):
        return "cpu"
    named = () if named == ("cuda",) else named
    if found == 1:
        return "cuda:0"  # a scheduler shows each process its own
    names = named or tuple(map(str, range(found)))
    if ranks.local_rank >= len(names) or not names[ranks.local_rank].isdecimal():
        what = f"device={_shown(device)}: no GPU for process {ranks.local_rank} of this machine ({found} found)."
        raise SettingsError(Problem(what, "name a GPU for each process (device=0,1), or write device=cpu"))
    return f"cuda:{names[ranks.local_rank]}"


def meet(store: Any, ranks: Ranks, device: str, timeout: timedelta) -> None:
    """Wait until all processes have started, and refuse two that compute on one GPU.

    Args:
        store: What they share.
        ranks: The place of this process.
        device: Its device, as torch names it.
        timeout: How long to wait.

    Raises:
        RankError: If one does not come.
        SettingsError: If two have the same GPU.
    """
    store.set(f"place-{ranks.rank}", place_of(device))
    names = [f"place-{rank}" for rank in range(ranks.world_size)]
    try:
        store.wait(names, timeout)
    except RuntimeError as error:  # also if the first process, which may keep the store, is gone
        what = f"not all {ranks.world_size} processes of the run have started ({str(error).splitlines()[0]})."
        raise RankError(Problem(what, "start them all, with the same MASTER_ADDR and MASTER_PORT")) from error
    places = [store.get(name).decode() for name in names]
    for rank, place in enumerate(places):
        if place and (first := places.index(place)) < rank:
            what = f"rank {first} and rank {rank} use the same GPU ({place})."
            raise SettingsError(Problem(what, "start fewer processes, or show each a GPU of its own"))


def place_of(device: str) -> str:
    """Return what tells a GPU from all others, on other machines too; an empty text for the CPU."""
    if not device.startswith("cuda"):
        return ""
    import torch

    return f"{platform.node()} {torch.cuda.get_device_properties(device).uuid}"


def _shown(device: Any) -> str:
    return ",".join(devices_of(device)) if isinstance(device, (list, tuple)) else str(device)
