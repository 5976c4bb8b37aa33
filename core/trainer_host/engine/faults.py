"""What the engine, torch and the system raise, told as the errors that the host documents."""

from __future__ import annotations

import errno
import re
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
from trainer_host.plugin.blame import crash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.plugin.chain import HookManager

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
        if error.name == "cv2"
        or any(x in text for x in ("libGL", "libgthread", "libglib", "libSM", "libXext", "libxcb"))
        else Problem(f"a library cannot be loaded: {text}.", "Install it, or reinstall the package that needs it.")
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors that have a known cause and remedy into the documented ones; let every other one through."""
    try:
        yield
    except TrainerError:
        raise
    except Exception as error:
        known = _known_cause(error)
        if known is None:
            raise
        raise known from error


@contextmanager
def blamed(manager: HookManager) -> Iterator[None]:
    """Turn errors of a plugin's code into one that names the plugin; let those through that have a known cause.

    Args:
        manager: The plugins whose code may run.
    """
    try:
        yield
    except TrainerError:
        raise
    except (Exception, SystemExit) as error:
        crash = None if _known_cause(error) else crash_of(error, manager)
        if crash is None:
            raise
        raise crash from error


def _known_cause(error: BaseException) -> TrainerError | None:
    if type(error).__module__ == "cv2" and "Insufficient memory" in str(error):  # cv2.error, without its import
        return _memory()
    if not isinstance(error, (ImportError, MemoryError, OSError, RuntimeError, ValueError)):
        return None
    if isinstance(error, ImportError):
        return missing_library(error)
    if isinstance(error, MemoryError):
        return _memory()
    if isinstance(error, OSError):
        return _storage(error) if error.errno in STORAGE_ERRORS else None
    text = str(error)
    if "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return _memory()
    if "NaN persisted" in text or "corrupted with NaN" in text:
        return loss_error()
    if "PytorchStreamWriter failed" in text:
        return StorageError(Problem("cannot write the checkpoint.", "Free space on the disk."))
    if text.startswith("final batch=1 training"):
        least = re.search(r">= (\d+)", text)
        fix = f"Fix: change batch, or train at imgsz={least[1] if least else 64} or more"
        return SettingsError(Problem("the last batch of an epoch has one image, too few at this imgsz.", fix))
    if text.startswith("bfloat16 autocast requires"):
        what = "amp=bf16 needs a CUDA GPU that computes in bfloat16, and there is none in use."
        return SettingsError(Problem(what, "Fix: write amp=True, which uses fp16 on a GPU and fp32 on a CPU"))
    if text.startswith("Invalid") and "device=" in text:
        return SettingsError(Problem(text.strip().splitlines()[0], "Without a GPU leave it out, or write device=cpu."))
    return None


def _storage(error: OSError) -> StorageError:
    where = str(error.filename) if error.filename else None
    fix = "Free space, or give another folder with project=DIR."
    return StorageError(Problem(f"cannot read or write: {error.strerror}.", fix, where))


def loss_error() -> LossError:
    """Return the error of a loss that is not finite."""
    return LossError(
        Problem(
            "the loss became NaN or infinite.",
            "Lower lr0, train with amp=False, or check the labels for wild values.",
        )
    )


def _memory() -> MemoryExhaustedError:
    return MemoryExhaustedError(Problem("out of memory.", "Lower batch or imgsz, or set batch=-1 on a GPU."))
