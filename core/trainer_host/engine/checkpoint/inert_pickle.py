"""A reader of pickles that calls nothing.

A pickle is a small program whose instructions call functions and classes by name. Here these instructions only note
what would have been called: the result consists of plain data, `Inert` objects and `TensorRef` descriptions of tensors.
No name is looked up, so nothing that a file names can be imported, called or instantiated.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BYTES = 4 * 2**20
"""Size of the largest pickle that is read; that of a model with 1,000 tensors has a quarter of a megabyte."""
MAX_OBJECTS = 1_000_000
"""Upper bound for the objects of a pickle, each of which costs up to a hundred bytes."""
MAX_NAME = 500
"""Characters of the longest dotted name."""
ALLOCATING = b"}]\x8f\x91R\x81\x92oit\x85\x86\x87\x94"
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
    """A stack machine that reads a pickle: `OPCODES` has the method of each instruction.

    A checkpoint has about 100,000 instructions, so each costs no more than a lookup and a call.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()
        self.calls: set[str] = set()

    def run(self) -> Any:
        """Return the object that the pickle describes."""
        data, find = self.data, OPCODES.get
        while (op := data[self.at]) != STOP:
            self.at += 1
            execute = find(op)
            if execute is None:
                raise UnreadableError(f"its object tree has an instruction ({op:#04x}) that torch does not write")
            execute(self)
        return self.stack.pop()

    def take(self, size: int) -> bytes:
        """Return the next bytes of the file. Beyond its end they are fewer, and `run` finds no further instruction."""
        start = self.at
        self.at += size
        return self.data[start : self.at]

    def count(self, width: int) -> int:
        """Return the next bytes as a number without a sign."""
        start = self.at
        self.at += width
        return int.from_bytes(self.data[start : self.at], "little")

    def sized(self, width: int) -> bytes:
        """Return as many bytes as the ``width`` bytes before them say."""
        return self.take(self.count(width))

    def since_mark(self) -> list[Any]:
        """Take what lies on the stack above the last mark."""
        start = self.marks.pop()
        entries = self.stack[start:]
        del self.stack[start:]
        return entries

    def global_name(self) -> None:
        """Push the name that the next two lines spell."""
        middle = self.data.index(b"\n", self.at)
        end = self.data.index(b"\n", middle + 1)
        module, attribute = self.data[self.at : middle], self.data[middle + 1 : end]
        self.at = end + 1
        self.push_name(module.decode(), attribute.decode())

    def stack_name(self) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        self.push_name(module, attribute)

    def push_name(self, module: Any, attribute: Any) -> None:
        if type(module) is not str or type(attribute) is not str:
            raise UnreadableError("its object tree is damaged")
        if len(module) + len(attribute) > MAX_NAME:
            raise UnreadableError("its object tree has a name that is too long")
        name = Name(f"{module}.{attribute}")
        self.names.add(str(name))
        self.stack.append(name)

    def reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = call_result(self.stack[-1], args, self.calls)

    def call_since_mark(self) -> None:
        function, *args = self.since_mark()
        self.stack.append(call_result(function, tuple(args), self.calls))

    def inst(self) -> None:
        self.global_name()
        function = self.stack.pop()
        self.stack.append(call_result(function, tuple(self.since_mark()), self.calls))

    def new(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = new_object(self.stack[-1], args)

    def new_named(self) -> None:
        named, args = self.stack.pop(), self.stack.pop()
        self.stack[-1] = new_object(self.stack[-1], (args, named))

    def build(self) -> None:
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    def persistent(self) -> None:
        self.stack[-1] = storage_of(self.stack[-1])

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def duplicate(self) -> None:
        self.stack.append(self.stack[-1])

    # Every second instruction is one of these three, so they read the file themselves.

    def recall(self) -> None:
        self.stack.append(self.memo[self.data[self.at]])
        self.at += 1

    def memorize(self) -> None:
        self.memo[int.from_bytes(self.data[self.at : self.at + 4], "little")] = self.stack[-1]
        self.at += 4

    def small_number(self) -> None:
        self.stack.append(self.data[self.at])
        self.at += 1

    def memorize_short(self) -> None:
        self.memo[self.count(1)] = self.stack[-1]

    def memorize_next(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def append(self) -> None:
        entry = self.stack.pop()
        append_to(self.stack[-1], [entry])

    def appends(self) -> None:
        entries = self.since_mark()
        append_to(self.stack[-1], entries)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        set_items(self.stack[-1], [key, value])

    def set_many(self) -> None:
        entries = self.since_mark()
        set_items(self.stack[-1], entries)

    def mapping(self) -> None:
        entries = self.since_mark()
        self.stack.append({})
        set_items(self.stack[-1], entries)


_Operation: TypeAlias = "Callable[[_Machine], object]"


def _pushed(make: Callable[[_Machine], Any]) -> _Operation:
    """Return an instruction that pushes what a function returns."""
    return lambda machine: machine.stack.append(make(machine))


def _number(form: str) -> _Operation:
    read = struct.Struct(form)
    return _pushed(lambda machine: read.unpack(machine.take(read.size))[0])


def _integer(width: int) -> _Operation:
    def whole(machine: _Machine) -> int:
        data = machine.sized(width)
        if len(data) > 9:
            raise UnreadableError("its data have a number beyond 64 bits")
        return int.from_bytes(data, "little", signed=True)

    return _pushed(whole)


def _text(width: int) -> _Operation:
    return _pushed(lambda machine: machine.sized(width).decode("utf-8", "surrogatepass"))


def _bytes(width: int) -> _Operation:
    return _pushed(lambda machine: machine.sized(width))


def _constant(value: Any) -> _Operation:
    return lambda machine: machine.stack.append(value)


def _tuple_of(count: int) -> _Operation:
    def pack(machine: _Machine) -> None:
        stack = machine.stack
        if len(stack) < count:
            raise UnreadableError("its object tree is damaged")
        stack[-count:] = [tuple(stack[-count:])]

    return pack


STOP = 0x2E
OPCODES: Mapping[int, _Operation] = {
    0x80: lambda machine: machine.take(1),  # PROTO
    0x95: lambda machine: machine.take(8),  # FRAME
    0x4E: _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    0x29: _constant(()),
    0x5D: _pushed(lambda _: []),
    0x7D: _pushed(lambda _: {}),
    0x8F: _pushed(lambda _: Inert("builtins.set", ([],))),
    0x4B: _Machine.small_number,  # BININT1
    0x4D: _pushed(lambda machine: machine.count(2)),  # BININT2
    0x4A: _number("<i"),  # BININT
    0x47: _number(">d"),  # BINFLOAT
    0x8A: _integer(1),  # LONG1
    0x8B: _integer(4),  # LONG4
    0x8C: _text(1),  # SHORT_BINUNICODE
    0x58: _text(4),  # BINUNICODE
    0x8D: _text(8),  # BINUNICODE8
    0x43: _bytes(1),  # SHORT_BINBYTES
    0x42: _bytes(4),  # BINBYTES
    0x8E: _bytes(8),  # BINBYTES8
    0x96: _bytes(8),  # BYTEARRAY8
    0x55: _bytes(1),  # SHORT_BINSTRING
    0x54: _bytes(4),  # BINSTRING
    0x71: _Machine.memorize_short,  # BINPUT
    0x72: _Machine.memorize,  # LONG_BINPUT
    0x94: _Machine.memorize_next,  # MEMOIZE
    0x68: _Machine.recall,  # BINGET
    0x6A: _pushed(lambda machine: machine.memo[machine.count(4)]),  # LONG_BINGET
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    0x74: _pushed(lambda machine: tuple(machine.since_mark())),  # TUPLE
    0x6C: _pushed(_Machine.since_mark),  # LIST
    0x91: _pushed(lambda machine: Inert("builtins.frozenset", (machine.since_mark(),))),
    0x64: _Machine.mapping,  # DICT
    0x61: _Machine.append,
    0x65: _Machine.appends,
    0x90: _Machine.appends,  # ADDITEMS
    0x73: _Machine.set_item,
    0x75: _Machine.set_many,  # SETITEMS
    0x63: _Machine.global_name,
    0x93: _Machine.stack_name,
    0x51: _Machine.persistent,  # BINPERSID
    0x52: _Machine.reduce,
    0x6F: _Machine.call_since_mark,  # OBJ
    0x69: _Machine.inst,
    0x81: _Machine.new,
    0x92: _Machine.new_named,  # NEWOBJ_EX
    0x62: _Machine.build,
    0x28: _Machine.mark,
    0x30: _Machine.pop,
    0x31: _Machine.since_mark,  # POP_MARK
    0x32: _Machine.duplicate,
}
"""The instructions that torch writes, in any protocol of pickles. Comments give the names of `pickletools`."""
