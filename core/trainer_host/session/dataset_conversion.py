"""A dataset of any format, written as a YOLO one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem
from trainer_host.base.findings import DatasetError
from trainer_host.base.wording import counted
from trainer_host.data.check_runner import apply_tolerance, read_and_check
from trainer_host.data.holdout import hold_out
from trainer_host.data.yolo_writer import Written, write_yolo
from trainer_host.engine.error_translation import blamed
from trainer_host.session.dataset_check import prepare
from trainer_host.session.working_engine import engine_of_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainer_host.base.findings import Finding
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.plugin.registry import Registry


@dataclass(frozen=True)
class ConvertResult:
    """The result of a conversion.

    Attributes:
        written: The new dataset.
        skipped: For each split the images that were skipped because they cannot be used.
        findings: Findings of the check of the dataset that was read.
    """

    written: Written
    skipped: Mapping[str, list[str]]
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        written = self.written
        return {
            "data": str(written.file),
            "images": written.images,
            "rows": written.rows,
            "crowds_skipped": written.crowds,
            "images_skipped": dict(self.skipped),
            "linked": written.linked,
            "renamed": written.renamed,
            "warnings": len(self.findings),
        }

    def lines(self) -> list[str]:
        """Return what was written, for people."""
        written = self.written
        total = sum(written.images.values())
        shown = [
            f"  {name:<6}{counted(images, 'image'):>14}, {counted(written.rows[name], 'object')}"
            for name, images in written.images.items()
        ]
        shown.append(f"  images linked: {written.linked}, copied: {total - written.linked}")
        if written.renamed:
            shown.append(f"  renamed {counted(written.renamed, 'image')} whose label files would have the same name")
        if written.crowds:
            shown.append(f"  skipped {counted(written.crowds, 'crowd row')}: YOLO labels cannot express crowds")
        for name, images in self.skipped.items():
            shown.append(f"  skipped {counted(len(images), f'{name} image')} that cannot be used")
        return [*shown, f"Use it: trainer run data={display_path(written.file)}"]


def convert(request: Request, registry: Registry, folder: Path, reporter: Reporter) -> ConvertResult:
    """Read a dataset, check it, and write it as a YOLO one.

    Args:
        request: The dataset, as for a check.
        registry: The plugins to choose from.
        folder: Where to write; it does not exist, or is empty.
        reporter: Shows warnings about plugins.

    Raises:
        DatasetError: If the dataset has errors; then nothing is written.
        SettingsError: If a setting is wrong, or if the folder cannot be used.
        StorageError: If the dataset cannot be written.
    """
    options = request.options
    engine = engine_of_request(request, registry)
    with engine.switches():  # plugins may import the engine
        chain, ctx, _ = prepare(request, registry, reporter, engine)
        with blamed(chain.manager, engine):
            data = read_and_check(chain, ctx)
    if options.holdout is not None:
        data = hold_out(data, options.holdout)
    data = apply_tolerance(data, options.bad)
    if not data.splits:
        raise DatasetError(Problem("no images to convert.", None, data.file))
    return ConvertResult(write_yolo(data, folder), data.skipped, data.findings)
