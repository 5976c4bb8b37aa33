"""The devices of the processes of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.ranks import devices_of

if TYPE_CHECKING:
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
    if wrong := next((name for name in named if not name.isdecimal()), None):
        what = f"device={_shown(device)}: processes train on GPUs of CUDA or on the CPU, not on {wrong!r}."
        raise SettingsError(Problem(what, "write device=0,1 for the first two GPUs, or device=cpu"))
    if named and not found:
        raise SettingsError(Problem(f"device={_shown(device)}: CUDA finds no GPU.", "remove it, or write device=cpu"))
    chosen = named or tuple(map(str, range(min(processes, found))))
    if len(set(chosen)) != processes:
        has = f"device={_shown(device)} names" if named else "this machine has"
        what = f"{has} {len(set(chosen))} GPU{'s' if len(set(chosen)) > 1 else ''} for {processes} processes."
        raise SettingsError(Problem(what, "name a GPU for each process (device=0,1), or write device=cpu"))
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
    if found == 1:
        return "cuda:0"  # a scheduler shows each process its own
    names = named or tuple(map(str, range(found)))
    if ranks.local_rank >= len(names) or not names[ranks.local_rank].isdecimal():
        what = f"device={_shown(device)}: no GPU for process {ranks.local_rank} of this machine ({found} found)."
        raise SettingsError(Problem(what, "name a GPU for each process (device=0,1), or write device=cpu"))
    return f"cuda:{names[ranks.local_rank]}"


def _shown(device: Any) -> str:
    return ",".join(devices_of(device)) if isinstance(device, (list, tuple)) else str(device)
