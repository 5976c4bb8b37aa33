"""docs/reference/engine-settings.md below its mark: every setting of the engine and the commands that use it.

Write it again with ``python -m tests.docs.settings``.
"""

from __future__ import annotations

from pathlib import Path

from trainer_host.engine.protocol import Command
from trainer_host.engine.ultralytics.engine_settings import EXTRA_KEYS, engine_defaults, engine_keys
from trainer_host.engine.ultralytics.setting_effects import COMMANDS, effect_of, kinds_of_task

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engine-settings.md"
MARK = "<!-- Below: written by `python -m tests.docs.settings` from the sources. -->\n"
EXTRA = {
    "save_dir": "the folder of the results",
    "augmentations": "transforms of albumentations, Python only",
}


def default_of(key: str) -> str:
    """Return the engine's default as it is written on a command line."""
    value = engine_defaults().get(key)
    return f"`{value}`" if value is not None else ""


def rows() -> list[str]:
    """Return a row for each setting, in the order of the engine's file."""
    ordered = [k for k in engine_defaults() if k in engine_keys()] + sorted(EXTRA_KEYS)
    return [
        f"| `{key}` | {default_of(key)} | {' | '.join(_use(key, c) for c in COMMANDS)} | {_remark(key)} |"
        for key in ordered
    ]


def _use(key: str, command: Command) -> str:
    return {"used": "yes", "unused": "warning", "refused": "refused"}[effect_of(key, command).kind]


def _remark(key: str) -> str:
    kinds = sorted(kinds_of_task(key))
    remarks = [f"{', '.join(kinds)} tasks only"] if kinds else []
    if key in EXTRA:
        remarks.append(EXTRA[key])
    fixes: dict[str, list[str]] = {}
    for command in COMMANDS:
        if (effect := effect_of(key, command)).fix:
            fixes.setdefault(effect.fix.format(value="FILE", file="last.pt"), []).append(command)
    remarks += [f"{' and '.join(commands)}: {fix}" for fix, commands in fixes.items()]
    return "; ".join(remarks)


def page() -> str:
    """Return the whole page as it should be."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    lines = ["| Setting | Default | run | val | predict | Remarks |", "| --- | --- | --- | --- | --- | --- |", *rows()]
    return head + MARK + "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
