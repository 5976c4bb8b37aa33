"""Errors of torch, libraries and the system, translated to those that the host documents.

Those of an engine it translates itself.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import FULL
from trainer_host.base.errors import (
    EnvironmentProblemError,
    Problem,
    StorageError,
    TrainerError,
)
from trainer_host.base.findings import DatasetError
from trainer_host.engine.resource_limits import exhausted
from trainer_host.plugin.error_attribution import crash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import HookManager

_NUMBERS = (
    *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM", "EEXIST", "ENOTDIR", "EISDIR"),
    *("ENAMETOOLONG", "ELOOP", "ESTALE", "ENODEV", "ENXIO", "EBUSY"),
)
STORAGE_ERRORS = frozenset(getattr(errno, name) for name in _NUMBERS if hasattr(errno, name))
ERRNO = re.compile(r"\[Errno (?P<number>\d+)\] (?P<reason>[^:\n]+)(?:: '(?P<file>[^'\n]+)')?")
NO_IMAGE = re.compile(r"Image Not Found (?P<file>.+)")
IMAGES = frozenset(
    (
        *(".avif", ".bmp", ".dng", ".heic", ".heif", ".jp2", ".jpeg", ".jpeg2000", ".jpg"),
        *(".mpo", ".npy", ".png", ".tif", ".tiff", ".webp"),
    )
)
"""Suffixes of images, and of what the engine keeps of them."""
MOVED = "do not move or delete files during a run"
HEADLESS = "pip uninstall -y opencv-python && pip install opencv-python-headless"


def missing_library(error: ImportError) -> TrainerError | None:
    """Return the error to report for a missing system library that OpenCV or torch needs; None for any other."""
    text = str(error)
    if ".so" not in text and "DLL load failed" not in text:
        return None
    library = text.split(":", 1)[0]
    return EnvironmentProblemError(
        Problem(f"the system library {library} is missing, so OpenCV cannot be imported.", HEADLESS)
        if error.name == "cv2"
        or any(x in text for x in ("libGL", "libgthread", "libglib", "libSM", "libXext", "libxcb"))
        else Problem(f"a library cannot be loaded: {text}.", "install it, or reinstall the package that needs it")
    )


@contextmanager
def translated(engine: Engine | None = None) -> Iterator[None]:
    """Translate errors that have a known cause and remedy; let every other one through.

    Args:
        engine: The engine whose library may lack a name, once it is known.
    """
    try:
        yield
    except TrainerError:
        raise
    except Exception as error:
        known = known_error(error, engine=engine)
        if known is None:
            raise
        raise known from error


@contextmanager
def blamed(manager: HookManager, engine: Engine | None = None) -> Iterator[None]:
    """Translate errors of a plugin's code to one that names the plugin; let those through that have a known cause.

    Args:
        manager: The plugins whose code may run.
        engine: As for `translated`.
    """
    try:
        yield
    except TrainerError:
        raise
    except (Exception, SystemExit) as error:
        known = _known_cause(error, None, engine)
        own = isinstance(error, OSError) and vanished(error, str(error)) is not None  # a file that a plugin looks for
        crash = crash_of(error, manager.records) if known is None or own else None
        if crash is None:
            raise
        raise crash from error


def known_error(error: BaseException, folder: Path | None = None, engine: Engine | None = None) -> TrainerError | None:
    """Return the error to report for one that has a known cause and remedy; None for a bug, and for one of the host.

    Args:
        error: The error.
        folder: Where results go, for an error of a disk that names no file.
        engine: As for `translated`.
    """
    if isinstance(error, TrainerError) or not isinstance(error, Exception):
        return None
    if folder is not None and isinstance(error, OSError) and not folder.is_dir():
        return StorageError(Problem("the run's folder disappeared during the run.", MOVED, str(folder)))
    return _known_cause(error, folder, engine)


def _known_cause(error: BaseException, folder: Path | None, engine: Engine | None) -> TrainerError | None:
    text = str(error)
    if limited := exhausted(error, text):
        return limited
    if engine and isinstance(error, (AttributeError, ImportError)) and (missing := engine.missing_name(error)):
        return missing
    if isinstance(error, ImportError):
        return missing_library(error)
    if isinstance(error, OSError):
        return vanished(error, text) or (
            _storage(error, text, folder) if _errno(error, text) in STORAGE_ERRORS else None
        )
    if not isinstance(error, (RuntimeError, ValueError)):
        return None
    if "PytorchStreamWriter failed" in text or "unexpected pos" in text:
        where = str(folder) if folder is not None else None
        return StorageError(Problem("cannot write the checkpoint.", "free space on the disk", where))
    return None


def _errno(error: OSError, text: str) -> int | None:
    """Return the number of a system's error, which a loader's process passes on as text only."""
    found = None if error.errno is not None else ERRNO.search(text)
    return int(found["number"]) if found else error.errno


def vanished(error: OSError, text: str) -> TrainerError | None:
    """Return the error to report for a file that disappeared during the run; None for any other."""
    if image := NO_IMAGE.search(text):
        return _unread_image(Path(image["file"].strip()))
    if _errno(error, text) not in {errno.ENOENT, errno.ESTALE}:
        return None
    found = ERRNO.search(text)
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else found and found["file"]
    if not file or "site-packages" in file:
        return None
    if Path(file).suffix.lower() in IMAGES:
        return DatasetError(Problem("the image disappeared during the run: No such file or directory.", MOVED, file))
    what = "the file or folder does not exist, or disappeared meanwhile."
    return StorageError(Problem(what, "check the path, and do not move or delete files during a run", file))


def _unread_image(file: Path) -> TrainerError:
    """Return the error to report for an image that can no longer be read, with the reason."""
    try:
        with file.open("rb"):
            what = "cannot decode the image, which was readable when the run began."
    except OSError as error:
        if limited := exhausted(error, str(error)):
            return limited
        gone = error.errno in {errno.ENOENT, errno.ESTALE, errno.ENOTDIR}
        what = f"the image {'disappeared' if gone else 'became unreadable'} during the run: {error.strerror}."
    return DatasetError(Problem(what, MOVED, str(file)))


def _storage(error: OSError, text: str, folder: Path | None) -> StorageError:
    found = ERRNO.search(text)
    file = error.filename or (found and found["file"]) or folder
    reason = error.strerror or (found and found["reason"].strip()) or "input/output error"
    where, elsewhere = str(file) if file else None, "or give another folder with project=DIR"
    if _errno(error, text) not in FULL:
        return StorageError(Problem(f"cannot read or write: {reason}.", f"free space, {elsewhere}", where))
    needed, free = getattr(error, "needed", None), _free(file)
    size = f" {_megabytes(needed)}" if needed else ""
    left = f" ({_megabytes(free)} free)" if free is not None else ""
    missing = _megabytes(needed - free) if needed and free is not None and free < needed else "space"
    return StorageError(Problem(f"cannot write{size}: {reason}{left}.", f"free {missing}, {elsewhere}", where))


def _free(file: Any) -> int | None:
    """Return the free bytes where a file is to be written; None if the system does not say."""
    try:
        return shutil.disk_usage(Path(os.fsdecode(file)).parent).free
    except (OSError, TypeError, ValueError):
        return None


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
