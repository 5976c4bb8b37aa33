"""The tables of options in docs, made from their declarations.

Write them again with ``python -m tests.docs.options``.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainer_host.base.option_declaration import COMMANDS, Door, RunOption
from trainer_host.base.run_options import declared

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("reference/command.md", "reference/settings.md", "how-to/run-unattended.md")
BLOCK = re.compile(r"(<!-- options: (\w+) -->\n).*?(<!-- end of options -->\n)", re.DOTALL)


def table(name: str) -> str:
    """Return a table: the options of a command, those of all commands, of settings files or of the environment."""
    options = [one for one in declared().values() if one.doors & (Door.FLAG | Door.WORD)]
    shared = [one for one in options if {*COMMANDS} - {"resume"} <= {*one.commands}]
    if name == "shared":
        return _command_table(shared)
    if name in COMMANDS:
        return _command_table([one for one in options if name in one.commands and one not in shared])
    if name == "file":
        rows = [
            f"| `{one.written(_example(one), 'file')}` | {_flag(one)} |" for one in options if Door.FILE in one.doors
        ]
        return _joined("| In a settings file | Same as |", rows)
    rows = [_environment_row(one) for one in options if one.environment]
    return _joined("| Variable | Same as | Commands |", rows)


def _joined(head: str, rows: list[str]) -> str:
    rule = "| " + " | ".join(["---"] * (head.count("|") - 1)) + " |"
    return "\n".join(["", head, rule, *rows, "", ""])


def _command_table(options: list[RunOption]) -> str:
    rows = []
    for one in options:
        variable = f"`{one.environment}`" if one.environment else "none"
        if one.environment and one.environment_of != one.commands:
            variable += f" ({_listed(one.environment_of)})"
        text = one.off_help or one.help
        text = f"{text[:-1]}; repeatable." if one.repeatable else text
        text = text[:-1] if one.details.startswith("(") else text
        rows.append(f"| {_flag(one)} | {variable} | {' '.join(filter(None, [_quoted(text), one.details]))} |")
    return _joined("| Option | Environment | Meaning |", rows)


def _environment_row(one: RunOption) -> str:
    several = f"{one.kind.separators[0]}OTHER" if one.repeatable else ""
    value = "1" if one.is_switch else f"{one.example}{several}"
    quoted = f'"{value}"' if " " in value else value
    same = one.flag if one.is_switch else f"{one.flag} {one.example}" + (f" {one.flag} OTHER" if several else "")
    commands = "all" if one.environment_of == COMMANDS else _listed(one.environment_of)
    calls = ", and calls of the Python API" if Door.VARIABLE_OF_CALLS in one.doors else ""
    return f"| `{one.environment}={quoted}` | `{same}` | {commands}{calls} |"


def _flag(one: RunOption) -> str:
    if not one.flag:
        return f"`{one.name}={one.example}`"
    short = f"`{one.short}`, " if one.short else ""
    off = f", `{one.off_flag}`" if one.off_flag else ""
    return f"{short}`{one.flag}{f' {one.metavar}' if one.metavar else ''}`{off}".replace("|", "\\|")


def _example(one: RunOption) -> object:
    return [one.example] if one.repeatable else one.example


def _quoted(text: str) -> str:
    return text.replace("|", "\\|")


def _listed(commands: tuple[str, ...]) -> str:
    return ", ".join(f"`{command}`" for command in commands)


def page(name: str) -> str:
    """Return a page as it should be."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return BLOCK.sub(lambda found: f"{found[1]}{table(found[2])}{found[3]}", text)


if __name__ == "__main__":
    for each in PAGES:
        (DOCS / each).write_text(page(each), encoding="utf-8")
