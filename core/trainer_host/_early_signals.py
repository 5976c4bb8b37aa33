"""SIGINT and SIGTERM while the command starts: one line, the JSON object if one is asked for, the documented code.

The package imports this before anything else, so that a signal never meets Python's default while modules
are imported. Raising within an import would leave modules half made, so the process is left at once: at that time there
is nothing to clean up. In a program of the user's nothing is installed.
"""

import atexit
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAVING = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
_process = os.getpid()


def is_command() -> bool:
    """Return whether this process was started as ``trainer``, as ``python -m trainer_host``, or by the host itself."""
    from trainer_host._working_folder import is_run_as_module

    if is_run_as_module() or (sys.orig_argv[1:2] == ["-c"] and sys.argv[:1] == ["trainer_host"]):
        return True
    main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    script = os.path.basename(main)  # noqa: PTH119 - pathlib is not imported yet
    return script.removesuffix(".exe") in {"trainer", "trainer-script.py"} and bool(sys.argv) and sys.argv[0] == main


def leave(number: int, _frame: FrameType | None = None) -> None:
    """End the process at once, with one line and the exit code of the signal."""
    if os.getpid() != _process:  # a child that inherited the handler
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    code = 128 + number
    if "TRAINER_HOST_LAUNCHER" in os.environ:  # which reports it
        os._exit(code)
    message = f"stopped by {signal.Signals(number).name}: the command was still starting."
    _write(2, f"trainer: {message}\n")
    if "--json" in sys.argv:
        _write(
            1,
            f'{{"status": "stopped", "error": "StoppedError", "exit_code": {code}, '
            f'"problems": [{{"message": "{message}", "fix": null, "where": null}}], "retryable": true}}\n',
        )
    os._exit(code)


def _write(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError:  # nobody reads it
        return


def install() -> None:
    """Leave at once on SIGINT and SIGTERM from now on; only the main thread can say so.

    When Python ends it takes its handlers away, and unloading the libraries takes a while: a signal that comes then
    would end the process with another code after the answer was given. What is ignored stays so.
    """
    try:
        for number in SIGNALS:
            signal.signal(number, leave)
        for number in SAVING:  # a warning of a scheduler, which would end the process; there is nothing to save yet
            signal.signal(number, signal.SIG_IGN)
    except ValueError:
        return
    atexit.register(_ignore)  # the first function that is registered is the last one to be called


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if is_command():
    install()
