"""Objects that a pickle describes: notes of what it would have made, and of tensors; none of them is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class UnreadableError(ValueError):
    """The bytes are not a pickle that is supported, or one beyond the limits."""


class Name(str):
    """The dotted name of a class or function, as a pickle gives it."""

    __slots__ = ()


class Inert:
    """An object that a pickle describes, with what it would have been made of.

    Attributes:
        name: The dotted name of its class, or of the function that would have returned it.
        args: The arguments of that call.
        state: What the object's attributes would have been set to, or None.
        items: Entries of a container, in order; pairs for a mapping.
    """

    __slots__ = ("args", "items", "name", "state")

    def __init__(self, name: str, args: Any) -> None:
        self.name, self.args = name, args
        self.state: Any = None
        self.items: list[Any] = []

    def __repr__(self) -> str:
        return f"<{self.name}, not loaded>"


@dataclass(frozen=True)
class StorageRef:
    """A storage in the archive: the name of its type, its key, and its number of elements."""

    kind: str
    key: str
    size: int


class TensorRef:
    """A tensor that has not been read: a view of a storage."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: StorageRef, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides


def call_result(function: Any, args: Any, calls: set[str]) -> Any:
    """Return what stands for the result of a call: a description of a tensor, an empty mapping, or a note of it."""
    if type(args) is not tuple:
        raise UnreadableError("its object tree is damaged")
    if type(function) is Name:
        if function == "collections.OrderedDict" and not args:
            return {}
        rebuild = REBUILDS.get(function)
        if rebuild is not None:
            return rebuild(args)
        calls.add(str(function))
        return Inert(function, args)
    if type(function) is Inert:  # such as the result of getattr
        return Inert(f"{function.name}()", args)
    raise UnreadableError("its object tree calls something that is not a class or a function")


def new_object(kind: Any, args: Any) -> Inert:
    """Return a note of an object of a class."""
    if type(kind) is not Name:
        raise UnreadableError("its object tree makes an object of something that is not a class")
    return Inert(kind, args)


def set_state(thing: Any, state: Any) -> None:
    """Note the attributes of an object; those of a mapping, such as the versions in a state dict, do not matter."""
    if type(thing) is Inert:
        thing.state = state
    elif type(thing) is not dict:
        raise UnreadableError("its object tree sets attributes of something that has none")


def append_to(thing: Any, entries: list[Any]) -> None:
    """Add entries to a list, or note them."""
    if type(thing) is list:
        thing.extend(entries)
    elif type(thing) is Inert:
        thing.items.extend(entries)
    else:
        raise UnreadableError("its object tree is damaged")


def set_items(thing: Any, entries: list[Any]) -> None:
    """Add keys and values, which take turns in ``entries``, to a mapping, or note them."""
    if len(entries) % 2:
        raise UnreadableError("its object tree is damaged")
    pairs = zip(entries[::2], entries[1::2], strict=True)
    if type(thing) is Inert:
        thing.items.extend(pairs)
        return
    if type(thing) is not dict:
        raise UnreadableError("its object tree is damaged")
    for key, value in pairs:
        # Keys are hashed: a tuple of tuples can be made to take forever.
        if type(key) not in KEYS:
            raise UnreadableError(f"its object tree has a key of type {type(key).__name__}")
        if type(key) is int and not -(2**63) <= key < 2**64:  # such numbers can share one hash
            raise UnreadableError("its data have a number beyond 64 bits")
        thing[key] = value


KEYS = frozenset({str, int, float, bool, type(None), bytes, Name})


def storage_of(described: Any) -> StorageRef:
    """Return the storage that a persistent identifier names: ('storage', type, key, location, number of elements)."""
    if type(described) is tuple and len(described) == 5:
        tag, kind, key, _, size = described
        if tag == "storage" and type(kind) is Name and type(key) is str and _is_count(size):
            return StorageRef(kind, key, size)
    raise UnreadableError("its object tree refers to something that is not a storage")


MAX_SIDE = 2**40


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _tensor(args: tuple[Any, ...]) -> TensorRef:
    """Return the description of a tensor: (storage, offset, shape, strides, ...)."""
    storage, offset, shape, strides = args[:4]
    shape, strides = (s.args[0] if type(s) is Inert and s.name == "torch.Size" else s for s in (shape, strides))
    fits = type(storage) is StorageRef and _is_count(offset) and type(shape) is tuple and type(strides) is tuple
    if not fits or len(shape) != len(strides) or len(shape) > 16 or not all(map(_is_count, shape + strides)):
        raise UnreadableError("its object tree describes a tensor wrongly")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    count = 1
    for n in shape:
        count *= n
    if max(shape, default=0) > MAX_SIDE or len([n for n in shape if n > 2**24]) > 1:
        raise UnreadableError("its object tree describes a tensor wrongly")
    # More elements than the storage has would be the same ones over and over, and grow once they are copied.
    if count and (last >= storage.size or count > storage.size):
        raise UnreadableError("its object tree describes a tensor that is larger than its storage")
    return TensorRef(storage, offset, shape, strides)


def _parameter(args: tuple[Any, ...]) -> TensorRef:
    if not args or type(args[0]) is not TensorRef:
        raise UnreadableError("its object tree describes a parameter wrongly")
    return args[0]


REBUILDS = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
"""Functions of torch that put tensors together; they are described here, not called."""
