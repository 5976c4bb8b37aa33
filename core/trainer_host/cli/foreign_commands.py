"""Command lines as other programs have them: ``TASK train data=...``, where the host takes ``run --task TASK``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

COMMAND_OF = {
    **dict.fromkeys(("train", "training", "fit", "learn"), "run"),
    **dict.fromkeys(("valid", "validate", "validation", "eval", "evaluate", "test"), "val"),
    **dict.fromkeys(("infer", "inference", "pred"), "predict"),
    **dict.fromkeys(("checks", "settings", "info", "env"), "doctor"),
    **dict.fromkeys(("list", "plugin"), "plugins"),
    **dict.fromkeys(("lint", "validate-data"), "check"),
    **{name: name for name in ("run", "val", "predict", "check")},
}
"""Commands of the host by the names that they have elsewhere."""
OPTION_OF = {"help": "--help", "version": "--version"}
NOT_OFFERED = frozenset({"export", "track", "benchmark", "tune", "solutions"})
"""Commands of the engine that the host does not have."""
WITH_TASK = frozenset({"run", "val", "predict", "check"})
DATASETS = (".yaml", ".yml", ".json", ".xml", ".slp")


def command_instead(words: Sequence[str], tasks: Collection[str]) -> str | None:
    """Return the command that a command line means whose first word is not a command; None if it is not known.

    Args:
        words: The words of the command line.
        tasks: The installed tasks.
    """
    rest = list(words[1:] if words[0] == "yolo" else words)
    if rest and rest[0] in OPTION_OF:
        return f"trainer {OPTION_OF[rest[0]]}"
    if any(word in NOT_OFFERED for word in rest[:2]):
        return None
    command = task = None
    while rest and "=" not in rest[0] and not rest[0].startswith("-"):
        if command is None and rest[0] in COMMAND_OF:
            command = COMMAND_OF[rest.pop(0)]
        elif task is None and (rest[0] in tasks or (len(rest) > 1 and rest[1] in COMMAND_OF)):
            task = rest.pop(0)
        else:
            break
    if command is None and rest and rest[0].lower().endswith(DATASETS):
        command, rest[0] = "run", rest[0] if "=" in rest[0] else f"data={rest[0]}"
    if command is None and task is None and not (rest and "=" in rest[0]):
        return None
    command = command or "run"
    named = ["--task", task] if task is not None and command in WITH_TASK else []
    return shlex.join(["trainer", command, *named, *rest])


def not_offered(words: Sequence[str]) -> str | None:
    """Return a remark on a command of the engine that the host does not have."""
    named = [word for word in words[:3] if word in NOT_OFFERED]
    return f"It is not supported; use the engine's own command: yolo {named[0]} model=best.pt" if named else None


def fixes(words: Sequence[str], command: str, tasks: Collection[str]) -> dict[str, str]:
    """Return what to write for words of a command that are names of tasks, or of commands elsewhere.

    Args:
        words: The words of the command that are not of the form ``key=value``.
        command: The command.
        tasks: The installed tasks.
    """
    found = {word: f"write --task {word}" for word in words if word in tasks}
    for word in words:
        other = COMMAND_OF.get(word)
        if other is not None and word not in found:
            found[word] = "remove it" if other == command else f"remove it, or write trainer {other}"
    return found
