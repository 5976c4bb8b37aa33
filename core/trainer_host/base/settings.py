"""Settings as a user gives them: ``key=value`` on the command line, or a YAML file."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.yaml_document import read_document

Origin = Literal["command", "file", "sample", "task"]
WORDS = {"none": None, "null": None, "true": True, "false": False}
VERBATIM = frozenset({"name", "project", "images", "data", "model", "distill_model", "source", "save_dir"})


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: Any
    origin: Origin


@dataclass
class Given:
    """What a user gave, by the command, a file, or the Python API.

    Attributes:
        task: Name of the task, or None.
        settings: Engine keys.
        options: Values by plugin and option.
        plugins: Extensions that are switched on.
        exact: Whether to keep the stock engine's arithmetic.
        bad: What becomes of images that cannot be used; None where nothing is said.
        images: Folders that hold the images, where the dataset does not say it.
        best_metric: The metric that tells the best checkpoint; None for the task's own judgement.
        trackers: The engine's experiment trackers to switch on.
    """

    task: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)
    exact: bool = False
    bad: str | None = None
    images: tuple[str, ...] = ()
    best_metric: str | None = None
    trackers: tuple[str, ...] = ()


def parse_value(text: str) -> Any:
    """Return the value that a text means: a number, text, list or mapping of Python, true, false, none, or the text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of an invalid escape sequence
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if _is_plain(value) else text


def shown_value(value: Any) -> str:
    """Return a value as one word of the command."""
    return str(list(value) if isinstance(value, tuple) else value).replace(" ", "")


def _is_plain(value: Any) -> bool:
    """Return whether a settings file can hold a value."""
    if isinstance(value, dict):
        return all(_is_plain(v) for pair in value.items() for v in pair)
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (str, int, float))


def is_file(plugin: str) -> bool:
    """Return whether a user means a plugin in a file, by its path."""
    return plugin.endswith(".py") or "/" in plugin


def name_of(plugin: str) -> str:
    """Return the name of a plugin that is given as ``NAME``, as ``distribution:NAME``, or by the path of its file."""
    return Path(plugin).stem if is_file(plugin) else plugin.rpartition(":")[2]


def parse_pairs(words: tuple[str, ...], path_key: str = "data") -> Given:
    """Parse ``key=value`` and ``PLUGIN.OPTION=VALUE``.

    Args:
        words: What was given.
        path_key: The setting that a file or folder without one was probably meant for.

    Raises:
        SettingsError: If a word is neither; all of them are reported.
    """
    given, problems = Given(), []
    for word in words:
        key, equals, text = word.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or not key:
            problems.append(Problem(f"{word!r} is not a setting.", _as_pair(word, path_key)))
        elif not text:
            problems.append(Problem(f"{key}= has no value.", f"Write {key}=VALUE."))
        else:
            _put(given, key, text if key in VERBATIM and text.lower() != "none" else parse_value(text))
    if problems:
        raise SettingsError(*problems)
    return given


def _as_pair(word: str, path_key: str) -> str:
    """Return how to write a word that is not of the form ``key=value``."""
    if word.lower().endswith(".pt"):
        return f"Write model={word}"
    if word.lower().endswith((".yaml", ".yml")) and path_key == "data":
        return f"Write data={word} for a dataset; settings are written as key=value"
    try:
        is_path = Path(word).exists()
    except (OSError, ValueError):
        is_path = False
    return f"Write {path_key}={word}" if is_path else "Write key=value, such as epochs=10."


def _put(given: Given, key: str, value: Any) -> None:
    plugin, dot, option = key.rpartition(".")
    if key == "task":
        given.task = None if value is None else str(value)
    elif dot:
        given.options.setdefault(plugin, {})[option] = value
    elif key == "images":
        given.images = tuple(map(str, value)) if isinstance(value, (list, tuple)) else tuple(str(value).split(","))
    else:
        given.settings[key] = value


def read_settings_file(path: Path) -> Given:
    """Read a settings file: ``task``, engine keys, and ``plugins`` with their options. ``record`` is ignored.

    Raises:
        SettingsError: If it cannot be read, or has another form.
    """
    content = _content(path)
    if {"train", "val"} <= content.keys():
        raise SettingsError(Problem("this is a dataset, not a settings file.", f"Write data={path}", str(path)))
    content.pop("record", None)
    given = Given(task=_task(content.pop("task", None), path), exact=_exact(content.pop("exact", False), path))
    given.bad = _bad(content.pop("bad", None), path)
    given.best_metric = _best_metric(content.pop("best_metric", None), path)
    given.trackers = _trackers(content.pop("trackers", None), path)
    for name, options in _plugins(content.pop("plugins", None), path).items():
        given.plugins.append(name)
        given.options[name_of(name)] = options
    for key, value in content.items():
        # YAML 1.1 reads 1e-3 as text; what the command line takes for a number is one here too.
        _put(given, str(key), parse_value(value) if isinstance(value, str) and key not in VERBATIM else value)
    return given


def _content(path: Path) -> dict[str, Any]:
    """Return the keys and values of a settings file, read within the limits of `read_document`."""
    document = read_document(path, "settings file")
    problems = []
    for found in document.findings:
        where = f"{path}:{found.line}" if found.line else str(path)
        if found.code == "dataset-missing":
            problem = Problem(f"there is no settings file {path}.", "Check the path; a model is given as model=FILE.")
        elif found.code == "yaml-type":
            problem = Problem("a settings file is a mapping of keys.", "Write task: NAME, data: FILE.", str(path))
        elif found.code == "yaml-unreadable":
            problem = Problem(f"the settings file cannot be read: {found.message}", f"Fix: {found.fix}", where)
        else:
            problem = Problem(found.message, f"Fix: {found.fix}", where)
        problems.append(problem)
    if problems:
        raise SettingsError(*problems)
    return document.content


def _task(value: Any, path: Path) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SettingsError(Problem(f"task: {value} is not a name.", "Write task: NAME.", str(path)))


def _exact(value: Any, path: Path) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingsError(Problem(f"exact: {value} is neither true nor false.", "Write exact: true.", str(path)))


def _bad(value: Any, path: Path) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SettingsError(Problem(f"bad: {value} is not valid.", "Write bad: fail, or bad: skip:1%", str(path)))


def _best_metric(value: Any, path: Path) -> str | None:
    if value is None or isinstance(value, str):
        return value
    fix = "Write best_metric: NAME, or best_metric: min:NAME"
    raise SettingsError(Problem(f"best_metric: {value} is not a name.", fix, str(path)))


def _trackers(value: Any, path: Path) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value or []
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise SettingsError(Problem(f"trackers: {value} is not a list of names.", "Write trackers: [mlflow]", str(path)))


def _plugins(value: Any, path: Path) -> dict[str, dict[str, Any]]:
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return {name: {} for name in value}
    if isinstance(value, dict) and all(isinstance(v, dict) or v is None for v in value.values()):
        return {str(name): dict(options or {}) for name, options in value.items()}
    raise SettingsError(
        Problem(
            "plugins: is neither a list of names nor a mapping.",
            "Write plugins: {cbam: {gain: 0.5}}",
            str(path),
        )
    )


def merge(over: Given, under: Given) -> Given:
    """Return both together; what ``over`` says goes before."""
    options = {k: dict(v) for k, v in under.options.items()}
    for name, values in over.options.items():
        options.setdefault(name, {}).update(values)
    return Given(
        task=over.task or under.task,
        settings={**under.settings, **over.settings},
        options=options,
        plugins=list(dict.fromkeys([*under.plugins, *over.plugins])),
        exact=over.exact or under.exact,
        bad=over.bad or under.bad,
        images=over.images or under.images,
        best_metric=over.best_metric or under.best_metric,
        trackers=tuple(dict.fromkeys([*under.trackers, *over.trackers])),
    )
