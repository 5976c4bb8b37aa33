"""What the engine, torch and the system raise, told as the errors that the host documents."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.errors import (
    EnvironmentProblemError,
    LossError,
    MemoryExhaustedError,
    Problem,
    SettingsError,
    StorageError,
    TrainerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
HEADLESS = "Run: pip uninstall -y opencv-python && pip install opencv-python-headless"


def missing_library(error: ImportError) -> TrainerError | None:
    """Return what to say where a system library is missing that OpenCV or torch needs, or None."""
    text = str(error)
    if ".so" not in text and "DLL load failed" not in text:
        return None
    library = text.split(":", 1)[0]
    return EnvironmentProblemError(
        Problem(f"the system library {library} is missing, so OpenCV cannot be imported.", HEADLESS)
        if error.name == "cv2" or any(x in text for x in ("libGL", "libgthread", "libglib", "libSM", "libXext", "libxcb"))
        else Problem(f"a library cannot be loaded: {text}.", "Install it, or reinstall the package that needs it.")
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors that have a known cause and remedy into the documented ones; let every other one through."""
    try:
        yield
    except TrainerError:
        raise
    except ImportError as error:
        known = missing_library(error)
        if known is None:
            raise
        raise known from error
    except MemoryError as error:
        raise _memory() from error
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        where = str(error.filename) if error.filename else None
        fix = "Free space, or give another folder with project=DIR."
        raise StorageError(Problem(f"cannot write: {error.strerror}.", fix, where)) from error
    except RuntimeError as error:
        text = str(error)
        if "out of memory" in text.lower() or "can't allocate memory" in text.lower():
            raise _memory() from error
        if "NaN persisted" in text or "corrupted with NaN" in text:
            raise loss_error() from error
        if "PytorchStreamWriter failed" in text or "unexpected pos" in text:
            raise StorageError(Problem("cannot write the checkpoint.", "Free space on the disk.")) from error
        raise
    except ValueError as error:
        if str(error).startswith("Invalid CUDA") or "device=" in str(error):
            first = str(error).strip().splitlines()[0]
            raise SettingsError(Problem(first, "Without a GPU leave it out, or write device=cpu.")) from error
        raise


def loss_error() -> LossError:
    """Return the error of a loss that is not finite."""
    return LossError(
        Problem("the loss became NaN or infinite.", "Lower lr0, train with amp=False, or check the labels for wild values.")
    )


def _memory() -> MemoryExhaustedError:
    return MemoryExhaustedError(Problem("out of memory.", "Lower batch or imgsz, or set batch=-1 on a GPU."))
