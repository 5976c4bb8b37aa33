"""Plain data in a checkpoint: what a pickle describes, converted without calling anything that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.engine.checkpoint.inert_objects import Inert, Name, StorageRef, TensorRef, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEPTH = 64
MAX_NAME = 500
MAX_PARTS = 100
MAX_VALUES = 500_000
"""Values that the data of a file may have once everything that it holds several times is written out."""


class Budget:
    """A limit for what comes out of a file, which can hold a value once and refer to it a million times."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, values: int) -> None:
        """Count values, or eight characters each for text that is copied.

        Raises:
            UnreadableError: If there are too many.
        """
        self.left -= values
        if self.left < 0:
            raise UnreadableError("its data are nested too deeply, or grow beyond the limit")


def plain(
    value: Any,
    tensor: Callable[[TensorRef], Any] = lambda ref: ref,
    budget: Budget | None = None,
    namespaces: frozenset[str] = frozenset(),
) -> Any:
    """Return data unchanged, and None for objects that are not data.

    Args:
        value: Something that a pickle describes.
        tensor: Returns what stands for a tensor.
        budget: The limit of what comes out of the file.
        namespaces: Dotted names of further classes that only hold attributes.

    Raises:
        UnreadableError: If it is nested too deeply, or grows beyond the limit.
    """
    return _Plain(tensor, budget or Budget(), namespaces).of(value, 0)


class _Plain:
    def __init__(self, tensor: Callable[[TensorRef], Any], budget: Budget, namespaces: frozenset[str]) -> None:
        self.tensor, self.budget, self.namespaces = tensor, budget, namespaces

    def of(self, value: Any, depth: int) -> Any:
        self.budget.spend(1 if depth <= MAX_DEPTH else MAX_VALUES)
        kind = type(value)
        if kind is dict:
            # The text of a name, so that no type of ours remains.
            return {str(k) if type(k) is Name else k: self.of(v, depth + 1) for k, v in value.items()}
        if kind is list:
            return [self.of(v, depth + 1) for v in value]
        if kind is tuple:
            return tuple(self.of(v, depth + 1) for v in value)
        if kind is TensorRef:
            return self.tensor(value)
        if kind is int and not -(2**63) <= value < 2**64:
            raise UnreadableError("its data have a number beyond 64 bits")
        if kind is Inert:
            convert = conversion_of(value, self.namespaces)
            if convert is None:
                return None
            self.budget.spend(len(value.items))
            converted = convert(value)
            if type(converted) in (str, bytes):
                self.budget.spend(len(converted) // 8)
            return self.of(converted, depth + 1)
        if kind is StorageRef:
            return None
        if kind is Name:
            self.budget.spend(len(value) // 8)
            return str(value)
        return value


def conversion_of(described: Inert, namespaces: frozenset[str]) -> Callable[[Inert], Any] | None:
    """Return the conversion of an object that is data; None for any other."""
    return _namespace if described.name in namespaces else CONVERSIONS.get(str(described.name))


def _namespace(described: Inert) -> Any:
    return described.state if isinstance(described.state, dict) else {}


def _collection(described: Inert) -> list[Any]:
    first = described.args[0] if described.args else []
    return [*(first if isinstance(first, (list, tuple)) else []), *described.items]


def _pairs(described: Inert) -> Any:
    return {k: v for k, v in described.items if type(k) in {str, int}}


def _path(described: Inert) -> str:
    parts = [part[:MAX_NAME] for part in described.args[:MAX_PARTS] if type(part) is str]
    return "/".join(parts).replace("//", "/", 1)


def _encoded(described: Inert) -> bytes | None:
    text = described.args[0] if described.args else None
    try:
        return text.encode("latin1") if type(text) is str else None
    except UnicodeEncodeError:
        return None


def _number(described: Inert) -> Any:
    """Return a number of numpy: (type, bytes)."""
    kind, raw = (*described.args, None, None)[:2]
    raw = _encoded(raw) if type(raw) is Inert else raw
    code = kind.args[0] if type(kind) is Inert and kind.args else None
    if code not in {"f8", "f4", "f2", "i8", "i4", "u8", "u4", "b1"} or type(raw) is not bytes:
        return None
    dtype = np.dtype(str(code))
    return np.frombuffer(raw, dtype)[0].item() if len(raw) == dtype.itemsize else None


CONVERSIONS: Mapping[str, Callable[[Inert], Any]] = {
    "types.SimpleNamespace": _namespace,
    "argparse.Namespace": _namespace,
    "collections.OrderedDict": _pairs,
    "collections.defaultdict": _pairs,
    "builtins.set": _collection,
    "__builtin__.set": _collection,
    "builtins.frozenset": _collection,
    "torch.Size": lambda described: tuple(_collection(described)),
    "torch.device": lambda described: ":".join(str(a) for a in described.args if type(a) in {str, int}),
    "pathlib.PosixPath": _path,
    "pathlib.WindowsPath": _path,
    "pathlib._local.PosixPath": _path,
    "pathlib._local.WindowsPath": _path,
    "_codecs.encode": _encoded,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
}
"""Conversions of objects that are data, by the names of their classes. Nothing of these names is called."""
