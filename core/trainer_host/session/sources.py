"""What a prediction reads: files, folders, cameras, and addresses that the user names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError, UnsafeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.session.resolve import Request

STREAMS = ".streams"
LISTS = (STREAMS, ".txt", ".csv")
"""Endings of files that list sources, one or several in a line."""
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Beginning of what a video library takes for an address; a drive has one letter."""


def given_source(request: Request) -> Any:
    """Return the source of a prediction.

    Raises:
        SettingsError: If there is none, or if it does not exist.
        UnsafeError: If it is an address and the run is offline, or a list that names one.
    """
    source = request.given.settings.get("source")
    if source is None:
        raise SettingsError(Problem("no source is given.", "Write source=IMAGE, a folder, or a video."))
    text = str(source)
    if "://" in text:
        if request.offline:
            raise UnsafeError(Problem(f"{text} would be fetched, and the run is offline.", "Give a local file."))
        return source
    if text.isdigit() or set("*?") & set(text):
        return source
    if not Path(text).exists():
        raise SettingsError(Problem(f"there is no file or folder {text}.", "Check the path."))
    if text.lower().endswith(LISTS) and Path(text).is_file():
        _refuse_addresses(Path(text), request.offline)
    return source


def _refuse_addresses(file: Path, offline: bool) -> None:
    """Refuse a list of sources that names an address: who gives the list need not know what is in it.

    Raises:
        UnsafeError: If it does.
    """
    streams = file.name.lower().endswith(STREAMS)
    for number, entry in _entries(file):
        # A stream goes to the video library as it is, which knows more schemes than those with "://".
        if "://" in entry or (streams and SCHEME.match(entry)):
            fix = "Remove it from the list." if offline else f"Give it by itself: source={entry}"
            raise UnsafeError(Problem(f"addresses in a list are not opened: {entry}", fix, f"{file}:{number}"))


def _entries(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            for entry in re.split(r"[\s,\"]+", line):
                yield number, entry
