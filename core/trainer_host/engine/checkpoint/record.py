"""The record of a run that the host writes into its checkpoints, as plain data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.atomic_io import plain
from trainer_host.base.errors import Problem
from trainer_host.plugin.plugin_options import options_as_data
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainer_host.plugin.chain import Chain

RECORD = "trainer_host"
STATE = "state_dict"
FORMAT = 1
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def make_record(chain: Chain, data: Mapping[str, Any], engine: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of a run for its checkpoints, as plain data.

    Args:
        chain: The plugins.
        data: The description of the dataset.
        engine: The release of the engine, by its name.
    """
    return {
        "format": FORMAT,
        "task": chain.name,
        "chain": [m.record.name for m in chain.tasks],
        "plugins": [
            {
                "name": m.record.name,
                "kind": m.record.kind,
                "distribution": m.record.distribution,
                "version": m.record.version,
                "options": options_as_data(m.options),
            }
            for m in chain.to_repeat
        ],
        "always": list(chain.unasked),
        "versions": {"trainer-host": __version__, **engine, "torch": str(torch.__version__)},
        "data": plain(data),
    }


def options_of(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options that a checkpoint's record holds, by plugin."""
    return {p["name"]: dict(p["options"]) for p in record.get("plugins", ()) if p.get("options")}


def extensions_of(record: Mapping[str, Any]) -> list[str]:
    """Return the extensions that a checkpoint's record names."""
    return [p["name"] for p in record.get("plugins", ()) if p.get("kind") == "extension"]


def record_problem(record: Mapping[str, Any], path: Path) -> Problem | None:
    """Return the problem in a record that was read; None for a usable or absent one."""
    made = record.get("format", FORMAT)
    if isinstance(made, int) and made > FORMAT:
        return Problem("the file was written by a newer trainer-host.", "upgrade trainer-host", str(path))
    for key, (is_valid, wanted) in FIELDS.items():
        if key in record and not is_valid(record[key]):
            what = f"the checkpoint's record is damaged: {key} is not {wanted}."
            return Problem(what, "use another file", str(path))
    return None


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _distributions(value: Any) -> bool:
    """Return whether a value can become the advice to install or to name something."""
    return _names(value) and all(DISTRIBUTION.fullmatch(v) or (v.endswith(".py") and v.isprintable()) for v in value)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) for k in value)


def _plugins(value: Any) -> bool:
    if not isinstance(value, list) or not all(map(_mapping, value)):
        return False
    texts = all(isinstance(p.get("name"), str) and isinstance(p.get("distribution"), str) for p in value)
    return texts and all(p.get("options") is None or _mapping(p["options"]) for p in value)


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format": (lambda v: isinstance(v, int), "a number"),
    "task": (lambda v: isinstance(v, str), "a name"),
    "chain": (_names, "a list of names"),
    "plugins": (_plugins, "a list of plugins with names and distributions"),
    "always": (_names, "a list of names"),
    "needs": (_distributions, "a list of distributions"),
    "cfg": (lambda v: v is None or isinstance(v, dict), "a mapping"),
    "data": (lambda v: isinstance(v, dict), "a mapping"),
    "plugin_states": (lambda v: _mapping(v) and all(isinstance(s, dict) for s in v.values()), "a mapping of states"),
}
"""For each field whether a value can be used, and what it has to be."""
