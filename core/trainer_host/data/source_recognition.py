"""Something given as a dataset that is not one: what it is, and the shortest way in.

It is used only if no reader took the source. Files and folders are looked at within limits; nothing is parsed
that could expand, and nothing is unpacked.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem, TrainerError, UnsafeError, nearest
from trainer_host.base.findings import DatasetError, Finding
from trainer_host.base.wording import counted
from trainer_host.base.yaml_document import read_document
from trainer_host.data.dataset_archives import known_archive, unpacking
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.data.known_formats import (
    BY_SUFFIX,
    CVAT_IMAGES,
    CVAT_VIDEO,
    IMAGE,
    IMAGE_LIST,
    LABEL_FILE,
    LABEL_STUDIO,
    LABELME,
    LIKELY,
    MODEL,
    SLEAP,
    VIDEO,
    YAML,
    Known,
    head_of,
    json_keys,
    known_file,
)
from trainer_host.data.path_suggestions import texts
from trainer_host.data.yaml_suggestion import is_labelled, yaml_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

NDJSON, JSON_LINES = ".ndjson", ".jsonl"
NOT_DATASET = "not-a-dataset"
MOST_ENTRIES = 20_000
"""Entries of a folder that are looked at."""
MOST_DEPTH = 5
SAMPLED = 5
"""Files of an ending whose content is looked at."""
DATASET_KEYS = frozenset({"train", "val", "validation", "test", "names", "nc"})
ARCHITECTURE = frozenset({"backbone", "head"})
RUN_KEYS = frozenset({"epochs", "lr0", "optimizer", "imgsz", "batch"})
READ = (CVAT_IMAGES, CVAT_VIDEO, LABEL_STUDIO, SLEAP)
"""Formats of single files for built-in readers; in a folder of several, their splits are unknown."""
PARTS = (IMAGE, IMAGE_LIST, LABEL_FILE)
"""Parts of a dataset, whose YAML may be in a folder above."""
GIVE = "give the path of a dataset YAML: data=my.yaml"


def error_of(what: str, way: str, source: str, absent: bool = False) -> DatasetError:
    """Return the error that says what a source is, with the same as a finding."""
    where = None if source in what else display_path(Path(source).absolute())
    error = DatasetError(Problem(what, f"{way}", where))
    error.findings = (Finding("dataset-missing" if absent else NOT_DATASET, what, way, str(Path(source).absolute())),)
    return error


def missing(source: str, shipped: Collection[str] = ()) -> TrainerError:
    """Return the error for a source that does not exist, with the nearest name that does.

    Args:
        source: The user's input.
        shipped: Names that mean a dataset without being a file.
    """
    parts = [p for p in source.split(",") if Path(p.strip()).is_file()]
    known = {p.strip(): found for p in parts if (found := known_file(Path(p.strip())))}
    for name, kind in known.items():  # one of several files
        if kind.labels and len(known) < source.count(",") + 1:
            what = f"{name} is {kind.name}, unlike the others: all files of a dataset must have the same format."
            return error_of(what, f"give each split in the same format; for this one: {kind.way_for(Path(name))}", name)
        return error_for(name)
    path = Path(source)
    what = f"dataset {source} not found."
    folder = path.parent
    try:
        entries = [e for e in folder.iterdir() if not e.name.startswith(".")]
    except OSError:
        above = next((p for p in folder.parents if p.is_dir()), None)
        where = f"; the folder {folder} does not exist" if above is not None else ""
        return error_of(f"{what[:-1]}{where}.", GIVE, source, absent=True)
    yamls = sorted(e.name for e in entries if e.suffix.lower() in {*YAML, path.suffix.lower() or YAML[0]})
    stems = {Path(n).stem: n for n in reversed(yamls)}  # the endings are alike in any case
    near = stems.get(nearest(path.stem, stems) or "")
    if near is None and not path.suffix:
        near = nearest(path.name, [e.name for e in entries if e.is_dir()])
    published = {Path(n).stem: n for n in shipped}
    if near is None and folder == Path() and (near := published.get(nearest(path.stem, published) or "")):
        return error_of(what, f"write data={near}, or {GIVE}", source, absent=True)
    way = f"write data={shlex.quote(str(folder / near))}" if near else GIVE
    return error_of(what, way, source, absent=True)


def yaml_of(source: str) -> Path | None:
    """Return the dataset YAML that a file or a folder means, None if it is neither.

    Raises:
        DatasetError: If a folder has several, or if the file is a YAML of another kind.
    """
    path = Path(source)
    if path.is_dir():
        return _yaml_in(path)
    if path.suffix.lower() not in YAML:
        return None
    if known := _other_yaml(path):
        raise error_of(f"not a dataset YAML, but {known.name}.", known.way, source)
    return path


def _yaml_in(folder: Path) -> Path | None:
    here = sorted(f for f in _entries(folder) if f.suffix.lower() in YAML and f.is_file())
    found = here or sorted(f for f in _files(folder) if f.suffix.lower() in YAML)
    if len(found) > 1:
        named = [f for f in found if f.stem == folder.name]
        described = [f for f in found if DATASET_KEYS & {str(k) for k in read_document(f).content}]
        described = [f for f in described if not _other_yaml(f)] or described
        found = named if len(named) == 1 else described or found
    if len(found) > 1:
        names = ", ".join(shlex.quote(str(f)) for f in found[:SAMPLED]) + (", ..." if len(found) > SAMPLED else "")
        what = f"the folder has {len(found)} dataset YAMLs: {names}."
        raise error_of(what, f"choose one: data={shlex.quote(str(found[0]))}", str(folder))
    return found[0] if found else None


def _other_yaml(path: Path) -> Known | None:
    """Return what a YAML without any key of a dataset is; None if it may be meant as one."""
    keys = {str(k) for k in read_document(path).content}
    if keys >= ARCHITECTURE:
        return MODEL._replace(name="a model YAML", way=f"write model={shlex.quote(str(path))} data=my.yaml")
    if len(keys & RUN_KEYS) > 1 and not keys & (DATASET_KEYS - {"val"}):  # val is a setting too
        return Known("a settings file of a run", f"give it without data=: trainer run {shlex.quote(str(path))}")
    return None


def dataset_as_model(model: Any, data: Any) -> Problem | None:
    """Return what to say of a model that is a dataset YAML; None for anything else."""
    path = Path(str(model or ""))
    if path.suffix.lower() not in YAML or not path.is_file():
        return None
    keys = {str(k) for k in read_document(path).content}
    if keys & ARCHITECTURE or "names" not in keys or not keys & {"train", "val"}:
        return None
    here = shlex.quote(str(model))
    if BY_SUFFIX.get(Path(str(data or "")).suffix.lower()) is MODEL:
        what = f"model={model} is a dataset YAML, and data={data} is a model."
        return Problem(what, f"write model={shlex.quote(str(data))} data={here}")
    return Problem(f"model={model} is a dataset YAML.", f"write data={here}, and a model as model=")


def error_for(source: str) -> TrainerError:
    """Return the error for something that exists and is not a dataset YAML."""
    path = Path(source)
    suffix, head = path.suffix.lower(), head_of(path) or b""
    if path.is_file() and (suffix == NDJSON or (suffix == JSON_LINES and b"://" in head)):
        return lists_addresses(source)  # the engine's own form has nothing else
    known = _known_folder(path) if path.is_dir() else known_archive(path) or known_file(path)
    if known is not None and (path.is_dir() or known in PARTS) and (above := _yaml_above(path)):
        known = known._replace(way=f"give the dataset YAML above it: data={shlex.quote(display_path(above))}")
    if known is None:
        what = "not a dataset: neither a YAML nor a format of an installed plugin."
        return error_of(what, GIVE, source)
    way = known.way_for(path)
    reason = ", which no installed plugin reads" if known.labels else "" if path.is_dir() else ", not a dataset"
    reason = "" if known.name.startswith("an archive") else reason
    return error_of(f"this is {known.name}{reason}.", way, source)


def _yaml_above(path: Path) -> Path | None:
    """Return the one dataset YAML in a folder above a part of a dataset, whose splits lie there."""
    for folder in islice(path.absolute().parents, MOST_DEPTH - 2):
        yamls = [f for f in _entries(folder) if f.suffix.lower() in YAML and f.is_file()]
        found = [f for f in yamls if _names_part(f, path.absolute())]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _names_part(file: Path, part: Path) -> bool:
    """Return whether a dataset YAML has a split that lies in a folder or around it, with its images or its labels."""
    from trainer_host.data.image_listing import label_folder

    content = read_document(file).content
    if not {"train", "val"} <= {str(k) for k in content}:
        return False
    root = file.parent / str(content.get("path") or "")
    entries = [e for split in ("train", "val", "test") for e in texts(content.get(split))]
    places = [Path(os.path.normpath(root / e)) for entry in entries for e in (entry, entry.removeprefix("../"))]
    places += [Path(label_folder(str(place))) for place in places]
    next_to = part.is_file() and part.parent == file.parent
    return next_to or any(p.is_relative_to(part) or part.is_relative_to(p) for p in places)


def lists_addresses(source: str) -> UnsafeError:
    """Return the error for a list of images by their addresses."""
    what = f"{source} is refused: it lists images by URLs, which would be fetched."
    fix = "download the images, write a dataset YAML for them, and give that: data=my.yaml"
    return UnsafeError(Problem(what, fix))


# Folders


@dataclass
class _Folder:
    """The contents of a folder and its subfolders.

    Attributes:
        files: Files by their endings.
        images: The names of images, without endings, by folder.
    """

    files: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    images: dict[Path, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def count(self) -> int:
        """The number of images."""
        return sum(map(len, self.images.values()))


def _entries(folder: Path) -> list[Path]:
    try:
        return [f for f, _ in zip(folder.iterdir(), range(MOST_ENTRIES), strict=False) if not f.name.startswith(".")]
    except OSError:
        return []


def _files(top: Path) -> Iterator[Path]:
    """Yield the files below a folder, within limits; links to folders are not followed."""
    seen = 0
    for folder, below, names in os.walk(top):
        deep = len(Path(folder).relative_to(top).parts)
        below[:] = sorted(n for n in below if not n.startswith(".") and n != "__MACOSX") if deep < MOST_DEPTH else []
        for name in names:
            seen += 1
            if seen > MOST_ENTRIES:
                return
            if not name.startswith("."):
                yield Path(folder, name)


def _known_folder(folder: Path) -> Known:
    found = _Folder()
    for file in _files(folder):
        suffix = file.suffix.lower()
        found.files[suffix].append(file)
        if suffix[1:] in SUFFIXES:
            found.images[file.parent].append(file.stem)
    return (
        _foreign_labels(folder, found)
        or _without_yaml(folder, found)
        or _archives(found)
        or _pictures(folder, found)
        or _videos(found)
        or Known(f"a folder without images and labels{_what_else(found)}", GIVE, labels=False)
    )


def _foreign_labels(folder: Path, found: _Folder) -> Known | None:
    """Return what a folder with labels in another format is."""
    if (folder / "labeled-data").is_dir():
        way = "give the config.yaml of the project, next to labeled-data: data=PROJECT/config.yaml"
        return Known("a DeepLabCut project without its config.yaml", way)
    for suffix in LIKELY:
        files = sorted(found.files[suffix], key=lambda f: (len(f.parts), f))
        kinds = Counter(k for f in files[:SAMPLED] if (k := known_file(f)) is not None and k.labels)
        if kinds:
            kind = kinds.most_common(1)[0][0]
            first = next(f for f in files if known_file(f) == kind)
            count = f"{counted(len(files), f'{suffix} file')} and {counted(found.count, 'image')}"
            name = f"a folder with {count}; {first.name} is {kind.name}"
            if kind in READ:  # as one file, or one for each split
                same = [f for f in files[:SAMPLED] if known_file(f) == kind]
                return Known(name, _naming(same, found), labels=False)
            return kind._replace(name=name, way=kind.way_for(first), labels=kind != LABELME)
        if suffix == ".json" and (coco := [f for f in files[:SAMPLED] if _is_coco(f)]):
            return _with_coco(found, coco)
    return None


def _is_coco(file: Path) -> bool:
    outer, keys = json_keys((head_of(file) or b"").decode("utf-8-sig", "replace"))
    return outer == "{" and bool(keys & {"images", "annotations", "categories"})


def _with_coco(found: _Folder, coco: list[Path]) -> Known:
    name = f"a folder with {counted(len(coco), 'COCO file')} and {counted(found.count, 'image')}"
    return Known(name, _naming(coco, found), labels=False)


def _naming(files: list[Path], found: _Folder) -> str:
    """Return how to name files of labels, that of the training first, and the one folder that has images."""
    ordered = sorted(files, key=lambda f: ("train" not in f.name, f.name))[:3]
    most = max(found.images, key=lambda d: len(found.images[d]), default=None)
    images = f" images={shlex.quote(display_path(most))}" if most is not None and len(found.images) == 1 else ""
    several = "the file of each split" if len(files) > 1 else "the file"
    return f"name {several}: trainer check {','.join(shlex.quote(display_path(f)) for f in ordered)}{images}"


def _without_yaml(folder: Path, found: _Folder) -> Known | None:
    labels = [f for f in found.files[".txt"] if is_labelled(f)]
    if not labels:
        return None
    if not found.count:
        name = f"a folder of {counted(len(labels), 'label file')} without their images"
        return Known(name, LABEL_FILE.way, labels=False)
    text = yaml_for(folder, found.images, labels)
    name = (
        f"a folder of {counted(found.count, 'image')} and {counted(len(labels), 'label file')}, without a dataset YAML"
    )
    file = folder / "data.yaml"
    way = f"write {shlex.quote(display_path(file))} with: {text}; then: trainer check {shlex.quote(display_path(file))}"
    return Known(name, way, labels=False)


def _archives(found: _Folder) -> Known | None:
    packed = [f for s in (".zip", ".tar", ".gz", ".tgz") for f in found.files[s]]
    if not packed or found.count:
        return None
    folder, unpack = unpacking(packed[0])
    name = f"a folder with an archive that is not unpacked ({packed[0].name})"
    return Known(name, f"{unpack}; then: trainer check {folder}", labels=False)


def _pictures(folder: Path, found: _Folder) -> Known | None:
    if not found.count:
        return None
    classes = [d for d in found.images if d != folder and not found.images.get(d.parent)]
    names = {d.name.lower() for d in classes} - {"images", "train", "val", "valid", "validation", "test"}
    label = "draw boxes in CVAT or Label Studio and export as Ultralytics YOLO or COCO; then: trainer check data.yaml"
    if len(names) > 1 and len(classes) == len(found.images):
        shown = ", ".join(sorted(names)[:3])
        name = f"a folder of {found.count} images, sorted into folders by class ({shown}, ...), as for classification"
        return Known(name, f"labels of objects are needed: {label}", labels=False)
    return Known(f"a folder of {counted(found.count, 'image')} without labels", f"label them: {label}", labels=False)


def _videos(found: _Folder) -> Known | None:
    videos = sorted(f for s, files in found.files.items() if BY_SUFFIX.get(s) is VIDEO for f in files)
    if not videos or found.count:
        return None
    return VIDEO._replace(name=f"a folder of {counted(len(videos), 'video')}", way=VIDEO.way_for(videos[0]))


def _what_else(found: _Folder) -> str:
    counts = {s or "no ending": len(f) for s, f in found.files.items() if f}
    most = sorted(counts, key=lambda s: -counts[s])[:3]
    return f", with {', '.join(f'{counts[s]} {s}' for s in most)} files" if most else ""
