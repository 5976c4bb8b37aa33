"""Pickles put together by hand, and the archives that hold them."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

CALL, MAKE, OBJ, INST, MAKE_EX, STACK = "REDUCE", "NEWOBJ", "OBJ", "INST", "NEWOBJ_EX", "STACK_GLOBAL"
BUILD = "BUILD"


class Raw:
    """Instructions that stand where a value is wanted."""

    def __init__(self, code: bytes) -> None:
        self.code = code


def value(data: Any) -> bytes:
    """Return the instructions that make a value."""
    if isinstance(data, Raw):
        return data.code
    if isinstance(data, dict):
        return b"}(" + b"".join(value(k) + value(v) for k, v in data.items()) + b"u"
    if isinstance(data, list):
        return b"](" + b"".join(map(value, data)) + b"e"
    if isinstance(data, tuple):
        return b"(" + b"".join(map(value, data)) + b"t"
    if isinstance(data, str):
        text = data.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(data, bool) or data is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[data]
    if isinstance(data, float):
        return b"G" + struct.pack(">d", data)
    if isinstance(data, int):
        return pickle.dumps(data, 2)[2:-1]
    raise TypeError(data)


def named(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def call(name: str, *arguments: Any, form: str = CALL, state: Any = None) -> Raw:
    """Return what calls a function, or makes an object of a class, in one of the ways that pickles know."""
    module, _, attribute = name.rpartition(".")
    args = value(tuple(arguments))
    code = {
        CALL: named(name) + args + b"R",
        MAKE: named(name) + args + b"\x81",
        MAKE_EX: named(name) + args + b"}\x92",
        OBJ: b"(" + named(name) + b"".join(map(value, arguments)) + b"o",
        INST: b"(" + b"".join(map(value, arguments)) + f"i{module}\n{attribute}\n".encode(),
        STACK: value(module) + value(attribute) + b"\x93" + args + b"R",
        BUILD: named(name) + b")\x81",
    }[form]
    return Raw(code + (value(state) + b"b" if state is not None else b""))


def module(name: str, **attributes: Any) -> Raw:
    """Return a module of torch as pickles describe it."""
    parts = {"_parameters": {}, "_buffers": {}, "_modules": {}}
    return call(name, form=MAKE, state={**parts, **attributes})


def pickled(data: Any) -> bytes:
    return b"\x80\x02" + value(data) + b"."


def archive(content: bytes, records: dict[str, bytes] | None = None, compress: bool = False) -> bytes:
    """Return the archive that `torch.save` would write around a pickle."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/byteorder", b"little")
        for name, record in (records or {}).items():
            file.writestr(f"archive/{name}", record)
        file.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def storage(kind: str, key: str, size: int) -> Raw:
    return Raw(b"(" + value("storage") + named(f"torch.{kind}") + value(key) + value("cpu") + value(size) + b"tQ")


def tensor(
    key: str = "0",
    size: int = 4,
    shape: tuple[int, ...] = (4,),
    strides: tuple[int, ...] = (1,),
    kind: str = "FloatStorage",
    offset: int = 0,
) -> Raw:
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", storage(kind, key, size), offset, shape, strides, False, hooks)


Maker = Callable[[], bytes]
