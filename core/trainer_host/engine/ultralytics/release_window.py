"""The window of engine releases: whether the installed one has the source that the host was tested with.

Functions and constants that a training inherits are compared by hash with those of the tested releases. The same
source computes the same, so a release that was never tested needs no warning as long as none of them has changed.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import EnvironmentProblemError, Problem
from trainer_host.engine.engine_state import EngineState
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.source_hashes import bound_names, definitions, digest, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KNOWN_SOURCES = Path(__file__).with_name("known_sources.json")
"""Hashes of the tested releases, one column each; ``python -m tests.engines --write`` writes it."""
ENGINE = "ultralytics"


def engine_version() -> str:
    """Return the version of the engine that is imported, which another folder on the path may provide."""
    return _version(engine_folder())


def engine_state() -> EngineState:
    """Compare the installed engine with the tested releases; nothing of it is imported.

    Raises:
        EnvironmentProblemError: If it is not installed.
    """
    return compare(engine_folder())


def require_engine() -> None:
    """Refuse an engine that is not installed, or that lacks names which the host uses.

    Raises:
        EnvironmentProblemError: If it cannot be used.
    """
    state = engine_state()
    if state.missing and (problem := state.problem()):
        raise EnvironmentProblemError(problem)


def missing_name(error: AttributeError | ImportError) -> EnvironmentProblemError | None:
    """Return what to report for a name that an untested engine lacks; None for any other error.

    `require_engine` sees names of modules before the import. Attributes of classes are only missed when they are used.
    """
    if isinstance(error, ImportError):
        owner = error.name
    else:
        owner = getattr(error.obj, "__module__", None) or getattr(error.obj, "__name__", None)
    if str(owner).partition(".")[0] != ENGINE:
        return None
    try:
        state = engine_state()
    except EnvironmentProblemError as absent:
        return absent
    problem = state.problem()
    if problem is None:
        return None  # with the source of a tested release it is a bug
    return EnvironmentProblemError(
        Problem(f"ultralytics {state.release} is untested and lacks a name: {error}.", problem.fix)
    )


@lru_cache(maxsize=4)
def _version(root: Path) -> str:
    found = re.search(r"^__version__ = [\"'](.+)[\"']", _read(root / "__init__.py"), re.MULTILINE)
    return found[1] if found else "unknown"


@lru_cache(maxsize=4)
def compare(root: Path) -> EngineState:
    """Compare the engine in a folder with the tested releases, by its source files."""
    known: dict[str, Any] = json.loads(KNOWN_SOURCES.read_text(encoding="utf-8"))
    releases: list[str] = known["releases"]
    differing: list[list[str]] = [[] for _ in releases]
    missing: list[str] = []
    bypassed: list[str] = []
    for file, digests in known["files"].items():
        path, watched = root / file, known["watched"].get(file, {})
        columns = [{name: _column(hashed, i) for name, hashed in watched.items()} for i in range(len(releases))]
        same = _same_file(path, digests, len(releases))
        # A file that a tested release has byte for byte needs no parsing: its hashes are known.
        found = columns[same] if same is not None else hashes(path, watched)
        if same is None:
            missing += [f"{_dotted(file)}.{name}" for name in _lacking(path, known["names"].get(file, ()))]
        for name in watched:
            if name in known["reimplemented"]:  # ours serves the source of every tested release
                bypassed += [] if found.get(name) in {column[name] for column in columns} else [name]
                continue
            for names, column in zip(differing, columns, strict=True):
                names += [] if found.get(name) == column[name] else [_shown(file, name)]
    best = min(reversed(range(len(releases))), key=lambda i: len(differing[i]))
    changed = tuple(differing[best])
    return EngineState(
        ENGINE, _version(root), tuple(releases), releases[best], changed, tuple(bypassed), tuple(missing)
    )


def _same_file(path: Path, digests: str | list[str | None], count: int) -> int | None:
    """Return the first tested release that has this very file, or None."""
    actual = digest(path.read_bytes()) if path.is_file() else None
    return next((i for i in range(count) if actual and _column(digests, i) == actual), None)


def hashes(path: Path, watched: Iterable[str]) -> Mapping[str, str | None]:
    """Return the hashes of watched definitions, or of the keys of a YAML file; none if there is no such file."""
    if not path.is_file():
        return {}
    if path.suffix == ".yaml":
        return settings(_read(path))
    return definitions(_read(path), {name.partition(".")[0] for name in watched})


def _column(hashed: str | list[str | None], index: int) -> str | None:
    """Return the hash of a release; one text stands for all releases."""
    return hashed if isinstance(hashed, str) else hashed[index]


def _lacking(path: Path, names: list[str]) -> list[str]:
    """Return the names that a module neither binds nor has as submodules."""
    bound = bound_names(_read(path)) if names and path.is_file() else set()
    folder = path.parent if path.name == "__init__.py" else None
    return [n for n in names if n not in bound and not (folder and _is_module(folder, n))]


def _is_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def _dotted(file: str) -> str:
    return ".".join(("ultralytics", *Path(file).with_suffix("").parts)).removesuffix(".__init__")


def _shown(file: str, name: str) -> str:
    return f"{name} of {file}" if file.endswith(".yaml") else name


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
