"""Something given as a dataset that is not one: what it is, and the shortest way in.

It speaks only where no reader took the source. Files and folders are looked at within limits; nothing is parsed
that could expand, and nothing is unpacked.
"""

from __future__ import annotations

import os
import shlex
import tarfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.data import nearby
from trainer_host.base.errors import DatasetError, Problem, TrainerError, UnsafeError, nearest
from trainer_host.base.findings import Finding
from trainer_host.base.yaml_document import Document, read_document
from trainer_host.data.images import SUFFIXES
from trainer_host.data.known_formats import (
    BY_SUFFIX,
    IMAGE,
    IMAGE_LIST,
    LABEL_FILE,
    MODEL,
    VIDEO,
    Known,
    head_of,
    json_keys,
    known_file,
)
from trainer_host.data.unwritten_yaml import is_labelled, yaml_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

YAML = (".yaml", ".yml")
NDJSON = (".ndjson", ".jsonl")
NOT_DATASET = "not-a-dataset"
MOST_ENTRIES = 20_000
"""Entries of a folder, or of an archive, that are looked at."""
MOST_DEPTH = 5
SAMPLED = 5
"""Files of an ending whose content is looked at."""
LIKELY = (".slp", ".parquet", ".json", ".xml", ".csv", ".h5", ".mat", ".tfrecord")
"""Endings of files that hold labels, in the order in which they say what a folder is."""
DATASET_KEYS = frozenset({"train", "val", "validation", "test", "names", "nc"})
ARCHITECTURE = frozenset({"backbone", "head"})
RUN_KEYS = frozenset({"epochs", "lr0", "optimizer", "imgsz", "batch"})
PARTS = (IMAGE, IMAGE_LIST, LABEL_FILE)
"""What is a part of a dataset, whose YAML may lie above."""
GIVE = "give the path of a dataset YAML: data=my.yaml"


def error_of(what: str, way: str, source: str, absent: bool = False) -> DatasetError:
    """Return the error that says what a source is, with the same as a finding."""
    where = None if source in what else nearby(Path(source).absolute())
    error = DatasetError(Problem(what, f"Fix: {way}", where))
    error.findings = (Finding("dataset-missing" if absent else NOT_DATASET, what, way, str(Path(source).absolute())),)
    return error


def missing(source: str, shipped: Collection[str] = ()) -> TrainerError:
    """Return the error for a source that does not exist, with the nearest name that does.

    Args:
        source: What was given.
        shipped: Names that mean a dataset without being a file.
    """
    parts = [p for p in source.split(",") if Path(p.strip()).is_file()]
    if other := next((p.strip() for p in parts if known_file(Path(p.strip()))), None):
        return error_for(other)  # one of several files
    path = Path(source)
    what = f"there is no dataset {source}."
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
    names = {Path(n).stem: n for n in shipped}
    if near is None and folder == Path() and (near := names.get(nearest(path.stem, names) or "")):
        return error_of(what, f"write data={near}, or {GIVE}", source, absent=True)
    way = f"write data={shlex.quote(str(folder / near))}" if near else GIVE
    return error_of(what, way, source, absent=True)


def yaml_of(source: str) -> Path | None:
    """Return the dataset YAML that a file or a folder means, None where it is neither.

    Raises:
        DatasetError: If a folder has several, or if the file is a YAML of another kind.
    """
    path = Path(source)
    if path.is_dir():
        return _yaml_in(path)
    if path.suffix.lower() not in YAML:
        return None
    if known := _other_yaml(path):
        raise error_of(f"this is {known.name}, not a dataset YAML.", known.way, source)
    return path


def _yaml_in(folder: Path) -> Path | None:
    here = sorted(f for f in _entries(folder) if f.suffix.lower() in YAML and f.is_file())
    found = here or sorted(f for f in _files(folder) if f.suffix.lower() in YAML)
    if len(found) > 1:
        named = [f for f in found if f.stem == folder.name]
        described = [f for f in found if DATASET_KEYS & {str(k) for k in read_document(f).content}]
        found = named if len(named) == 1 else described or found
    if len(found) > 1:
        names = ", ".join(shlex.quote(str(f)) for f in found[:SAMPLED]) + (", ..." if len(found) > SAMPLED else "")
        what = f"the folder has {len(found)} dataset YAMLs: {names}."
        raise error_of(what, f"name one of them: data={shlex.quote(str(found[0]))}", str(folder))
    return found[0] if found else None


def _other_yaml(path: Path) -> Known | None:
    """Return what a YAML without any key of a dataset is; None where it may be meant as one."""
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
        return Problem(what, f"Fix: write model={shlex.quote(str(data))} data={here}")
    return Problem(f"model={model} is a dataset YAML.", f"Fix: write data={here}, and a model as model=")


def error_for(source: str) -> TrainerError:
    """Return the error for something that exists and is not a dataset YAML."""
    path = Path(source)
    if path.suffix.lower() in NDJSON and path.is_file():
        return lists_addresses(source)
    known = _known_folder(path) if path.is_dir() else _known_archive(path) or known_file(path)
    if known is not None and (path.is_dir() or known in PARTS) and (above := _yaml_above(path)):
        known = known._replace(way=f"give the dataset YAML above it: data={shlex.quote(nearby(above))}")
    if known is None:
        what = "this is not a dataset: neither a YAML nor a format that an installed plugin reads."
        return error_of(what, GIVE, source)
    way = known.way.replace("{file}", shlex.quote(nearby(path))).replace("{name}", path.name)
    reason = ", which no installed plugin reads" if known.labels else "" if path.is_dir() else ", not a dataset"
    reason = "" if known.name.startswith("an archive") else reason
    return error_of(f"this is {known.name}{reason}.", way, source)


def _yaml_above(path: Path) -> Path | None:
    """Return the one dataset YAML in a folder above a part of a dataset."""
    for folder in islice(path.absolute().parents, MOST_DEPTH - 2):
        yamls = [f for f in _entries(folder) if f.suffix.lower() in YAML and f.is_file()]
        found = [f for f in yamls if {"train", "val"} <= {str(k) for k in read_document(f).content}]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def lists_addresses(source: str) -> UnsafeError:
    """Return the error for a list of images by their addresses."""
    what = f"{source} is refused: it lists images as addresses, from which they would be fetched."
    fix = "Fix: download the images, write a dataset YAML for them, and give that: data=my.yaml"
    return UnsafeError(Problem(what, fix))


# Folders


@dataclass
class _Folder:
    """What lies in a folder and below.

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
        way = "give the config.yaml of the project, beside labeled-data: data=PROJECT/config.yaml"
        return Known("a DeepLabCut project without its config.yaml", way)
    for suffix in LIKELY:
        files = sorted(found.files[suffix], key=lambda f: (len(f.parts), f))
        kinds = Counter(k for f in files[:SAMPLED] if (k := known_file(f)) is not None and k.labels)
        if kinds:
            kind = kinds.most_common(1)[0][0]
            first = next(f for f in files if known_file(f) == kind)
            count = f"{counted(len(files), f'{suffix} file')} and {counted(found.count, 'image')}"
            name = f"a folder with {count}; {first.name} is {kind.name}"
            return kind._replace(name=name, way=kind.way.replace("{file}", shlex.quote(nearby(first))))
        if suffix == ".json" and (coco := [f for f in files[:SAMPLED] if _is_coco(f)]):
            return _with_coco(found, coco)
    return None


def _is_coco(file: Path) -> bool:
    outer, keys = json_keys((head_of(file) or b"").decode("utf-8-sig", "replace"))
    return outer == "{" and bool(keys & {"images", "annotations", "categories"})


def _with_coco(found: _Folder, coco: list[Path]) -> Known:
    files = ",".join(shlex.quote(nearby(f)) for f in sorted(coco, key=lambda f: ("train" not in f.name, f.name))[:3])
    most = max(found.images, key=lambda d: len(found.images[d]), default=None)
    images = f" images={shlex.quote(nearby(most))}" if most is not None and len(found.images) == 1 else ""
    name = f"a folder with {counted(len(coco), 'COCO file')} and {counted(found.count, 'image')}"
    return Known(name, f"name the files: trainer check {files}{images}", labels=False)


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
    way = f"write {shlex.quote(nearby(file))} with: {text}; then: trainer check {shlex.quote(nearby(file))}"
    return Known(name, way, labels=False)


def _archives(found: _Folder) -> Known | None:
    packed = [f for s in (".zip", ".tar", ".gz", ".tgz") for f in found.files[s]]
    if not packed or found.count:
        return None
    folder, unpack = _unpack(packed[0])
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
    way = VIDEO.way.replace("{file}", shlex.quote(nearby(videos[0])))
    return VIDEO._replace(name=f"a folder of {counted(len(videos), 'video')}", way=way)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _what_else(found: _Folder) -> str:
    counts = {s or "no ending": len(f) for s, f in found.files.items() if f}
    most = sorted(counts, key=lambda s: -counts[s])[:3]
    return f", with {', '.join(f'{counts[s]} {s}' for s in most)} files" if most else ""


# Archives


def _known_archive(path: Path) -> Known | None:
    """Return what to say of an archive that is not one dataset; None for another file."""
    names = _packed(path)
    if names is None:
        return None
    yamls = [n for n in names if n.lower().endswith(YAML)]
    folder, unpack = _unpack(path)
    if len(yamls) > 1:
        one = f"{folder}/{shlex.quote(yamls[0])}"
        return Known(f"an archive with {len(yamls)} YAMLs", f"{unpack}; then: trainer check {one}", labels=False)
    name = f"an archive of {counted(len(names), 'file')}, without a dataset YAML"
    return Known(name, f"{unpack}; then: trainer check {folder}", labels=False)


def _unpack(path: Path) -> tuple[str, str]:
    """Return the folder to unpack an archive into, and the command that does."""
    folder = shlex.quote(nearby(path.with_name(path.name.partition(".")[0] or "unpacked")))
    module = "zipfile" if zipfile.is_zipfile(path) else "tarfile"
    return folder, f"unpack it: python -m {module} -e {shlex.quote(nearby(path))} {folder}"


def packed_document(path: Path) -> Document | None:
    """Return the one dataset YAML in an archive, read without unpacking; None where there is not one."""
    yamls = [n for n in _packed(path) or () if n.lower().endswith(YAML)]
    if len(yamls) != 1:
        return None
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "data.yaml")
        file.write_bytes(_packed_bytes(path, yamls[0]))
        return read_document(file)


def _packed_bytes(path: Path, name: str) -> bytes:
    from trainer_host.base.yaml_document import MOST_BYTES

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            return member.read(MOST_BYTES + 1)
    with tarfile.open(path) as packed:
        stream = packed.extractfile(name)
        return stream.read(MOST_BYTES + 1) if stream is not None else b""


def _packed(path: Path) -> list[str] | None:
    """Return the names of the files in an archive, the first ones of many; None where it is none."""
    if not path.is_file() or path.suffix.lower() in {*BY_SUFFIX, *LIKELY}:  # which may be zip files themselves
        return None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [i.filename for i in archive.infolist() if not i.is_dir()]
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as packed:
                members = zip(packed, range(MOST_ENTRIES), strict=False)
                names = [m.name for m, _ in members if m.isfile()]
        else:
            return None
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, ValueError, NotImplementedError):
        return None
    return [n for n in names if "__MACOSX" not in n and not n.rpartition("/")[2].startswith(".")]
