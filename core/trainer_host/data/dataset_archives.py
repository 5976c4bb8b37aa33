"""Archives that are given as a dataset: looked into within limits, and never unpacked here."""

from __future__ import annotations

import shlex
import tarfile
import zipfile
from pathlib import Path

from trainer_host.base.atomic_io import display_path
from trainer_host.base.display import counted
from trainer_host.base.yaml_document import MOST_BYTES, Document, read_document
from trainer_host.data.known_formats import BY_SUFFIX, LIKELY, YAML, Known

MOST_ENTRIES = 20_000
"""Entries of an archive that are looked at."""


def known_archive(path: Path) -> Known | None:
    """Return what to say of an archive that is not one dataset; None for another file."""
    names = _packed(path)
    if names is None:
        return None
    yamls = [n for n in names if n.lower().endswith(YAML)]
    folder, unpack = unpacking(path)
    if len(yamls) > 1:
        one = f"{folder}/{shlex.quote(yamls[0])}"
        return Known(f"an archive with {len(yamls)} YAMLs", f"{unpack}; then: trainer check {one}", labels=False)
    name = f"an archive of {counted(len(names), 'file')}, without a dataset YAML"
    return Known(name, f"{unpack}; then: trainer check {folder}", labels=False)


def unpacking(path: Path) -> tuple[str, str]:
    """Return the folder to unpack an archive into, and the command that does."""
    folder = shlex.quote(display_path(path.with_name(path.name.partition(".")[0] or "unpacked")))
    module = "zipfile" if zipfile.is_zipfile(path) else "tarfile"
    return folder, f"unpack it: python -m {module} -e {shlex.quote(display_path(path))} {folder}"


def packed_document(path: Path) -> Document | None:
    """Return the one dataset YAML in an archive, read without unpacking; None if there is none."""
    yamls = [n for n in _packed(path) or () if n.lower().endswith(YAML)]
    if len(yamls) != 1:
        return None
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "data.yaml")
        file.write_bytes(_packed_bytes(path, yamls[0]))
        return read_document(file)


def _packed_bytes(path: Path, name: str) -> bytes:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            return member.read(MOST_BYTES + 1)
    with tarfile.open(path) as packed:
        stream = packed.extractfile(name)
        return stream.read(MOST_BYTES + 1) if stream is not None else b""


def _packed(path: Path) -> list[str] | None:
    """Return the names of the files in an archive, the first ones of many; None if it is none."""
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
