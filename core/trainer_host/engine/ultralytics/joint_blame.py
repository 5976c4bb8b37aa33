"""Which of several processes caused a value that is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.engine.ultralytics.joint_batch import JointBatch


def blame(
    batch: JointBatch, what: str, files: list[str], keep: Callable[[], Path | None]
) -> tuple[list[str], Path | None]:
    """Return the images of the processes that caused a value that is not finite, and the file with a batch.

    Args:
        batch: The batch that has it.
        what: The value; the loss that is shown is the sum of all, and of gradients only that sum is known.
        files: The images of this process.
        keep: Writes its batch.
    """
    # A count that is not finite spoils the losses of all, so that it is looked at first.
    counts = not all(bool(numbers.isfinite().all()) for numbers in batch.totals.own)
    own = what == "loss" and not bool(torch.as_tensor(batch.own_loss).isfinite())
    found = batch.group.gather({"counts": counts, "loss": own, "files": files})
    known = next((name for name in ("counts", "loss") if any(each[name] for each in found)), None)
    to_blame = [known is None or each[known] for each in found]
    first = to_blame.index(True)
    kept = keep() if first == batch.group.ranks.rank else None
    path = batch.group.gather(str(kept) if kept is not None else None)[first]
    images = [file for each, cause in zip(found, to_blame, strict=True) if cause for file in each["files"]]
    return images, Path(path) if path is not None else None
