"""Dataset YAML files: read without running anything, every syntax error told with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from trainer_host.base.errors import DatasetError, Problem

if TYPE_CHECKING:
    from pathlib import Path


def read_dataset_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a dataset YAML.

    Raises:
        DatasetError: If it cannot be read, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DatasetError(Problem("the file is not UTF-8 text.", "Fix: save it as UTF-8.", str(path))) from error
    except OSError as error:
        raise DatasetError(Problem(f"the file cannot be read: {error.strerror}.", None, str(path))) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        raise DatasetError(Problem(f"YAML syntax: {what}.", "Fix: correct the line.", f"{path}{line}")) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # A value that the YAML library cannot make, such as the date 2020-99-99.
        raise DatasetError(Problem(f"YAML value: {error}.", "Fix: correct the value.", str(path))) from error
    if not isinstance(content, dict):
        found = "empty" if content is None else f"a {type(content).__name__}"
        raise DatasetError(
            Problem(
                f"the file is {found}, not a mapping of keys.",
                "Fix: write train:, val: and names:",
                str(path),
            )
        )
    return content


def line_of_key(path: Path, key: str) -> int | None:
    """Return the line of a top-level key, counted from 1, or None where it is not there."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    lines: list[int] = [k.start_mark.line + 1 for k, _ in node.value if getattr(k, "value", None) == key]
    return lines[0] if lines else None
