"""A call of the Python API, from the arguments of its function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.plugin.registry import Registry


@dataclass(frozen=True)
class Call:
    """A call of the API: its request, the plugins that it can use, and who shows its progress."""

    request: Request
    registry: Registry
    reporter: Reporter

    @classmethod
    def of(cls, command: str, arguments: Mapping[str, Any]) -> Call:
        """Return a call, from the arguments of its function by name: ``locals()`` before any other assignment."""
        from trainer_host.base.plain_setting import plain_setting
        from trainer_host.base.reporting import NullReporter
        from trainer_host.base.request import Request
        from trainer_host.base.run_options import declared
        from trainer_host.plugin.plugin_spec import TaskSpec
        from trainer_host.session.opening import open_request

        known = {name: one for name, one in declared(command).items() if one.keyword or name in arguments}
        given = {**arguments, **arguments.get("settings", {})}
        options = {k: v for k, v in given.items() if k in known and not _is_absent(v)}
        task = options.pop("task") if isinstance(given.get("task"), TaskSpec) else None
        positional = {k: given[k] for k in ("model", "data", "source") if k in given}
        settings = {**arguments.get("settings", {}), **positional}
        plain = {k: v if _is_image(k, v) else plain_setting(k, v) for k, v in settings.items() if k not in known}
        request, registry = open_request(
            Request.of(command, plain, given["options"], **options), "call", task, given["registry"]
        )
        return cls(request, registry, given["reporter"] or NullReporter())


def _is_absent(value: Any) -> bool:
    """Return whether an argument was not given; arrays and other objects define equality themselves."""
    return value is None or (isinstance(value, (tuple, list)) and not value)


def _is_image(key: str, value: Any) -> bool:
    """Return whether a value is what to predict on, which may be an array and stays as it is."""
    return key == "source" and not isinstance(value, Path)
