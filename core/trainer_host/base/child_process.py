"""Commands for separate processes that import nothing from the working folder."""

from __future__ import annotations

import sys

# With -c nothing is imported before this runs. The empty entry is the working folder, which -m would put first.
_SAFE = "import sys; sys.path[:] = filter(None, sys.path); "
_RUN = f"{_SAFE}del sys.argv[0]; import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


def module_command(module: str, *words: str) -> list[str]:
    """Return a command that runs a module as ``python -m`` does; files of the working folder stand in for nothing."""
    return [sys.executable, "-c", _RUN, module, *words]


def code_command(code: str, *words: str) -> list[str]:
    """Return a command that runs Python code, with words as its arguments, in the same way."""
    return [sys.executable, "-c", f"{_SAFE}\n{code}", *words]
