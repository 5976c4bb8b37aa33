"""What a checkpoint's objects come to: plain data, and models as their architecture and tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.engine.checkpoint.inert_pickle import Inert, Name, StorageRef, TensorRef, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEPTH = 64
MAX_NAME = 500
MAX_PARTS = 100
MAX_VALUES = 500_000
"""Values that the data of a file may have once everything that it holds several times is written out."""
STUDENT = "student_model"
"""The part of a model in distillation that remains once it is trained."""
SETTINGS = frozenset({bool, int, float, str})
OWN = frozenset({"yaml", "args", "training", "save", "criterion", "pt_path", "stride", "inplace"})
"""Attributes of a model that building it or loading it sets."""


@dataclass(frozen=True)
class SavedModel:
    """A model as a file describes it: nothing of it has been built.

    Attributes:
        kind: The dotted name of its class.
        yaml: Its architecture; None if the file has none.
        tensors: Its parameters and persistent buffers, by their names in a state dict.
        attributes: Its attributes that are plain data or tensors.
        modules: Its modules by their names in it, each with the dotted name of its class and its settings: attributes
            that are numbers, text or booleans.
        incomplete: Tensors that are of a kind that cannot be read.
    """

    kind: str
    yaml: dict[str, Any] | None
    tensors: dict[str, TensorRef] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()

    @classmethod
    def of(cls, described: Any) -> SavedModel | None:
        """Return the model that an object of a pickle describes; None if it is not a module."""
        if not is_module(described):
            return None
        budget = Budget()
        walk = _Modules(budget)
        walk.visit(described, "", 0)
        top = described
        if STUDENT in described.state["_modules"]:
            top = described.state["_modules"][STUDENT]
            if not is_module(top):
                return None
        state = top.state
        yaml = plain(state.get("yaml"), budget=budget)
        attributes = {
            name: value
            for name, value in ((n, _simple(v, budget)) for n, v in state.items() if _is_own(n))
            if value is not NOTHING
        }
        return cls(
            described.name,
            yaml if isinstance(yaml, dict) else None,
            walk.tensors,
            attributes,
            walk.modules,
            tuple(walk.incomplete),
        )

    def part(self, prefix: str) -> dict[str, TensorRef]:
        """Return the tensors of one module, by their names in it."""
        start = len(prefix) + 1
        return {name[start:]: ref for name, ref in self.tensors.items() if name.startswith(f"{prefix}.")}

    @property
    def layers(self) -> set[str]:
        """The dotted names of the classes of its modules."""
        return {kind for kind, _ in self.modules.values()}

    @property
    def trained_modules(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The modules of the model that remains after training."""
        if STUDENT not in self.modules:
            return self.modules
        start = len(STUDENT) + 1
        return {n[start:]: m for n, m in self.modules.items() if n.startswith(f"{STUDENT}.")}

    @property
    def trained(self) -> dict[str, TensorRef]:
        """The tensors of the model that remains after training: without a teacher and what only distillation needs."""
        return self.part(STUDENT) or self.tensors


NOTHING = object()


def is_module(described: Any) -> bool:
    """Return whether an object of a pickle is a module of torch by its attributes."""
    if type(described) is not Inert or not isinstance(described.state, dict):
        return False
    return all(isinstance(described.state.get(part), dict) for part in ("_parameters", "_buffers", "_modules"))


class Budget:
    """What may come out of a file: it can hold something once, and mean it a million times."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, values: int) -> None:
        """Count values, or eight characters each for text that is made anew.

        Raises:
            UnreadableError: If there are too many.
        """
        self.left -= values
        if self.left < 0:
            raise UnreadableError("its data are nested too deeply, or grow beyond measure")


class _Modules:
    """The tensors of a module and of all those in it, in the order of a state dict."""

    def __init__(self, budget: Budget) -> None:
        self.tensors: dict[str, TensorRef] = {}
        self.modules: dict[str, tuple[str, dict[str, Any]]] = {}
        self.incomplete: list[str] = []
        self._budget = budget
        self._settings: dict[int, dict[str, Any]] = {}

    def visit(self, module: Inert, prefix: str, depth: int) -> None:
        """Take in one module."""
        state = module.state
        parts = state["_parameters"], state["_buffers"], state["_modules"]
        self._budget.spend(1 + sum(map(len, parts)) + len(prefix) // 8)
        if depth > MAX_DEPTH:
            raise UnreadableError("its model is nested too deeply, or too large")
        if (settings := self._settings.get(id(module))) is None:  # activations are one object in many places
            settings = {k: v for k, v in state.items() if type(v) in SETTINGS and type(k) is str}
            self._settings[id(module)] = settings
            self._budget.spend(len(state))
        self.modules[prefix.removesuffix(".")] = str(module.name), settings
        left_out = _entries(state.get("_non_persistent_buffers_set"))
        self._budget.spend(len(left_out))
        for name, value in (*parts[0].items(), *parts[1].items()):
            if value is None or name in left_out:
                continue
            if type(value) is TensorRef and _is_part(name):
                self.tensors[f"{prefix}{name}"] = value
            else:
                self._lack(f"{prefix}{name}")
        for name, child in parts[2].items():
            if is_module(child) and _is_part(name):
                self.visit(child, f"{prefix}{name}.", depth + 1)
            elif child is not None:
                self._lack(f"{prefix}{name}")

    def _lack(self, name: str) -> None:
        if not self.incomplete:  # the first is what an error names
            self.incomplete.append(name[:MAX_NAME])


def _is_part(name: Any) -> bool:
    return type(name) is str and 0 < len(name) <= MAX_NAME


def _is_own(name: Any) -> bool:
    return type(name) is str and name.isidentifier() and not name.startswith("_") and name not in OWN


def _entries(described: Any) -> frozenset[str]:
    """Return the text in a set."""
    if type(described) is Inert and described.args and isinstance(described.args[0], list):
        return frozenset(e for e in (*described.args[0], *described.items) if type(e) is str)
    return frozenset()


def _simple(value: Any, budget: Budget) -> Any:
    """Return an attribute that is plain data or a tensor; `NOTHING` for anything else."""
    if type(value) is TensorRef:
        return value
    if type(value) is Inert and value.name not in CONVERSIONS:
        return NOTHING
    return plain(value, budget=budget)


def plain(value: Any, tensor: Callable[[TensorRef], Any] = lambda ref: ref, budget: Budget | None = None) -> Any:
    """Return data as it is, and None for objects that are not data.

    Args:
        value: Something that a pickle describes.
        tensor: Returns what stands for a tensor.
        budget: What may come out of the file in all.

    Raises:
        UnreadableError: If it is nested too deeply, or grows beyond measure.
    """
    return _Plain(tensor, budget or Budget()).of(value, 0)


class _Plain:
    def __init__(self, tensor: Callable[[TensorRef], Any], budget: Budget) -> None:
        self.tensor, self.budget = tensor, budget

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
            convert = CONVERSIONS.get(str(value.name))
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
    "ultralytics.utils.IterableSimpleNamespace": _namespace,
    "ultralytics.yolo.utils.IterableSimpleNamespace": _namespace,
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
