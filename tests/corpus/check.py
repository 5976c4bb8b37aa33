"""What `trainer check` says of a case, compared with what it should say."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.corpus.generator import Case, Expected
from tests.support.command import process

SECONDS = 20
"""Time after which a check in a process of its own is ended."""
APART = """
import atexit, pathlib, runpy, signal, sys

_, seconds, peak, *arguments = sys.argv
sys.argv[1:] = arguments
signal.alarm(int(seconds))

@atexit.register
def tell_peak():
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    pathlib.Path(peak).write_text(status["VmHWM"].split()[0])

runpy.run_module("trainer_host", run_name="__main__")
"""
"""A check with a time limit, which writes its peak memory; that of wait4 counts its parent's memory as well."""
WHOLE = 16 << 20
"""Bytes of a file beyond which its size and time stand for its content."""


@dataclass(frozen=True)
class Report:
    """What the command said.

    Attributes:
        code: Its exit code.
        findings: The findings, as its JSON has them.
        text: What it wrote for people.
    """

    code: int
    findings: list[dict[str, Any]]
    text: str = ""


def words(case: Case, data: Path) -> list[str]:
    """Return the command's arguments."""
    return ["check", str(data), "--task", "pose", "--json", *case.options]


def check(case: Case, data: Path) -> Report:
    """Check a dataset by the command, in this process."""
    from trainer_host.cli.main import guarded

    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as error:
        code = guarded(words(case, data))
    return report(code, out.getvalue(), error.getvalue())


def check_apart(case: Case, data: Path) -> tuple[Report, int]:
    """Check a dataset in a process; return what it said, and the most memory that it had, in bytes."""
    peak = data.parent.with_suffix(".peak")
    ran = process(sys.executable, "-c", APART, SECONDS, peak, *words(case, data))
    assert ran.code >= 0, f"killed by signal {-ran.code}"
    return report(ran.code, ran.out, ran.err), int(peak.read_text()) * 1024


def report(code: int, out: str, error: str) -> Report:
    """Return what the command's JSON says."""
    assert out, error
    return Report(code, json.loads(out)["findings"], error)


def matches(expected: Expected, finding: dict[str, Any]) -> bool:
    """Return whether a finding is the expected one."""
    lines = expected.line if isinstance(expected.line, tuple) else (expected.line,)
    return (
        finding["code"] == expected.code
        and finding["severity"] == expected.severity
        and finding["file"] == expected.file
        and (lines == (None,) or finding["line"] in lines)
    )


def missed(case: Case, findings: list[dict[str, Any]]) -> list[Expected]:
    """Return the expected findings that there are not."""
    return [e for e in case.expected if not any(matches(e, f) for f in findings)]


def surplus(case: Case, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings that were not expected."""
    return [f for f in findings if f["code"] not in case.also and not any(matches(e, f) for e in case.expected)]


def tree(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return what a folder holds: for each path its kind, mode, time and content."""
    return {str(path.relative_to(folder)): _entry(path) for path in (folder, *_below(folder))}


def _below(folder: Path) -> list[Path]:
    return [Path(top) / name for top, folders, files in os.walk(folder) for name in (*folders, *files)]


def _entry(path: Path) -> tuple[Any, ...]:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return ("link", path.readlink())
    if not stat.S_ISREG(facts.st_mode):
        return (facts.st_mode,)
    content = None
    if facts.st_size <= WHOLE and os.access(path, os.R_OK):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return facts.st_mode, facts.st_size, facts.st_mtime_ns, content
