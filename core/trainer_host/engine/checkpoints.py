"""Checkpoints: written whole or not at all, read without running code, and telling which plugins they need.

A file holds what the ecosystem expects, and one more plain dict ``trainer_host``. A model made of the engine's and
torch's classes is pickled, so that plain ultralytics can load it. A model with any other class is stored as a
state dict, never by class.
"""

from __future__ import annotations

import importlib
import io
import pickle
import pickletools
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn.tasks import torch_safe_load

from trainer_host.base.data import plain
from trainer_host.base.errors import PluginError, Problem, SettingsError, UnsafeError
from trainer_host.base.settings import is_file
from trainer_host.engine.versions import engine_version
from trainer_host.plugin.options import options_as_data
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer_host.base.protocols import Module
    from trainer_host.plugin.chain import Chain

RECORD = "trainer_host"
STATE = "state_dict"
FORMAT = 1
KNOWN_PACKAGES = frozenset({"torch", "ultralytics", "numpy", "builtins", "collections", "_codecs"})
NAMING = frozenset({"GLOBAL", "STACK_GLOBAL", "INST"})
"""Instructions of a pickle that name a class or a function."""

SWITCH_ON = "If a plugin brings this class, switch it on: --plugin NAME"
ALLOWING = threading.Lock()
"""Held while classes of plugins are allowed in files, because torch keeps one list of these for all threads."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        path: Its file.
        content: Its top-level dict.
    """

    path: Path
    content: dict[str, Any]

    @property
    def record(self) -> dict[str, Any]:
        """What the host wrote about the run; empty for a file of another program."""
        found = self.content.get(RECORD)
        return found if isinstance(found, dict) else {}

    @property
    def task(self) -> str | None:
        """The task that the file was trained for, or None where it does not say."""
        args = self.content.get("train_args") or {}
        return self.record.get("task") or args.get("task") or getattr(self.module, "task", None)

    @property
    def module(self) -> Module | None:
        """The pickled model; None where the file holds a state dict."""
        found = self.content.get("ema") or self.content.get("model")
        return found if isinstance(found, torch.nn.Module) and STATE not in self.record else None


def read_checkpoint(path: Path | str, aliases: Callable[[], Mapping[str, str]] = dict) -> Checkpoint:
    """Read a checkpoint without running code: only classes of torch and of the engine are built.

    Args:
        path: The file.
        aliases: Returns what plugins bring instead of other classes, as ``module:class`` by their names in the file.
            It is asked only where the file names such a class.

    Raises:
        SettingsError: If the file is missing or damaged.
        UnsafeError: If it names anything else.
        PluginError: If an alias names no `torch.nn.Module`.
    """
    path = Path(path)
    if not path.is_file():
        raise SettingsError(Problem(f"there is no file {path}.", "Give the path of a checkpoint, such as best.pt."))
    try:
        content = _load(path)
    except UnsafeError:
        stand_ins = _stand_ins(path, aliases())
        if not stand_ins:
            raise
        with ALLOWING, torch.serialization.safe_globals(stand_ins):
            content = _load(path)
    checkpoint = Checkpoint(path, content)
    if not isinstance(made := checkpoint.record.get("format", FORMAT), int) or made > FORMAT:
        raise SettingsError(Problem("a newer trainer-host wrote this file.", "Upgrade trainer-host.", str(path)))
    return checkpoint


def _load(path: Path) -> dict[str, Any]:
    try:
        content, _ = torch_safe_load(
            str(path.resolve()), safe_only=True
        )  # by a bare name it would replace a damaged file
    except TypeError as error:
        if "references types" in str(error) and _names_code(path, str(error.__cause__)):
            foreign = ", ".join(sorted(foreign_names(path) | _gone(path))) or _named(str(error.__cause__))
            what = f"refused: it names classes that neither torch nor the engine has ({foreign})."
            fix = "Loading it would run code of whoever made it. Ask for the file as a state dict."
            raise UnsafeError(Problem(what, f"{fix} {SWITCH_ON}", str(path))) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError, pickle.UnpicklingError) as error:
        raise _damaged(path) from error
    except ImportError as error:
        fix = f"It was made by another release or program. {SWITCH_ON}"
        raise UnsafeError(Problem(f"refused: {error}.", fix, str(path))) from error
    loaded: dict[str, Any] = content
    return loaded


def _stand_ins(path: Path, aliases: Mapping[str, str]) -> list[Any]:
    """Return the classes of plugins for those that a file names, with these names."""
    named = _classes_in(path)
    return [(_aliased_class(name, aliases[name]), name) for name in sorted(named.intersection(aliases))]


def _aliased_class(name: str, target: str) -> type:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(Problem(f"the alias {name!r} names {target}, which is not there: {error}.")) from error
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise PluginError(Problem(f"the alias {name!r} names {target}, which is no torch.nn.Module."))
    return found


def _names_code(path: Path, refusal: str) -> bool:
    """Return whether a file that was refused names a class or function; otherwise it is no pickle of torch's at all."""
    if "Unsupported operand" not in refusal:
        return True
    with path.open("rb") as file:
        try:
            return any(op.name in NAMING for op, _, _ in pickletools.genops(file))
        except ValueError:
            return False


def _named(refusal: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", refusal)
    return found[1] if found else "code"


def _damaged(path: Path) -> SettingsError:
    return SettingsError(Problem("this is no checkpoint, or a damaged one.", "Give another file.", str(path)))


def _classes_in(file: Path | io.BytesIO) -> set[str]:
    """Return the classes and functions that a checkpoint names, besides those of torch that hold tensors."""
    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except (ValueError, RuntimeError, pickle.UnpicklingError):
        return set()


def _gone(path: Path) -> set[str]:
    """Return what a checkpoint names in modules of the engine that have nothing of that name."""
    split = (name.rpartition(".") for name in _classes_in(path) if name.startswith("ultralytics."))
    return {f"{module}.{name}" for module, _, name in split if not hasattr(sys.modules.get(module), name)}


def foreign_names(file: Path | io.BytesIO) -> set[str]:
    """Return the classes and functions that a checkpoint names outside of torch, numpy and the engine."""
    return {n for n in _classes_in(file) if n.partition(".")[0] not in KNOWN_PACKAGES}


def foreign_classes(model: Module) -> set[type]:
    """Return the classes of a model's modules that come from neither torch nor the engine."""
    return {type(m) for m in model.modules() if type(m).__module__.partition(".")[0] not in {"torch", "ultralytics"}}


def make_record(chain: Chain, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint says about its run, as plain data."""
    return {
        "format": FORMAT,
        "task": chain.name,
        "chain": [m.record.name for m in chain.tasks],
        "plugins": [
            {
                "name": m.record.name,
                "kind": m.record.kind,
                "distribution": m.record.distribution,
                "version": m.record.version,
                "options": options_as_data(m.options),
            }
            for m in chain.again
        ],
        "always": list(chain.unasked),
        "versions": {
            "trainer-host": __version__,
            "ultralytics": engine_version(),
            "torch": str(torch.__version__),
        },
        "data": plain(data),
    }


def options_of(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options that a checkpoint's record holds, by plugin."""
    return {p["name"]: dict(p["options"]) for p in record.get("plugins", ()) if p.get("options")}


def extensions_of(record: Mapping[str, Any]) -> list[str]:
    """Return the extensions that a checkpoint's record names."""
    return [p["name"] for p in record.get("plugins", ()) if p.get("kind") == "extension"]


def as_state(model: Module, chain: Chain) -> dict[str, Any]:
    """Return the part of a record that holds a model as plain data."""
    owners = {chain.blame(c.__module__) for c in foreign_classes(model)} - {None}
    if not owners:  # layers whose classes are of a package that is no plugin
        bringing = {impl.plugin_name for impl in chain.manager.hook.layers.get_hookimpls()}
        owners = {m.record for m in chain.members + chain.always if f"{m.record.kind}:{m.record.name}" in bringing}
    needs = sorted({o.distribution for o in owners if o}) or [chain.tasks[-1].record.distribution]
    yaml = getattr(model, "yaml", None)
    return {
        STATE: {k: v.detach().cpu() for k, v in model.state_dict().items()},
        "cfg": plain(yaml) if isinstance(yaml, dict) else None,
        "needs": needs,
    }


def notice(record: Mapping[str, Any]) -> Module:
    """Return a stand-in for a model that is stored as a state dict.

    Plain ultralytics puts a model's task into its error when it does not know it: so the file says what it needs.
    """
    stand_in = torch.nn.Identity()
    packages = " ".join(["trainer-host", *(name for name in record["needs"] if not is_file(name))])
    files = "".join(f" --plugin {Path(name).name}" for name in record["needs"] if is_file(name))
    stand_in.task = f"{record['task']} (needs: pip install {packages}; then: trainer predict model=FILE{files})"  # type: ignore[assignment]
    return stand_in


def serialise(content: dict[str, Any], chain: Chain) -> bytes:
    """Return a checkpoint's bytes.

    Raises:
        PluginError: If it would name a class outside of torch, numpy and the engine; the plugin is named.
    """
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _not_plain(str(error), None, chain) from error
    buffer.seek(0)
    for name in sorted(foreign_names(buffer)):
        raise _not_plain(f"{name} would be written into the checkpoint.", name, chain)
    return buffer.getvalue()


def _not_plain(what: str, name: str | None, chain: Chain) -> PluginError:
    blamed = (
        chain.blame(name)
        if name
        else next((m.record for m in reversed(chain.members) if m.record.target.partition(":")[0] in what), None)
    )
    who = (
        f"plugin {blamed.name!r} from {blamed.origin} put something on the model"
        if blamed
        else "something on the model"
    )
    return PluginError(
        Problem(f"{who} that is not plain data: {what}", "Set numbers, text, lists, dicts and tensors only.")
    )
