"""Writing checkpoints: a model of the engine's classes as a pickle, any other as plain data."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.atomic_io import plain
from trainer_host.base.errors import PluginError, Problem
from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.settings import is_file
from trainer_host.engine.checkpoint.inert_objects import UnreadableError
from trainer_host.engine.checkpoint.inert_pickle import read_pickle
from trainer_host.engine.checkpoint.record import STATE
from trainer_host.plugin.discovery import OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat
    from trainer_host.plugin.chain import Chain

KNOWN_PACKAGES = frozenset({"torch", "numpy", "builtins", "__builtin__", "collections", "_codecs"})
"""Packages that every reader of a checkpoint has, and Python itself."""


def foreign_names(file: Path | io.BytesIO, form: CheckpointFormat) -> set[str]:
    """Return the classes and functions that a checkpoint names outside of torch, numpy and the engine."""
    try:
        with zipfile.ZipFile(file) as archive:
            pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            names = read_pickle(archive.read(pickled)).names if pickled else set()
    except zipfile.BadZipFile:
        return set()
    return {n for n in names if n.partition(".")[0] not in {*KNOWN_PACKAGES, form.package}}


def foreign_classes(model: Module, form: CheckpointFormat) -> set[type]:
    """Return the classes of a model's modules that come from neither torch nor the engine."""
    return {type(m) for m in model.modules() if type(m).__module__.partition(".")[0] not in {"torch", form.package}}


def as_state(model: Module, chain: Chain, form: CheckpointFormat) -> dict[str, Any]:
    """Return the part of a record that holds a model as plain data."""
    owners = {chain.blame(c.__module__) for c in foreign_classes(model, form)} - {None}
    if not owners:  # layers whose classes are of a package that is not a plugin
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

    An engine without the host puts the unknown task of a model into its error: so the file says what it needs.
    """
    stand_in = torch.nn.Identity()
    needed = [name for name in record["needs"] if not is_file(name) and name != OBJECT]
    packages = " ".join(["trainer-host", *needed])
    files = "".join(f" --plugin {Path(name).name}" for name in record["needs"] if is_file(name))
    stand_in.task = f"{record['task']} (needs: pip install {packages}; then: trainer predict model=FILE{files})"  # type: ignore[assignment]
    return stand_in


def serialise(content: dict[str, Any], chain: Chain, form: CheckpointFormat) -> bytes:
    """Return a checkpoint's bytes.

    Raises:
        PluginError: If it would name a class outside of torch, numpy and the engine; the plugin is named.
    """
    buffer = io.BytesIO()
    try:
        with gc_paused():  # each makes many objects, at which the collector would go through the whole process
            torch.save(content, buffer)
            names = foreign_names(buffer, form)
    except (pickle.PicklingError, AttributeError, TypeError, UnreadableError) as error:
        raise _not_plain(str(error), None, chain) from error
    for name in sorted(names):
        raise _not_plain(f"{name} would be written into the checkpoint.", name, chain)
    return buffer.getvalue()


def _not_plain(what: str, name: str | None, chain: Chain) -> PluginError:
    blamed = (
        chain.blame(name)
        if name
        else next((m.record for m in reversed(chain.members) if m.record.target.partition(":")[0] in what), None)
    )
    who = (
        f"plugin {blamed.name!r} from {blamed.origin} set an attribute of the model"
        if blamed
        else "an attribute of the model"
    )
    return PluginError(
        Problem(f"{who} that is not plain data: {what}", "set numbers, text, lists, dicts and tensors only")
    )
