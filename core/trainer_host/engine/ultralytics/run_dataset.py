"""The dataset of a run: read, checked, and passed to the engine as a YAML in the run's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ultralytics.utils import LOGGER

from trainer_host.base.atomic_io import display_path
from trainer_host.base.display import escaped
from trainer_host.base.errors import SettingsError, unknown
from trainer_host.base.findings import SHOWN, grouped
from trainer_host.base.wording import counted
from trainer_host.data.check_runner import apply_tolerance, read_and_check, write_normalised
from trainer_host.data.subset_settings import check_selection, share_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from trainer_host.base.contexts import DataContext
    from trainer_host.data.description import Description
    from trainer_host.engine.protocol import LiveRun


def prepare_dataset(run: LiveRun, ctx: DataContext, folder: Path, used: AbstractSet[str]) -> Description:
    """Read a dataset, have every plugin check it, and show what they warn of.

    Args:
        run: The plugins, and how to handle images that cannot be used.
        ctx: What is to be read.
        folder: The folder of the normalised YAML, from which the engine knows the dataset.
        used: The splits that are used; errors in the others are warnings.

    Raises:
        DatasetError: If it cannot be read, or if a check finds an error.
        SettingsError: If there is no such split, or if settings leave nothing of it to train on.
    """
    ctx = replace(ctx, images=run.options.images)
    data = apply_tolerance(read_and_check(run.chain, ctx), run.options.bad, used)
    if absent := [name for name in used if data.splits and name not in data.splits]:
        raise SettingsError(unknown("split", absent[0], data.splits))
    data = data.with_findings(check_selection(data, ctx.args, used))
    for name in sorted(used & data.splits.keys()):
        share, total = share_of(ctx.args.fraction, name), len(data.splits[name])
        if not round(total * share):
            LOGGER.warning(f"fraction={share} of {total} {name} images is less than one image: using one.")
    for problem in grouped(data.findings):
        LOGGER.warning(str(problem))
    for name, images in data.skipped.items():
        shown = ", ".join(display_path(Path(f)) for f in images[:SHOWN])
        more = f" and {len(images) - SHOWN} more, all named in run.yaml" if len(images) > SHOWN else ""
        count = counted(len(images), f"{name} image")
        LOGGER.warning(escaped(f"{count} skipped (--bad={run.options.bad.text}): {shown}{more}"))
    if data.splits:  # what a task reads by itself, it may read again from where it was
        data = write_normalised(data, folder, ctx)
    return data
