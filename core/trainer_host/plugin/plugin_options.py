"""The options of plugins: their types and defaults, and the check of what a user gives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

from trainer_host.base.errors import Problem, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a plugin.

    Attributes:
        name: Its name.
        type: Its type, as text.
        default: Its default.
        help: What it is for: ``field(metadata={"help": ...})`` of a dataclass, or the description of a pydantic field.
        allowed: The values or the range that its type allows, as text; empty if that says no more than the type.
    """

    name: str
    type: str
    default: Any
    help: str = ""
    allowed: str = ""


BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}
"""Words for the bounds of a JSON schema."""


def describe_options(declared: type[Any] | None) -> list[Option]:
    """Return the options that a dataclass or pydantic model declares."""
    if declared is None:
        return []
    schema, hints = _schema(declared), _hints(declared)
    options = []
    for name, (annotation, default, text) in _declared(declared).items():
        known = schema.get("properties", {}).get(name, {})
        said = text or known.get("description") or ""
        options.append(
            Option(
                name, _type_text(hints.get(name, annotation)), default, said, _allowed(known, schema.get("$defs", {}))
            )
        )
    return options


def _declared(declared: type[Any] | None) -> dict[str, tuple[Any, Any, str]]:
    """Return the annotation, the default and the help of each option by its name."""
    if dataclasses.is_dataclass(declared):
        return {f.name: (f.type, _default(f), f.metadata.get("help", "")) for f in dataclasses.fields(declared)}
    fields = getattr(declared, "model_fields", {})
    return {n: (f.annotation, f.get_default(call_default_factory=True), f.description or "") for n, f in fields.items()}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _schema(declared: type[Any]) -> dict[str, Any]:
    """Return the JSON schema of the options, or nothing if they have types that JSON cannot hold."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(declared).json_schema()
    except (PydanticUserError, NameError):
        return {}


def _hints(declared: type[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(declared)
    except (NameError, TypeError):  # a type that is imported for type checkers alone
        return {}


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _allowed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return the values that a JSON schema allows, as text."""
    if "anyOf" in schema:
        return " or ".join(filter(None, (_allowed(each, definitions) for each in schema["anyOf"])))
    if "$ref" in schema:
        return _allowed(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return ", ".join(map(str, values)) or ", ".join(f"{w} {schema[key]}" for key, w in BOUNDS.items() if key in schema)


def parse_options(plugin: str, declared: type[Any] | None, given: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """Return the options object of a plugin and everything that is wrong with what was given.

    Args:
        plugin: The plugin's name, for messages.
        declared: Its options as a dataclass or pydantic model, or None.
        given: Values by option name.
    """
    known = list(_declared(declared))
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
