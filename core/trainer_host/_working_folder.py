"""Keeps files of the working folder from being imported: it is often the folder of a stranger's dataset.

``python -m`` puts the working folder before Python's own modules, so that a ``json.py`` there would be run. The package
imports this module before anything else, and this one imports nothing that is not there already. What Python itself
imports before that cannot be helped: it is reported, and the command ``trainer`` does not have the problem.
"""

import os
import sys


def leave(path: list[str], here: str, package: str) -> None:
    """Remove the working folder from the import path; where the package lies in it, put it last.

    Args:
        path: The import path, whose first entry ``python -m`` has added.
        here: The working folder.
        package: The folder of this package.
    """
    if path and path[0] == here:
        del path[0]
        if os.path.dirname(package) == here:  # noqa: PTH120
            path.append(here)


def imported_from(here: str) -> list[str]:
    """Return the files of the working folder that were imported in place of Python's own modules."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib is not imported yet
    files = [getattr(m, "__file__", None) for n, m in list(sys.modules.items()) if n in sys.stdlib_module_names]
    foreign = [f for f in files if f and not f.startswith(os.path.join(library, ""))]  # noqa: PTH118
    return [f for f in foreign if here in (os.path.dirname(f), os.path.dirname(os.path.dirname(f)))]  # noqa: PTH120


def is_run_as_module() -> bool:
    """Return whether Python is about to run a module of this package by ``-m``."""
    # Before it runs the module, argv has -m in place of its file; the word in orig_argv is the module's name.
    named = sys.orig_argv[-len(sys.argv)] if sys.argv and sys.argv[0] == "-m" else ""
    return (named[2:] if named.startswith("-m") else named).partition(".")[0] == "trainer_host"


if is_run_as_module() and not getattr(sys.flags, "safe_path", False):
    try:
        _here = os.getcwd()  # noqa: PTH109
    except OSError:  # the folder was removed, so nothing can be imported from it
        _here = ""
    if _here and (shadows := imported_from(_here)):
        sys.stderr.write(
            f"trainer: {ascii(shadows[0])[1:-1]} was run in place of Python's own module. "
            "Fix: call trainer, or python -m trainer_host in another folder\n"
        )
        sys.exit(6)
    leave(sys.path, _here, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
