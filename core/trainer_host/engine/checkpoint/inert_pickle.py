"""A reader of pickles that calls nothing.

A pickle is a small program whose instructions call functions and classes by name. Here these instructions only note
what would have been called: the result consists of plain data, `Inert` objects and `TensorRef` descriptions of tensors.
No name is looked up, so nothing that a file names can be imported, called or instantiated.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from trainer_host.engine.checkpoint.inert_objects import (
    Inert,
    Name,
    UnreadableError,
    append_to,
    call_result,
    new_object,
    set_items,
    set_state,
    storage_of,
)

MAX_BYTES = 4 * 2**20
"""Size of the largest pickle that is read; that of a model with 1,000 tensors has a quarter of a megabyte."""
MAX_OBJECTS = 1_000_000
"""Upper bound for the objects of a pickle, each of which costs up to a hundred bytes."""
MAX_NAME = 500
"""Characters of the longest dotted name."""
ALLOCATING = (
    b"}",
    b"]",
    b"\x8f",
    b"\x91",
    b"R",
    b"\x81",
    b"\x92",
    b"o",
    b"i",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x94",
)
"""Instructions that make an object out of a single byte of the file."""


@dataclass(frozen=True)
class Described:
    """The content of a pickle.

    Attributes:
        value: The object that it describes, made of plain data, `Inert` and `TensorRef`.
        names: Every class and function that the pickle names.
        calls: Those of them that it calls.
    """

    value: Any
    names: set[str]
    calls: set[str]


def read_pickle(data: bytes) -> Described:
    """Read a pickle without calling anything.

    Raises:
        UnreadableError: If it is damaged, of a form that torch does not write, or beyond the limits.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"its object tree has {len(data):,} bytes, more than {MAX_BYTES:,}")
    if sum(data.count(code) for code in ALLOCATING) > MAX_OBJECTS:
        raise UnreadableError(f"its object tree may have more than {MAX_OBJECTS:,} objects")
    machine = _Machine(data)
    try:
        return Described(machine.run(), machine.names, machine.calls)
    except UnreadableError:
        raise
    except (LookupError, struct.error, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise UnreadableError("its object tree is damaged") from error


class _Machine:
    """The state of a pickle while it is read.

    The loop is one function on purpose: a checkpoint has about 100,000 instructions, and a call for each of them would
    take longer than the engine's own load.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.names: set[str] = set()
        self.calls: set[str] = set()

    def run(self) -> Any:  # noqa: C901
        """Return the object that the pickle describes."""
        data, stack, marks, memo = self.data, [], [], {}  # type: ignore[var-annotated]
        known: dict[tuple[bytes, bytes], Name] = {}
        push, calls = stack.append, self.calls
        u2, u4, i4 = (struct.Struct(form).unpack_from for form in ("<H", "<I", "<i"))
        u8, f8 = struct.Struct("<Q").unpack_from, struct.Struct(">d").unpack_from
        at = 0
        while True:
            op = data[at]
            at += 1
            # In the order of their frequency in checkpoints.
            if op == 0x68:  # BINGET
                push(memo[data[at]])
                at += 1
            elif op == 0x72:  # LONG_BINPUT
                memo[u4(data, at)[0]] = stack[-1]
                at += 4
            elif op == 0x52:  # REDUCE
                args = stack.pop()
                stack[-1] = call_result(stack[-1], args, calls)
            elif op == 0x29:  # EMPTY_TUPLE
                push(())
            elif op == 0x4B:  # BININT1
                push(data[at])
                at += 1
            elif op == 0x28:  # MARK
                marks.append(len(stack))
            elif op == 0x7D:  # EMPTY_DICT
                push({})
            elif op == 0x74:  # TUPLE
                start = marks.pop()
                stack[start:] = [tuple(stack[start:])]
            elif op == 0x85:  # TUPLE1
                stack[-1] = (stack[-1],)
            elif op == 0x88:  # NEWTRUE
                push(True)
            elif op == 0x58:  # BINUNICODE
                size = u4(data, at)[0]
                at += 4
                push(_text(data, at, size))
                at += size
            elif op == 0x75:  # SETITEMS
                start = marks.pop()
                set_items(stack[start - 1], stack[start:])
                del stack[start:]
            elif op == 0x89:  # NEWFALSE
                push(False)
            elif op == 0x51:  # BINPERSID
                stack[-1] = storage_of(stack[-1])
            elif op == 0x4E:  # NONE
                push(None)
            elif op == 0x5D:  # EMPTY_LIST
                push([])
            elif op == 0x86:  # TUPLE2
                stack[-2:] = [(stack[-2], stack[-1])]
            elif op == 0x81:  # NEWOBJ
                args = stack.pop()
                stack[-1] = new_object(stack[-1], args)
            elif op == 0x62:  # BUILD
                state = stack.pop()
                set_state(stack[-1], state)
            elif op == 0x6A:  # LONG_BINGET
                push(memo[u4(data, at)[0]])
                at += 4
            elif op == 0x87:  # TUPLE3
                stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
            elif op == 0x4D:  # BININT2
                push(u2(data, at)[0])
                at += 2
            elif op == 0x47:  # BINFLOAT
                push(f8(data, at)[0])
                at += 8
            elif op == 0x71:  # BINPUT
                memo[data[at]] = stack[-1]
                at += 1
            elif op == 0x4A:  # BININT
                push(i4(data, at)[0])
                at += 4
            elif op == 0x65:  # APPENDS
                start = marks.pop()
                append_to(stack[start - 1], stack[start:])
                del stack[start:]
            elif op in (0x63, 0x69):  # GLOBAL, INST
                middle = data.index(b"\n", at)
                end = data.index(b"\n", middle + 1)
                pair = data[at:middle], data[middle + 1 : end]
                name = known.get(pair) or known.setdefault(pair, self._name(*(p.decode() for p in pair)))
                at = end + 1
                if op == 0x63:
                    push(name)
                else:
                    start = marks.pop()
                    stack[start:] = [call_result(name, tuple(stack[start:]), calls)]
            elif op == 0x73:  # SETITEM
                set_items(stack[-3], stack[-2:])
                del stack[-2:]
            elif op == 0x61:  # APPEND
                entry = stack.pop()
                append_to(stack[-1], [entry])
            elif op == 0x2E:  # STOP
                return stack.pop()
            else:
                at = self._rare(op, at, stack, marks, memo, u8)

    def _rare(self, op: int, at: int, stack: list[Any], marks: list[int], memo: dict[int, Any], u8: Any) -> int:  # noqa: C901
        """Do what an instruction says that the default protocol of `torch.save` seldom uses; return the place after."""
        data = self.data
        if op in (0x80, 0x95):  # PROTO, FRAME
            return at + (1 if op == 0x80 else 8)
        if op in (0x8A, 0x8B):  # LONG1, LONG4
            width = 1 if op == 0x8A else 4
            size, at = int.from_bytes(data[at : at + width], "little"), at + width
            if size > 9:
                raise UnreadableError("its data have a number beyond 64 bits")
            stack.append(int.from_bytes(_bytes(data, at, size), "little", signed=True))
            return at + size
        if op in _TEXTS:
            width = _TEXTS[op]
            size, at = int.from_bytes(data[at : at + width], "little"), at + width
            stack.append(_text(data, at, size))
            return at + size
        if op in _BYTES:
            width = _BYTES[op]
            size, at = int.from_bytes(data[at : at + width], "little"), at + width
            stack.append(_bytes(data, at, size))
            return at + size
        if op == 0x94:  # MEMOIZE
            memo[len(memo)] = stack[-1]
        elif op == 0x93:  # STACK_GLOBAL
            attribute, module = stack.pop(), stack.pop()
            stack.append(self._name(module, attribute))
        elif op == 0x92:  # NEWOBJ_EX
            named, args = stack.pop(), stack.pop()
            stack[-1] = new_object(stack[-1], (args, named))
        elif op == 0x6F:  # OBJ
            start = marks.pop()
            stack[start:] = [call_result(stack[start], tuple(stack[start + 1 :]), self.calls)]
        elif op in (0x6C, 0x64, 0x91):  # LIST, DICT, FROZENSET
            start = marks.pop()
            entries = stack[start:]
            made: Any = {} if op == 0x64 else Inert("builtins.frozenset", (entries,)) if op == 0x91 else entries
            if op == 0x64:
                set_items(made, entries)
            stack[start:] = [made]
        elif op == 0x8F:  # EMPTY_SET
            stack.append(Inert("builtins.set", ([],)))
        elif op == 0x90:  # ADDITEMS
            start = marks.pop()
            append_to(stack[start - 1], stack[start:])
            del stack[start:]
        elif op == 0x30:  # POP
            if marks and marks[-1] == len(stack):
                marks.pop()
            else:
                stack.pop()
        elif op == 0x31:  # POP_MARK
            del stack[marks.pop() :]
        elif op == 0x32:  # DUP
            stack.append(stack[-1])
        else:
            raise UnreadableError(f"its object tree has an instruction ({op:#04x}) that torch does not write")
        return at

    def _name(self, module: Any, attribute: Any) -> Name:
        if type(module) is not str or type(attribute) is not str:
            raise UnreadableError("its object tree is damaged")
        if len(module) + len(attribute) > MAX_NAME:
            raise UnreadableError("its object tree has a name that is too long")
        name = Name(f"{module}.{attribute}")
        self.names.add(str(name))
        return name


_TEXTS = {0x8C: 1, 0x8D: 8}
"""SHORT_BINUNICODE and BINUNICODE8, with the bytes of their lengths."""
_BYTES = {0x43: 1, 0x42: 4, 0x8E: 8, 0x96: 8, 0x55: 1, 0x54: 4}
"""SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8, SHORT_BINSTRING and BINSTRING, likewise."""


def _bytes(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise UnreadableError("its object tree is damaged")
    return data[at : at + size]


def _text(data: bytes, at: int, size: int) -> str:
    return _bytes(data, at, size).decode("utf-8", "surrogatepass")
