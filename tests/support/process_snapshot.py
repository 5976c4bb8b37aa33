"""Everything of a process that a library could change for the rest of a program; imports nothing but Python's own."""

from __future__ import annotations

import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any


def snapshot() -> dict[str, Any]:
    root = logging.getLogger()
    handlers = {str(n): str(signal.getsignal(n)) for n in signal.valid_signals()}
    state = {
        "environment": dict(os.environ),
        "working folder": str(Path.cwd()),
        "umask": umask(),
        "locale": locale.setlocale(locale.LC_ALL),
        "warning filters": [str(f) for f in warnings.filters],
        "warnings": str(warnings.showwarning),
        "hooks": [str(h) for h in (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook)],
        "tracing": (sys.getprofile(), sys.gettrace(), sys.getrecursionlimit(), sys.getswitchinterval()),
        "streams": [str(s) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "import path": (sys.path[:], [str(m) for m in sys.meta_path], sys.dont_write_bytecode),
        "signal handlers": handlers,
        "fault handler": faulthandler.is_enabled(),
        "root logger": (root.level, [str(h) for h in root.handlers], logging.root.manager.disable),
        "silenced loggers": [n for n in ("coremltools", "sentry_sdk") if logging.getLogger(n).level],
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "threads": sorted(t.name for t in threading.enumerate()),
        "processes": [p.name for p in multiprocessing.active_children()],
        "start method": multiprocessing.get_start_method(allow_none=True),
        "random numbers": hash(random.getstate()),
        "socket timeout": socket.getdefaulttimeout(),
    }
    for name, describe in (("numpy", _numpy), ("cv2", _cv2), ("torch", _torch), ("matplotlib", _matplotlib)):
        if name in sys.modules:
            state |= {f"{name}: {k}": v for k, v in describe(sys.modules[name]).items()}
    return state


def umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _numpy(np: Any) -> dict[str, Any]:
    return {"printing": str(np.get_printoptions()), "errors": np.geterr(), "random": str(np.random.get_state())}


def _cv2(cv2: Any) -> dict[str, Any]:
    return {"threads": cv2.getNumThreads(), "optimized": cv2.useOptimized(), "OpenCL": cv2.ocl.useOpenCL()}


def _torch(torch: Any) -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "default type": str(torch.get_default_dtype()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "cudnn": (cudnn.deterministic, cudnn.benchmark, cudnn.enabled, cudnn.allow_tf32),
        "precision": (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
        "gradients": (torch.is_grad_enabled(), torch.is_anomaly_enabled(), torch.is_inference_mode_enabled()),
        "random": torch.get_rng_state().tolist(),
        "printing": str(torch.tensor([1.23456789, 1000.0] * 20)),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
    }


def _matplotlib(mpl: Any) -> dict[str, Any]:
    return {"settings": {k: str(v) for k, v in dict.items(mpl.rcParams)}}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what has changed; what was not imported before has nothing to compare with."""
    return [f"{k}: {before[k]!r} -> {after[k]!r}" for k in before if before[k] != after[k]]
