"""The archive that `torch.save` writes: a ZIP file with one pickle and a record for each storage."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.engine.checkpoint.inert_objects import StorageRef, TensorRef, UnreadableError
from trainer_host.engine.checkpoint.inert_pickle import MAX_BYTES

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECORDS = 100_000
MAX_RATIO = 10
"""Bytes that may come out of each byte of a file. torch does not compress; weights shrink by a tenth when others do."""
MAX_SMALL = 16 * 2**20
"""Bytes that may come out of any file, however small."""
LEGACY = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x04\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
"""First bytes of files of torch before 1.6."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Archive:
    """The file of a checkpoint. Storages are read when a tensor needs them.

    Args:
        path: The file.

    Raises:
        UnreadableError: If it is not such an archive, is damaged, or would grow beyond the limits.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
        if not head.startswith(b"PK"):
            raise UnreadableError(_not_an_archive(head))
        try:
            with zipfile.ZipFile(path) as archive:
                records = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, LookupError, struct.error, OverflowError) as error:
            raise UnreadableError("the file is corrupted") from error
        self.records = self._within_limits(records)
        self._storages: dict[str, tuple[StorageRef, torch.Tensor]] = {}
        self._content: memoryview | None = None

    def reopened(self) -> Archive:
        """Return the same archive without the storages that were read from it, which their users may change."""
        fresh = copy(self)
        fresh._storages, fresh._content = {}, None
        return fresh

    def _within_limits(self, records: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(records) > MAX_RECORDS:
            raise UnreadableError(f"it has {len(records):,} records, more than {MAX_RECORDS:,}")
        if any(record.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for record in records):
            raise UnreadableError("it is compressed in a way that torch does not use")
        total = sum(record.file_size for record in records)
        if total > self.size * MAX_RATIO + MAX_SMALL:
            raise UnreadableError(f"its {self.size:,} bytes would grow to {total:,}")
        named = {r.filename.partition("/")[2]: r for r in records}
        if len(named) != len(records):
            raise UnreadableError("it has several records of one name")
        if "constants.pkl" in named:
            raise UnreadableError("it is a TorchScript export, not a checkpoint")
        if "data.pkl" not in named:
            raise UnreadableError("it is an archive of another program")
        if named["data.pkl"].file_size > MAX_BYTES:
            raise UnreadableError(f"its object tree has more than {MAX_BYTES:,} bytes")
        return named

    def pickle(self) -> bytes:
        """Return the pickle that describes the content."""
        if "byteorder" in self.records and bytes(self._record("byteorder")).decode("ascii", "replace") != sys.byteorder:
            raise UnreadableError("it was saved on a machine of another byte order")
        return bytes(self._record("data.pkl"))

    def tensor(self, ref: TensorRef) -> torch.Tensor:
        """Return a tensor; those of one storage share it.

        Raises:
            UnreadableError: If the archive does not hold it.
        """
        kept, storage = self._storages.get(ref.storage.key, (None, None))
        if storage is None:
            storage = self._read(ref.storage)
            self._storages[ref.storage.key] = ref.storage, storage
        elif kept != ref.storage:
            raise UnreadableError("it describes one part of its weights in several ways")
        return storage.as_strided(ref.shape, ref.strides, ref.offset)

    def _read(self, ref: StorageRef) -> torch.Tensor:
        dtype = DTYPES.get(ref.kind.rpartition(".")[2])
        if dtype is None:
            raise UnreadableError(f"it has tensors of the type {ref.kind}")
        if ref.size == 0:
            return torch.empty(0, dtype=dtype)
        if self._content is None:
            self._content = _whole(self.path, self.size)
        content = self._record(f"data/{ref.key}")
        if ref.size * dtype.itemsize > len(content):
            raise UnreadableError("it lacks a part of its weights")
        return torch.frombuffer(content, dtype=dtype, count=ref.size)

    def _record(self, name: str) -> Any:
        """Return the bytes of a record, as a writable buffer."""
        record = self.records.get(name)
        if record is None:
            raise UnreadableError(f"it lacks the record {name}")
        if record.compress_type == zipfile.ZIP_STORED and not record.flag_bits & 1:
            return self._stored(record)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(record) as file:
                content = file.read(record.file_size + 1)
        except (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error, ValueError, OSError, struct.error) as error:
            raise UnreadableError("the file is corrupted") from error
        if len(content) != record.file_size:
            raise UnreadableError("the file is corrupted")
        return bytearray(content)

    def _stored(self, record: zipfile.ZipInfo) -> memoryview:
        head = self._bytes(record.header_offset, 30)
        if bytes(head[:4]) != b"PK\x03\x04":
            raise UnreadableError("the file is corrupted")
        name, extra = struct.unpack_from("<HH", head, 26)
        return self._bytes(record.header_offset + 30 + name + extra, record.file_size)

    def _bytes(self, start: int, size: int) -> memoryview:
        """Return a part of the file: of the copy in memory that storages share, if there is one."""
        if not 0 <= start <= self.size - size:
            raise UnreadableError("the file is corrupted")
        if self._content is not None:
            found = self._content[start : start + size]
        else:
            with self.path.open("rb") as file:
                file.seek(start)
                found = memoryview(bytearray(file.read(size)))
        if len(found) != size:
            raise UnreadableError("the file is corrupted")
        return found


def _whole(path: Path, size: int) -> memoryview:
    """Return a file's content in memory that tensors can share: one read for all of them."""
    content = np.empty(size, np.uint8).data
    with path.open("rb") as file:
        if file.readinto(content) != size:
            raise UnreadableError("the file is corrupted")
    return content


def _not_an_archive(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if head.startswith(LEGACY) or head[257:262] == b"ustar":
        return "it has the format of torch before 1.6, which cannot be read safely"
    return "it is not a checkpoint, or the file is corrupted"
