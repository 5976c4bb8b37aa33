"""The table of docs/reference/checks.md, from the checks themselves: ``python -m tests.kit.page`` writes it."""

from __future__ import annotations

from pathlib import Path

from trainer_host.testing import CHECKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "checks.md"
BEGIN, END = "<!-- checks -->\n", "<!-- end of checks -->\n"


def table() -> str:
    """Return a row for each check."""
    rows = ["| Check | Looks at | Why | Fix | Needs |\n| --- | --- | --- | --- | --- |\n"]
    for check in CHECKS.values():
        needs = ", ".join(f"`{name}`" for name in check.needs)
        only = "" if len(check.kinds) > 1 else f" ({check.kinds[0]}s)"
        rows.append(f"| `{check.name}`{only} | {check.looks_at} | {check.why} | {check.fix} | {needs} |\n")
    return "".join(rows)


def split(text: str) -> tuple[str, str, str]:
    """Return the text before the table, the table, and the text after it."""
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


if __name__ == "__main__":
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
