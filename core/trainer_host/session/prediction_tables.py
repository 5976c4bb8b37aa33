"""Tables of what a prediction found, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from typing import TYPE_CHECKING, Any

from trainer_host.base.display import csv_cell, json_text
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.session.prediction_writing import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OUTPUTS = (".json", ".csv")


def try_output(path: Path) -> Path:
    """Return the file that a table is written to, links followed, if it can be written; a device is not tried.

    Raises:
        SettingsError: If its name has another ending.
        StorageError: If something else is there, or if the folder takes no files.
    """
    if path.suffix.lower() not in OUTPUTS:
        raise SettingsError(Problem(f"{path} is neither .json nor .csv.", "write a name that ends in .json or .csv"))
    fix = "give another file with --output"
    try:
        target = path.resolve()
        if target.exists():
            if target.is_dir():
                raise StorageError(Problem("not a file, but a folder.", fix, str(path)))
            if not os.access(target, os.W_OK):
                raise StorageError(Problem("no permission to overwrite the file.", fix, str(path)))
            if not target.is_file():
                return target
        folder = next(parent for parent in target.parents if parent.exists())
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part"):
            pass
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        what = getattr(error, "strerror", None) or str(error)
        raise StorageError(Problem(f"cannot write the file: {what}.", fix, str(path))) from error
    return target


def write_predictions(path: Path, predictions: Iterable[dict[str, Any]]) -> None:
    """Write what was found as JSON, or as CSV with one row for each object.

    Raises:
        StorageError: If the file cannot be written; then what was there is still there.
    """
    predictions = list(predictions)
    is_json = path.suffix.lower() == ".json"
    text = json_text(predictions, indent=1) + "\n" if is_json else _table(predictions)
    write_file(path, text.encode("utf-8"), "free space, or give another file with --output")


def _table(predictions: Iterable[dict[str, Any]]) -> str:
    rows = [
        {csv_cell(k): csv_cell(v) for k, v in {**_about_image(p), **flatten(found)}.items()}
        for p in predictions
        for found in p["objects"]
    ]
    columns = list(dict.fromkeys(k for row in rows for k in row)) or ["image"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _about_image(prediction: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in prediction.items() if k != "objects"}


def flatten(value: dict[str, Any]) -> dict[str, Any]:
    """Return nested data with dotted keys: ``box.0``, or the name of a list's entry if it has one."""
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            flat |= {f"{key}.{k}": v for k, v in flatten(entry).items()}
        elif isinstance(entry, list):
            taken: set[str] = set()
            for i, item in enumerate(entry):
                if isinstance(item, dict):
                    rest = {k: v for k, v in item.items() if k != "name"}
                    name = str(item.get("name", i))
                    name = f"{name}.{i}" if name in taken else name
                    taken.add(name)
                    flat |= {f"{key}.{name}.{k}": v for k, v in flatten(rest).items()}
                else:
                    flat[f"{key}.{i}"] = item
        else:
            flat[key] = entry
    return flat
