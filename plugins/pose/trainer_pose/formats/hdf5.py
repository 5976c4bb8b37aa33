"""Parts of HDF5 files of others, read within limits and without following what leads to other files."""

from __future__ import annotations

from typing import Any

MOST_BYTES = 256 << 20
FAULTS = (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, StopIteration)
"""Errors of h5py for a file that is damaged or malformed."""


def part_of(group: Any, name: str) -> Any:
    """Return a group or a dataset of the file.

    Raises:
        KeyError: If it does not exist.
        ValueError: If it leads to another file.
    """
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise ValueError(f"{name} leads to another file")  # noqa: TRY004 - of the file, not of an argument
    found = group[name]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise ValueError(f"{name} leads to another file")
    return found


def values_of(group: Any, name: str) -> Any:
    """Return what a dataset of the file holds; the file may claim more than it has.

    Raises:
        ValueError: If it is too large, or leads to another file.
    """
    dataset = part_of(group, name)
    if dataset.size * dataset.dtype.itemsize > MOST_BYTES:
        raise ValueError(f"{name} is too large")
    return dataset[()]


def text_of(value: Any) -> str:
    """Return a text that is stored as such or as bytes."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
