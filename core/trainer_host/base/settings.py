"""The syntax of settings: ``key=value`` on the command line, and YAML files."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.yaml_document import read_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.yaml_document import Document

WORDS = {"none": None, "null": None, "true": True, "false": False}
VERBATIM = frozenset({"name", "project", "images", "data", "model", "source", "save_dir"})


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


def parse_pairs(
    words: Sequence[str], path_key: str = "data", fixes: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Parse words of the form ``key=value`` and ``PLUGIN.OPTION=VALUE``.

    Args:
        words: The words.
        path_key: The setting that a file or folder without one was probably meant for.
        fixes: What to write for words that are neither.

    Raises:
        SettingsError: If a word is neither, or a key is given twice; all problems are reported.
    """
    values: dict[str, Any] = {}
    first: dict[str, str] = {}
    problems = []
    for word in words:
        key, equals, text = word.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or not key:
            problems.append(Problem(f"{word!r} is not a setting.", fixes.get(word) or _as_pair(word, path_key)))
        elif not text:
            problems.append(Problem(f"{key}= has no value.", f"write {key}=VALUE"))
        elif key in first:
            problems.append(Problem(f"{key}= is given twice: {first[key]} and {word}.", "remove one of the two"))
        else:
            first[key] = word
            values[key] = text if key in VERBATIM and text.lower() != "none" else parse_value(text)
    if problems:
        raise SettingsError(*problems)
    return values


def _as_pair(word: str, path_key: str) -> str:
    """Return how to write a word that is not of the form ``key=value``."""
    if word.lower().endswith(".pt"):
        return f"write model={word}"
    if word.lower().endswith((".yaml", ".yml")) and path_key == "data":
        return f"write data={word} for a dataset; settings are written as key=value"
    try:
        is_path = Path(word).exists()
    except (OSError, ValueError):
        is_path = False
    return f"write {path_key}={word}" if is_path else "write key=value, such as epochs=10"


def read_settings_file(path: Path) -> tuple[dict[str, Any], Document]:
    """Read a settings file.

    Returns:
        Its keys and values, in which text means what it means on the command line unless it is in quotes; and the
        file as it was read, for the lines of its keys.

    Raises:
        SettingsError: If it cannot be read, or has another form.
    """
    document = read_document(path, "settings file")
    problems = []
    for found in document.findings:
        where = f"{path}:{found.line}" if found.line else str(path)
        if found.code == "dataset-missing":
            problem = Problem(f"settings file {path} not found.", "check the path; a model is given as model=FILE")
        elif found.code == "yaml-type":
            problem = Problem("the settings file is not a mapping of keys.", "write task: NAME, data: FILE", str(path))
        elif found.code == "yaml-unreadable":
            problem = Problem(f"the settings file cannot be read: {found.message}", found.fix, where)
        else:
            problem = Problem(found.message, found.fix, where)
        problems.append(problem)
    if problems:
        raise SettingsError(*problems)
    content = {str(key): value for key, value in document.content.items()}
    if {"train", "val"} <= content.keys():
        raise SettingsError(Problem("this is a dataset, not a settings file.", f"write data={path}", str(path)))
    # YAML 1.1 reads 1e-3 as text; what the command line takes for a number is one here too.
    texts = {k: v for k, v in content.items() if isinstance(v, str) and k not in VERBATIM and k not in document.quoted}
    return {**content, **{key: parse_value(value) for key, value in texts.items()}}, document
