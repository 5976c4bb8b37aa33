"""Packages of extras, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from trainer_host.base.errors import EnvironmentProblemError, Problem


def import_package(module: str, launcher: str) -> Any:
    """Return a module of the package that a launcher needs.

    Raises:
        EnvironmentProblemError: If it is not installed, or cannot be imported.
    """
    fix = f"pip install 'trainer-host[{launcher}]'"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        what = f"--launcher {launcher} needs the package {error.name or module}, which is not installed."
        raise EnvironmentProblemError(Problem(what, fix)) from error
    except ImportError as error:
        what = f"--launcher {launcher} cannot import {module}: {error}."
        raise EnvironmentProblemError(Problem(what, f"{fix} --upgrade")) from error
