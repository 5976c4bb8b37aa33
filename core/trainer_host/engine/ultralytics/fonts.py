"""Fonts of the engine's plots, found on this machine instead of fetched."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.temporaries import sweep_once, temporary_path
from trainer_host.data.cache_location import cache_folder

NAMES = ("Arial.ttf", "Arial.Unicode.ttf")
"""Fonts that the engine asks for."""
STAND_IN = "DejaVuSans.ttf"
"""The font that matplotlib brings."""


@cache
def provide_fonts() -> None:
    """Have the engine find a font for its plots, so that it does not fetch one.

    It looks into its settings folder, then among the fonts that matplotlib knows, by a part of their path, and
    remembers what it found. So matplotlib knows its own font under the missing name for one lookup.
    """
    from matplotlib import font_manager
    from ultralytics.utils import USER_CONFIG_DIR
    from ultralytics.utils.checks import check_font

    fonts: list[Any] = font_manager.fontManager.ttflist
    for name in NAMES:
        known = (USER_CONFIG_DIR / name).exists() or any(name in f.fname and Path(f.fname).exists() for f in fonts)
        if known:
            continue  # the user's own takes precedence
        entry = font_manager.FontEntry(fname=str(_stand_in(name)), name=name)
        fonts.append(entry)
        try:
            check_font(name)
        finally:
            fonts.remove(entry)


def _stand_in(name: str) -> Path:
    """Return a copy of matplotlib's font under another name."""
    import matplotlib as mpl

    content = (Path(mpl.get_data_path()) / "fonts" / "ttf" / STAND_IN).read_bytes()
    path = cache_folder() / "fonts" / name
    if path.is_file() and path.stat().st_size == len(content):
        return path
    try:
        atomic_write(path, content, parents=True)
    except OSError:  # a cache folder that cannot be written to
        path = _folder_of_process() / name
        path.write_bytes(content)
    return path


@cache
def _folder_of_process() -> Path:
    """Make a folder that lasts as long as the process: the engine remembers the path of a font."""
    system = Path(tempfile.gettempdir())
    sweep_once(system)
    folder = temporary_path(system / "trainer-fonts")
    folder.mkdir(mode=0o700)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
