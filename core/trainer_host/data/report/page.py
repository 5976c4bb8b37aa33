"""The page of the report: one file without a script, in which everything from the dataset is escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.wording import counted
from trainer_host.data.description import EMPTY, FOUND, MISSING
from trainer_host.data.report.charts import chart, own_histograms, size_chart
from trainer_host.data.report.gallery import Gallery
from trainer_host.data.report.templating import render
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from pluggy import HookRelay

    from trainer_host.base.contexts import DataContext
    from trainer_host.base.findings import Finding
    from trainer_host.data.description import Description

LISTED = 300
"""Places that are listed for each kind of finding; others are counted."""
FEW = 5
"""Places up to which the list of places is open."""
_TITLES = ("images", "with labels", "empty label file", "no label file", "objects", "skipped")


def write_report(
    path: Path, data: Description, findings: Sequence[Finding], hooks: HookRelay, ctx: DataContext
) -> None:
    """Write the report of a dataset as one HTML page, atomically.

    Args:
        path: The file to write.
        data: The dataset.
        findings: All findings about it.
        hooks: The hooks of the run: ``annotate_image`` gives the shapes of an image, ``histograms`` the statistics.
        ctx: The context of the check, which the hooks are given with ``data`` in it.

    Raises:
        OSError: If the file cannot be written.
    """
    ctx = replace(ctx, data=data)
    gallery = Gallery(data, findings, hooks, ctx)
    sections = {
        "Findings": _findings(findings, gallery),
        "Faulty images": gallery.faulty(),
        "Samples": gallery.samples(),
        "Statistics": _statistics(data, hooks, ctx),
    }
    errors = sum(f.severity == "error" for f in findings)
    verdict = [counted(n, word) for n, word in ((errors, "error"), (len(findings) - errors, "warning")) if n]
    content = render(
        "page.html",
        name=Path(data.file).resolve().parent.name or data.file,
        version=__version__,
        facts={"file": data.file, "task": ctx.task, **({"fingerprint": data.fingerprint()} if data.splits else {})},
        errors=errors,
        verdict=" and ".join(verdict),
        titles=_TITLES if any(data.skipped.values()) else _TITLES[:-1],
        counts=_counts(data),
        sections={title: body for title, body in sections.items() if body},
    )
    atomic_write(path, f"{content}\n".encode(), parents=True)


def _counts(data: Description) -> dict[str, list[int]]:
    """Return the numbers of the table of splits, in the order of its titles."""
    counts = {}
    for name, split in data.splits.items():
        labelled = [int(np.count_nonzero(split.labelled == kind)) for kind in (FOUND, EMPTY, MISSING)]
        counts[name] = [len(split), *labelled, len(split.row_lengths)]
        if any(data.skipped.values()):
            counts[name].append(len(data.skipped.get(name, ())))
    return counts


def _findings(findings: Sequence[Finding], gallery: Gallery) -> Markup | None:
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.severity):  # errors before warnings
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    values = {"groups": list(groups.values()), "where": gallery.where, "few": FEW, "listed": LISTED}
    return render("findings.html", **values) if groups else None


def _statistics(data: Description, hooks: HookRelay, ctx: DataContext) -> Markup | None:
    found = [*own_histograms(data), *(h for answer in hooks.histograms(ctx=ctx) for h in answer)]
    cards = [card for card in (size_chart(data), *map(chart, found)) if card]
    return render("statistics.html", cards=cards) if cards else None
