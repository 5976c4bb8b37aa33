"""The page of the report: it needs nothing but itself, and nothing in it comes from the dataset unescaped."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.atomic_io import atomic_write
from trainer_host.data.description import EMPTY, FOUND, MISSING
from trainer_host.data.report.charts import chart, own_histograms, size_chart
from trainer_host.data.report.gallery import Gallery
from trainer_host.data.report.markup import counted, escaped
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.base.contexts import DataContext
    from trainer_host.base.findings import Finding
    from trainer_host.data.description import Description, Split

LISTED = 300
"""Places that are listed for each kind of finding; the others are counted."""
FEW = 5
"""Places that are listed without being asked for."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SWITCHES = {"names": "Names", "points": "Points", "boxes": "Boxes"}


def write_report(path: Path, data: Description, findings: Sequence[Finding], hooks: Any, ctx: DataContext) -> None:
    """Write the report of a dataset as one HTML page, whole or not at all.

    Args:
        path: The file to write.
        data: The dataset.
        findings: All that was found in it.
        hooks: The hooks of the run: ``annotate`` says what is drawn on an image, ``histograms`` what is counted.
        ctx: The context of the check, which the hooks are given with ``data`` in it.

    Raises:
        OSError: If the file cannot be written.
    """
    ctx = replace(ctx, data=data)
    gallery = Gallery(data, findings, hooks, ctx)
    at_fault, images = gallery.at_fault()
    shown = at_fault.count("<figure")
    more = f" {counted(shown, 'image is', 'images are')} shown of {images:,}." if images > shown else ""
    sections = {
        "Findings": _findings(findings, gallery),
        "Images at fault": at_fault and f"<p>What was found in them, with the labels as they are.{more}</p>{at_fault}",
        "Samples": _samples(gallery.samples()),
        "Statistics": _statistics(data, hooks, ctx),
    }
    content = _page(data, findings, ctx.task, {title: body for title, body in sections.items() if body})
    atomic_write(path, content.encode(), parents=True)


def _page(data: Description, findings: Sequence[Finding], task: str, sections: dict[str, str]) -> str:
    name = Path(data.file).resolve().parent.name or data.file
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in sections)
    bodies = "".join(
        f'<section id="{_anchor(title)}" class="part"><h2>{title}</h2>{body}</section>'
        for title, body in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escaped(name)}: dataset report</title><style>{style}</style></head><body>"
        f'<header><p class="kicker">Dataset report</p><h1>{escaped(name)}</h1>{_facts(data, task)}'
        f'{_verdict(findings)}{_counts(data)}</header><nav aria-label="Sections">{links}</nav><main>{bodies}</main>'
        f"<footer>trainer-host {__version__}</footer></body></html>\n"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _facts(data: Description, task: str) -> str:
    facts = {"file": data.file, "task": task}
    if data.splits:
        facts["fingerprint"] = data.fingerprint()
    return "<dl>" + "".join(f"<dt>{k}</dt><dd><code>{escaped(v)}</code></dd>" for k, v in facts.items()) + "</dl>"


def _verdict(findings: Sequence[Finding]) -> str:
    errors = sum(f.severity == "error" for f in findings)
    warnings = len(findings) - errors
    told = " and ".join([counted(n, w) for n, w in ((errors, "error"), (warnings, "warning")) if n])
    if errors:
        return f'<p class="verdict error">Not ready to train: {told}.</p>'
    if warnings:
        return f'<p class="verdict warning">Ready to train, with {told}.</p>'
    return '<p class="verdict good">Ready to train: nothing was found.</p>'


def _counts(data: Description) -> str:
    if not data.splits:
        return ""
    left_out = any(data.left_out.values())
    titles = ["images", "with labels", "empty label file", "no label file", "objects"] + ["left out"] * left_out
    rows = []
    for name, split in data.splits.items():
        numbers = _numbers(split) + [len(data.left_out.get(name, ()))] * left_out
        cells = "".join(f"<td>{n:,}</td>" for n in numbers)
        rows.append(f'<tr><th scope="row">{escaped(name)}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{t}</th>' for t in titles)
    return (
        '<div class="scroll"><table class="counts"><thead><tr><th scope="col">split</th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _numbers(split: Split) -> list[int]:
    labelled = [int(np.count_nonzero(split.labelled == kind)) for kind in (FOUND, EMPTY, MISSING)]
    return [len(split), *labelled, len(split.row_lengths)]


def _findings(findings: Sequence[Finding], gallery: Gallery) -> str:
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])  # errors before warnings
    return "".join(_group(severity, code, group, gallery) for (severity, code), group in ordered)


def _group(severity: str, code: str, group: list[Finding], gallery: Gallery) -> str:
    first = group[0]
    fix = f'<p class="fix"><b>Fix</b> {escaped(first.fix)}</p>' if first.fix else ""
    count = f' <span class="count">{len(group):,} times</span>' if len(group) > 1 else ""
    return (
        f'<article class="card finding {escaped(severity)}"><h3><span class="badge">{escaped(severity)}</span> '
        f"<code>{escaped(code)}</code>{count}</h3><p>{escaped(first.message)}</p>"
        f"{fix}{_places(group, gallery)}</article>"
    )


def _places(group: list[Finding], gallery: Gallery) -> str:
    first = group[0]
    if len(group) == 1:
        return f'<p><code class="where">{escaped(gallery.where(first))}</code></p>' if first.file else ""
    listed = "".join(
        f'<li><code class="where">{escaped(gallery.where(f))}</code>'
        f"{' ' + escaped(f.message) if f.message != first.message else ''}</li>"
        for f in group[:LISTED]
    )
    more = f'<p class="note">and {len(group) - LISTED:,} more</p>' if len(group) > LISTED else ""
    state = " open" if len(group) <= FEW else ""
    return f'<details{state}><summary>All places</summary><ul class="places">{listed}</ul>{more}</details>'


def _samples(pairs: str) -> str:
    if not pairs:
        return ""
    switches = "".join(
        f'<label><input type="checkbox" id="show-{key}" checked> {text}</label>' for key, text in _SWITCHES.items()
    )
    return (
        "<p>Each image with its labels, and mirrored with the labels as training then sees them. "
        "In each picture by itself, every name must be right: what is a left hand in the image is a right hand in its "
        "mirror image.</p>"
        f'<div class="switches">{switches}</div>{pairs}'
    )


def _statistics(data: Description, hooks: Any, ctx: DataContext) -> str:
    found = [*own_histograms(data), *(h for answer in hooks.histograms(ctx=ctx) for h in answer)]
    cards = "".join([size_chart(data), *map(chart, found)])
    if not cards:
        return ""
    return f'<p>Bars are shares of their split, numbers are counts.</p><div class="charts">{cards}</div>'
