"""A dataset YAML with all its images and label files, read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import display_path
from trainer_host.base.findings import DatasetError
from trainer_host.base.yaml_document import read_document
from trainer_host.data.dataset_draft import Draft
from trainer_host.data.description import Description
from trainer_host.data.file_checks import check_files
from trainer_host.data.image_listing import list_split
from trainer_host.data.image_modes import as_trained
from trainer_host.data.path_resolution import images_elsewhere, root_of, sources_of
from trainer_host.data.split_reader import read_split
from trainer_host.data.yaml_schema import name_classes_of_labels, normalize_channels, normalize_classes, note_download

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer_host.data.description import Split
    from trainer_host.data.listed_files import Listing


def read_dataset(file: Path, datasets: Callable[[], Path] | None = None, needed: str = "") -> Description:
    """Read a dataset YAML with all its images and label files.

    Nothing raises: problems are among the findings, and what could not be read is omitted.

    Args:
        file: The YAML.
        datasets: Returns the engine's folder of datasets, if that may be meant.
        needed: A split that must exist, in addition to ``train`` and ``val``.
    """
    document = read_document(file)
    data = Draft(file, document)
    if not document.content:
        return Description({}, file=data.file, findings=data.findings, lines=data.lines)
    normalize_classes(data)
    normalize_channels(data)
    note_download(data)
    data["yaml_file"] = data.file
    root = root_of(data, datasets)
    sources = sources_of(data, root, needed)
    data["path"] = root
    listings: dict[str, Listing] = {}
    splits: dict[str, Split] = {}
    for name, places in sources.items():
        listing = list_split(name, places, root, Path(data.file).parent)
        data.findings += listing.findings
        if not listing.images:
            # An error says why there are no images; a warning, such as of a link, does not.
            if all(f.severity != "error" for f in listing.findings):
                what = f"{name}: no images in {', '.join(map(display_path, places))}."
                data.note_key(name, "split-empty", what, images_elsewhere(data, name, root))
                data.findings[-1] = replace(data.findings[-1], split=name)
            continue
        listings[name] = listing
        splits[name], found = read_split(name, places, listing)
        data.findings += as_trained(found, data["channels"])
    name_classes_of_labels(data, splits.values())
    read = data.finished(splits)
    return read.with_findings(check_files(read, listings))


def read_images_at(name: str, places: Sequence[Path]) -> Split:
    """Read images with their label files from folders or list files.

    Args:
        name: The split's name: ``train``, ``val`` or ``test``.
        places: The folders or list files, as absolute paths.

    Raises:
        DatasetError: If no images, or if one of them or a label file cannot be used.
    """
    if missing := [p for p in places if not p.exists()]:
        raise DatasetError(f"no images at {missing[0]}.")
    listing = list_split(name, places, places[0].parent)
    split, findings = read_split(name, places, listing)
    if errors := [f for f in [*listing.findings, *findings] if f.severity == "error"]:
        raise DatasetError(*(f.problem() for f in errors))
    if not len(split):
        raise DatasetError(f"no images in {', '.join(map(str, places))}.")
    return split
