"""The dataset of a run: read, checked, and told to the engine by a YAML in the run's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ultralytics.utils import LOGGER

from trainer_host.base.data import nearby
from trainer_host.base.display import escaped
from trainer_host.base.findings import SHOWN, grouped
from trainer_host.data.checking import examine, normalised, settle

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host.base.contexts import DataContext
    from trainer_host.data.description import Description
    from trainer_host.engine.plan import Plan


def read_and_check(plan: Plan, ctx: DataContext, folder: Path, used: Collection[str]) -> Description:
    """Read a dataset, have every plugin check it, and show what they warn of.

    Args:
        plan: The plugins, and what becomes of images that cannot be used.
        ctx: What is to be read.
        folder: Where the normalised YAML goes, which is all that the engine is told of the dataset.
        used: The splits that are used; errors in the others are warnings.

    Raises:
        DatasetError: If it cannot be read, or if a check finds an error.
    """
    data = examine(plan.chain, replace(ctx, images=plan.images))
    settle(data, plan.bad, used)
    for problem in grouped(data.findings):
        LOGGER.warning(str(problem))
    for name, images in data.left_out.items():
        shown = ", ".join(nearby(Path(f)) for f in images[:SHOWN])
        more = f" and {len(images) - SHOWN} more, all named in run.yaml" if len(images) > SHOWN else ""
        count = f"{len(images)} {name} image{'s are' if len(images) > 1 else ' is'}"
        LOGGER.warning(escaped(f"{count} left out (--bad={plan.bad.text}): {shown}{more}"))
    if data.splits:  # what a task reads by itself, it may read again from where it was
        data["yaml_file"] = str(normalised(data, folder, replace(ctx, images=plan.images)))
    return data
