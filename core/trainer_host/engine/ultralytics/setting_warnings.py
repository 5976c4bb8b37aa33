"""Warnings for settings of a training whose effect is easily missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_host.base.protocols import TrainingArgs


def setting_warnings(args: TrainingArgs) -> list[str]:
    """Return a warning for each combination of settings that does less than it seems.

    Args:
        args: The engine's settings of the training.
    """
    several = args.epochs > 1 or bool(args.time)
    found = []
    if not args.val and several:
        also = " and patience has no effect" if args.patience else ""
        found.append(f"val=False evaluates the last epoch only, so best.pt is the last epoch{also}.")
    if not args.save and several:
        found.append(
            "save=False writes checkpoints after the last epoch only; a training that ends earlier writes none."
        )
    return found
