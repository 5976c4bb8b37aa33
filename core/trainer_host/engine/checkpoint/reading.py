"""Reading checkpoints: their data, and the architecture and tensors of their model."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.errors import Problem, SettingsError, UnsafeError
from trainer_host.base.wording import counted, listed
from trainer_host.engine.checkpoint.inert_objects import TensorRef, UnreadableError
from trainer_host.engine.checkpoint.plain_values import Budget, plain
from trainer_host.engine.checkpoint.record import RECORD, STATE, record_problem
from trainer_host.engine.checkpoint.saved_model import SavedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.engine.checkpoint.archive import Archive
    from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat
    from trainer_host.engine.checkpoint.inert_pickle import Described
    from trainer_host.engine.checkpoint.parsed_files import ParsedFiles

MAX_SHARED = 4
"""Limit of a model's elements as a multiple of those in its storages; a few layers share their weights."""
KNOWN = frozenset({"torch", "torchvision", "numpy", "collections", "pathlib", "datetime", "types", "argparse"})
"""Packages whose classes and functions are in checkpoints that can be loaded in full without harm."""
BUILTINS = frozenset({"set", "frozenset", "getattr", "slice", "range", "complex", "bytearray", "object"})
CALLED = frozenset(
    {
        "_codecs.encode",
        "collections.OrderedDict",
        "collections.defaultdict",
        "copy_reg._reconstructor",
        "copyreg._reconstructor",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.dtype",
        "datetime.datetime",
        "torch.Size",
        "torch.device",
        "torch._tensor._rebuild_from_type_v2",
        "torchvision.transforms.functional.InterpolationMode",
        "types.SimpleNamespace",
        "argparse.Namespace",
        *(f"pathlib.{kind}" for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
        *(f"pathlib._local.{kind}" for kind in ("PosixPath", "WindowsPath")),
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in BUILTINS),
    }
)
"""Calls in the pickles of checkpoints, besides those that rebuild tensors."""
TENSORS = "torch._utils._rebuild_"


class Checkpoint:
    """A checkpoint that was read, of which nothing has been built. Tensors are read on demand.

    Args:
        path: Its file.
        archive: The archive that it is.
        content: What its pickle describes.
        form: Its format.

    Attributes:
        path: Its file.
    """

    def __init__(self, path: Path, archive: Archive, content: dict[Any, Any], form: CheckpointFormat) -> None:
        self.path, self.form = path, form
        self._archive = archive
        self._described = content

    @cached_property
    def record(self) -> dict[str, Any]:
        """The host's record of the run, without tensors; empty for a file of another program."""
        found = self._described.get(RECORD)
        if not isinstance(found, dict):
            return {}
        kept = {k: v for k, v in found.items() if k != STATE}
        record: dict[str, Any] = plain(kept, namespaces=self.form.namespaces)
        return record

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The engine's settings of the training; empty if the file does not have them."""
        found = plain(self._described.get(self.form.settings), namespaces=self.form.namespaces)
        return found if isinstance(found, dict) else {}

    @cached_property
    def model(self) -> SavedModel | None:
        """The pickled model; None if the file holds a state dict, or no model at all."""
        if self.in_state_form:
            return None
        return next(filter(None, (SavedModel.of(self._described.get(k), self.form) for k in self.form.models)), None)

    @property
    def in_state_form(self) -> bool:
        """Whether the record holds the model as a state dict."""
        found = self._described.get(RECORD)
        return isinstance(found, dict) and STATE in found

    @property
    def task(self) -> str | None:
        """The task that the file was trained for, or None if it does not say."""
        model = self.model.attributes.get("task") if self.model is not None else None
        found = self.record.get("task") or self.settings.get("task") or model
        return found if isinstance(found, str) else None

    @property
    def content(self) -> dict[str, Any]:
        """Everything in the file but the model, as plain data and tensors."""
        budget = Budget()
        try:
            kept = {k: v for k, v in self._described.items() if k not in self.form.models}
            return {str(k): plain(v, self.tensor, budget, self.form.namespaces) for k, v in kept.items()}
        except UnreadableError as error:
            raise unreadable(self.path, str(error)) from error

    def tensors(self, refs: Mapping[str, TensorRef]) -> dict[str, torch.Tensor]:
        """Return tensors of the file by name.

        Raises:
            SettingsError: If one of them is not in the file, or has a value that is not finite.
        """
        distinct = {ref.storage.key: ref.storage.size for ref in refs.values()}
        if sum(math.prod(ref.shape) for ref in refs.values()) > MAX_SHARED * sum(distinct.values()):
            raise unreadable(self.path, "its tensors are the same ones over and over")
        found = {name: self.tensor(ref) for name, ref in refs.items()}
        faulty = [n for n, t in found.items() if t.is_floating_point() and not _is_finite(t)]
        if faulty:
            many = f" and {counted(len(faulty) - 1, 'more tensor')}" if len(faulty) > 1 else ""
            what = f"the weights are not finite: {faulty[0]}{many} contain NaN or infinity."
            raise SettingsError(Problem(what, "use an earlier checkpoint", str(self.path)))
        return found

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the model: those of the record, or of the pickled model as it remains after training.

        Raises:
            SettingsError: If there is no model, or if its tensors cannot be read.
        """
        if self.in_state_form:
            kept = self._described[RECORD][STATE]
            if not isinstance(kept, dict) or not all(type(k) is str and type(v) is TensorRef for k, v in kept.items()):
                raise unreadable(self.path, "its state_dict is not a mapping of names to tensors")
            return self.tensors(kept)
        if self.model is None:
            raise SettingsError(Problem("the file contains no model.", "use another file", str(self.path)))
        if self.model.incomplete:
            what = f"{self.model.incomplete[0]} is not a tensor of a supported kind"
            raise unreadable(self.path, what)
        return self.tensors(self.model.trained)

    def tensor(self, ref: TensorRef) -> torch.Tensor:
        """Return one tensor.

        Raises:
            SettingsError: If it is not in the file.
        """
        try:
            return self._archive.tensor(ref)
        except UnreadableError as error:
            raise unreadable(self.path, str(error)) from error


def _is_finite(tensor: torch.Tensor) -> bool:
    # In single precision, as models are used. The sum is not finite if an element is not; it may overflow if all are.
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.float().isfinite().all())


def read_checkpoint(path: Path | str, form: CheckpointFormat, parsed: ParsedFiles) -> Checkpoint:
    """Read a checkpoint: no class or function that it names is imported, called or instantiated.

    Args:
        path: The file.
        form: Its format.
        parsed: Files that were parsed before.

    Raises:
        SettingsError: If the file is missing, damaged, or not a checkpoint.
        UnsafeError: If loading it in full could execute arbitrary code.
    """
    path = Path(path)
    if not path.is_file():
        raise SettingsError(Problem(f"checkpoint {path} not found.", "give the path of a checkpoint (best.pt)"))
    try:
        archive, described = parsed.open(path)
        content = described.value
        if isinstance(content, dict):
            checkpoint = Checkpoint(path, archive, content, form)
            _refuse_code(path, described, checkpoint.model, form)
            _ = checkpoint.record, checkpoint.settings  # whether they are within the limits
            if checkpoint.model is None and not checkpoint.in_state_form:
                raise UnreadableError("it contains no model")
        else:
            _refuse_code(path, described, SavedModel.of(content, form), form)
            raise UnreadableError("it does not contain a dict with a model")
    except UnreadableError as error:
        raise unreadable(path, str(error)) from error
    if (problem := record_problem(checkpoint.record, path)) is not None:
        raise SettingsError(problem)
    if any(content.get(key) is not None for key in form.refused):
        fix = "export the model, or train again without quantize"
        what = "refused: it contains a quantization state, which can only be restored by executing it."
        raise UnsafeError(Problem(what, fix, str(path)))
    return checkpoint


def _refuse_code(path: Path, described: Described, model: SavedModel | None, form: CheckpointFormat) -> None:
    """Refuse a file that would call a function, or make an object that is not a layer, if it were loaded in full.

    Nothing of it has been called. But such a file is not what it claims to be, and other programs would run it.
    """
    layers = model.layers if model is not None else set()
    packages, called = {*KNOWN, form.package}, CALLED | form.namespaces
    foreign = {n for n in described.names if n.partition(".")[0] not in packages and n not in called | layers}
    foreign |= {n for n in described.calls if n not in called and not n.startswith(TENSORS) and "()" not in n}
    if foreign:
        shown = listed(sorted(foreign))
        what = f"refused: loading it in full could execute arbitrary code ({shown}). Nothing was executed."
        raise UnsafeError(Problem(what, "ask its author for a state dict, or do not use the file", str(path)))


def unreadable(path: Path, why: str) -> SettingsError:
    """Return the error of a file that is not a checkpoint, or that is damaged."""
    return SettingsError(Problem(f"cannot read the checkpoint: {why}.", "use another file", str(path)))
