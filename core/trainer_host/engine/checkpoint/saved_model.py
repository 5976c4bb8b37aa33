"""Models in a checkpoint, as their architecture and tensors: nothing of them is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer_host.engine.checkpoint.inert_objects import Inert, TensorRef, UnreadableError
from trainer_host.engine.checkpoint.plain_values import MAX_DEPTH, MAX_NAME, Budget, conversion_of, plain

if TYPE_CHECKING:
    from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat

SETTINGS = frozenset({bool, int, float, str})


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
        student: The part that remains after training, if the model has it.
    """

    kind: str
    yaml: dict[str, Any] | None
    tensors: dict[str, TensorRef] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()
    student: str = ""

    @classmethod
    def of(cls, described: Any, form: CheckpointFormat) -> SavedModel | None:
        """Return the model that an object of a pickle describes; None if it is not a module."""
        if not is_module(described):
            return None
        budget = Budget()
        walk = _Modules(budget)
        walk.visit(described, "", 0)
        top = described
        if form.student in described.state["_modules"]:
            top = described.state["_modules"][form.student]
            if not is_module(top):
                return None
        state = top.state
        yaml = plain(state.get("yaml"), budget=budget, namespaces=form.namespaces)
        attributes = {
            name: value
            for name, value in ((n, _simple(v, budget, form)) for n, v in state.items() if _is_own(n, form))
            if value is not NOTHING
        }
        return cls(
            described.name,
            yaml if isinstance(yaml, dict) else None,
            walk.tensors,
            attributes,
            walk.modules,
            tuple(walk.incomplete),
            form.student,
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
        if self.student not in self.modules:
            return self.modules
        start = len(self.student) + 1
        return {n[start:]: m for n, m in self.modules.items() if n.startswith(f"{self.student}.")}

    @property
    def trained(self) -> dict[str, TensorRef]:
        """The tensors of the model that remains after training: without a teacher and what only distillation needs."""
        return self.part(self.student) or self.tensors


NOTHING = object()


def is_module(described: Any) -> bool:
    """Return whether an object of a pickle is a module of torch by its attributes."""
    if type(described) is not Inert or not isinstance(described.state, dict):
        return False
    return all(isinstance(described.state.get(part), dict) for part in ("_parameters", "_buffers", "_modules"))


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
        skipped = _entries(state.get("_non_persistent_buffers_set"))
        self._budget.spend(len(skipped))
        for name, value in (*parts[0].items(), *parts[1].items()):
            if value is None or name in skipped:
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


def _is_own(name: Any, form: CheckpointFormat) -> bool:
    return type(name) is str and name.isidentifier() and not name.startswith("_") and name not in form.rebuilt


def _entries(described: Any) -> frozenset[str]:
    """Return the text in a set."""
    if type(described) is Inert and described.args and isinstance(described.args[0], list):
        return frozenset(e for e in (*described.args[0], *described.items) if type(e) is str)
    return frozenset()


def _simple(value: Any, budget: Budget, form: CheckpointFormat) -> Any:
    """Return an attribute that is plain data or a tensor; `NOTHING` for anything else."""
    if type(value) is TensorRef:
        return value
    if type(value) is Inert and conversion_of(value, form.namespaces) is None:
        return NOTHING
    return plain(value, budget=budget, namespaces=form.namespaces)
