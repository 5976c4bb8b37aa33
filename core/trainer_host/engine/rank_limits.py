"""What a run of several processes cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def require_possible(settings: Mapping[str, Any], processes: int, exact: bool, on_cpu: bool) -> None:
    """Refuse what several processes cannot do, or would do differently from one.

    Args:
        settings: The engine's settings, as they will be.
        processes: Processes of the run.
        exact: Whether the stock trainers' results are asked for.
        on_cpu: Whether the processes compute on a CPU.

    Raises:
        SettingsError: If there is something; it names everything.
    """
    problems, batch = [], settings.get("batch", processes)
    if exact:
        why = "the stock engine's arithmetic of several processes is not offered"
        if on_cpu:
            why = "there is nothing to compare with on a CPU, where the stock engine trains in one"
        what = f"--exact with {processes} processes: {why}."
        problems.append(Problem(what, "remove --exact, or train in one process"))
    if batch < 1:
        what = f"batch={batch} with {processes} processes: a batch size is not searched for."
        problems.append(Problem(what, "write the images of all processes together, such as batch=16"))
    elif batch < processes:
        what = f"batch={batch} with {processes} processes: some would have no image of any batch."
        problems.append(Problem(what, f"write batch={processes} or more, or --processes {batch}"))
    for name in ("save_txt", "visualize"):
        if settings.get(name):
            what = f"{name}=True with {processes} processes: each evaluates a part of the images, the first one writes."
            problems.append(Problem(what, f"remove it, and run trainer val with {name}=True afterwards"))
    if problems:
        raise SettingsError(*problems)
