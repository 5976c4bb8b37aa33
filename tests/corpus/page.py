"""The page in docs: what the stock engine and `trainer check` do with each dataset of the corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.corpus import BROKEN, THEMES, VALID
from tests.corpus.check import Report, missed, surplus
from tests.corpus.generator import Case

if TYPE_CHECKING:
    from tests.corpus.stock import Outcome

PAGE = Path(__file__).parents[2] / "docs/explanation/broken-datasets.md"
SHOWN = 110
HEAD = "| Dataset | What is unusual | Stock engine | It names | `trainer check` |\n| --- | --- | --- | --- | --- |\n"

INTRODUCTION = """# Broken datasets

What happens to a dataset that is broken in one way: to the stock trainer of ultralytics {engine}, and to
`trainer check`. Each dataset is small, valid except for one thing, and drawn by `tests/corpus`. This page is written by

```bash
python -m tests.corpus.stock
```

The stock pose trainer is taken as far as the loss of its first batch and the set-up of its validation, in a separate
process, without network and without installing packages. `trainer check` is the command, with `--task pose`.

## Summary

{summary}

What the columns say:

- *Stock engine*: what it **raised**; the images that it **lost**, that is, trains without after a line in its log; what
  it **warned** of; or that it continued silently, with so many training and validation images (the base has 6 + 3).
  Besides: a file of the dataset that it changed, other than its label cache, which it writes next to every dataset.
- *It names*: whether what it raised or logged contains the name of the faulty *file*, and the *line* if
  there is one; or the name of the *image* that a faulty label file belongs to.
- *`trainer check`*: code, file and line of what it found. Lines in italics are warnings. `(n more)` counts further
  findings.
"""


def write_page(results: Mapping[str, tuple[Outcome, Report]]) -> None:
    """Write the page; a case without a result could not be run by the user who wrote it."""
    from ultralytics import __version__

    parts = [INTRODUCTION.format(engine=__version__, summary=summary(results))]
    for title, cases in {**THEMES, "Unusual but valid": VALID}.items():
        parts.append(f"## {title}\n\n{HEAD}" + "".join(line(case, results.get(case.name)) for case in cases))
    PAGE.write_text("\n".join(parts))


def listed() -> list[str]:
    """Return the names of the datasets that the page has."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)


def summary(results: Mapping[str, tuple[Outcome, Report]]) -> str:
    """Return the figures."""
    broken = [c for c in BROKEN if c.name in results]
    valid = [c for c in VALID if c.name in results]
    kinds = Counter(results[c.name][0].kind for c in broken)
    says = {c.name: named(c, results[c.name][0]) for c in broken}
    lined = [c.name for c in broken if any(e.line for e in c.expected)]
    changed = [name for name, (outcome, _) in results.items() if changes(outcome)]
    found = [c for c in broken if not missed(c, results[c.name][1].findings)]
    quiet = [c for c in valid if not surplus(c, results[c.name][1].findings)]
    untouched = [c for c in valid if results[c.name][0].kind == "silent" and c.name not in changed]
    rows = [
        ("Broken datasets", len(broken)),
        ("Stock: raised", kinds["raised"]),
        ("Stock: hung, or died", kinds["hung"] + kinds["killed"]),
        ("Stock: ran code of the dataset", kinds["ran code"]),
        ("Stock: lost images and continued", kinds["lost images"]),
        ("Stock: warned and continued with all images", kinds["warned"]),
        ("Stock: continued silently", kinds["silent"]),
        ("Stock: named the faulty file", f"{sum('file' in s for s in says.values())} of {len(broken)}"),
        ("Stock: named the faulty line, if there is one", f"{sum('line' in says[n] for n in lined)} of {len(lined)}"),
        ("Stock: changed files, its own cache apart", f"{len(changed)} of {len(results)}"),
        ("`trainer check`: found, at the right file and line", f"{len(found)} of {len(broken)}"),
        ("Unusual but valid datasets", len(valid)),
        ("Stock: took them as they are", f"{len(untouched)} of {len(valid)}"),
        ("`trainer check`: reported no errors", f"{len(quiet)} of {len(valid)}"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def line(case: Case, result: tuple[Outcome, Report] | None) -> str:
    """Return a row of the table."""
    if result is None:
        cells = ["not run: means nothing to the superuser", "", expectation(case)]
    else:
        cells = [stock_cell(result[0]), ", ".join(sorted(named(case, result[0]))), check_cell(result[1].findings)]
    return "| " + " | ".join([f"`{case.name}`", escaped(case.why), *cells]) + " |\n"


def stock_cell(outcome: Outcome) -> str:
    said = {"ran code": "**ran the code** in it", "hung": "**hung**", "killed": "**died**"}.get(outcome.kind)
    if outcome.kind == "raised":
        said = f"**raised** {quoted(outcome.error)}"
    elif outcome.kind == "lost images":
        said = lost(outcome)
    elif said is None:
        images = " + ".join(map(str, outcome.images.values()))
        said = f"**warned** {quoted(outcome.log)}" if outcome.log else f"silence, {images} images"
    changed = changes(outcome)
    return f"{said}; changed `{changed[0]}`" if changed else said


def lost(outcome: Outcome) -> str:
    """Return how many images the engine went on without, and why."""
    counts = [f"{n} of {outcome.images[split]} {split}" for split, n in outcome.lost.items() if n]
    why = re.search(r"ignoring corrupt image/label: (.*\S)", outcome.log)
    return f"**lost** {' and '.join(counts)} images{f': {quoted(why[1])}' if why else ''}"


def changes(outcome: Outcome) -> list[str]:
    """Return the files that were changed; the engine writes its label cache next to every dataset."""
    return [name for name in outcome.changed if not name.endswith(".cache")]


def named(case: Case, outcome: Outcome) -> set[str]:
    """Return what the engine named: the faulty ``file``, its ``line``, the ``image`` that the file belongs to."""
    found = set()
    for expected in case.expected:
        lines = expected.line if isinstance(expected.line, tuple) else (expected.line,)
        name = Path(expected.file)
        if name.name in outcome.said:
            found.add("file")
            found |= {"line" for n in lines if n and re.search(rf"(line |:){n}\b", outcome.said)}
        elif name.suffix == ".txt" and f"{name.stem}.jpg" in outcome.said:
            found.add("image")
    return found


def expectation(case: Case) -> str:
    return ", ".join(f"`{e.code}` {e.file}" for e in case.expected)


def check_cell(findings: Sequence[Mapping[str, Any]]) -> str:
    if not findings:
        return "nothing"
    ordered = sorted(findings, key=lambda f: f["severity"] != "error")
    shown = [place(finding) for finding in ordered[:2]]
    more = f" ({len(findings) - 2} more)" if len(findings) > 2 else ""
    return escaped("<br>".join(shown) + more)


def place(finding: Mapping[str, Any]) -> str:
    where = f"{finding['file']}:{finding['line']}" if finding["line"] else finding["file"] or ""
    text = f"`{finding['code']}` {where}".strip()
    return text if finding["severity"] == "error" else f"*{text}*"


def quoted(error: str) -> str:
    """Return the first line of an error, shortened, without control characters and folders."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", error).strip().splitlines()[0]
    text = re.sub(r"(?<![\w:/])/[^\s'\"]*/(?=[^\s/'\"]+)", "", text).replace("`", "'")
    return f"`{escaped(text[:SHOWN])}{'...' if len(text) > SHOWN else ''}`"


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
