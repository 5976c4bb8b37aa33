"""The options of plugins: their types and defaults, and the check of what a user gives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a plugin: its name, its type as text, its default."""

    name: str
    type: str
    default: Any


def describe_options(declared: type[Any] | None) -> list[Option]:
    """Return the options that a dataclass or pydantic model declares."""
    if declared is None:
        return []
    if dataclasses.is_dataclass(declared):
        return [
            Option(
                f.name,
                f.type if isinstance(f.type, str) else getattr(f.type, "__name__", str(f.type)),
                _default(f),
            )
            for f in dataclasses.fields(declared)
        ]
    fields = getattr(declared, "model_fields", {})
    return [
        Option(
            name,
            getattr(f.annotation, "__name__", str(f.annotation)),
            f.get_default(call_default_factory=True),
        )
        for name, f in fields.items()
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def parse_options(plugin: str, declared: type[Any] | None, given: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """Return the options object of a plugin and everything that is wrong with what was given.

    Args:
        plugin: The plugin's name, for messages.
        declared: Its options as a dataclass or pydantic model, or None.
        given: Values by option name.
    """
    known = [o.name for o in describe_options(declared)]
    problems = [unknown(f"option of plugin {plugin!r}:", name, known) for name in given if name not in known]
    if declared is None:
        return None, problems
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(declared).validate_python({k: v for k, v in given.items() if k in known}), problems
    except ValidationError as error:
        return None, problems + [
            Problem(f"{plugin}.{'.'.join(map(str, e['loc']))}={e['input']!r}: {e['msg'][:1].lower()}{e['msg'][1:]}.")
            for e in error.errors()
        ]


def options_as_data(value: Any) -> dict[str, Any]:
    """Return an options object as plain data that a file can hold."""
    if value is None:
        return {}
    from pydantic import TypeAdapter

    data: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, mode="json")
    return data
