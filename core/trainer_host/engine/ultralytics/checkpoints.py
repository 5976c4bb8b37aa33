"""Checkpoints of ultralytics: their format, and reading and writing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.engine.checkpoint import reading, record, writing
from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat
from trainer_host.engine.checkpoint.parsed_files import ParsedFiles
from trainer_host.engine.ultralytics.release_window import engine_version

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.plugin.chain import Chain

STUDENT = "student_model"
"""The part of a model in distillation that remains once it is trained."""
FORMAT = CheckpointFormat(
    package="ultralytics",
    namespaces=frozenset(
        {"ultralytics.utils.IterableSimpleNamespace", "ultralytics.yolo.utils.IterableSimpleNamespace"}
    ),
    models=("ema", "model"),
    settings="train_args",
    refused=("modelopt",),
    student=STUDENT,
    rebuilt=frozenset({"yaml", "args", "training", "save", "criterion", "pt_path", "stride", "inplace"}),
)
PARSED = ParsedFiles()
"""Files that were parsed in a run: inferring its task, checking, building and filling its model share them."""


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint: no class or function that it names is imported, called or instantiated.

    Raises:
        SettingsError: If the file is missing, damaged, or not a checkpoint.
        UnsafeError: If loading it in full could execute arbitrary code.
    """
    return reading.read_checkpoint(path, FORMAT, PARSED)


def foreign_names(file: Path | io.BytesIO) -> set[str]:
    """Return the classes and functions that a checkpoint names outside of torch, numpy and the engine."""
    return writing.foreign_names(file, FORMAT)


def foreign_classes(model: Module) -> set[type]:
    """Return the classes of a model's modules that come from neither torch nor the engine."""
    return writing.foreign_classes(model, FORMAT)


def as_state(model: Module, chain: Chain) -> dict[str, Any]:
    """Return the part of a record that holds a model as plain data."""
    return writing.as_state(model, chain, FORMAT)


def serialise(content: dict[str, Any], chain: Chain) -> bytes:
    """Return a checkpoint's bytes.

    Raises:
        PluginError: If it would name a class outside of torch, numpy and the engine; the plugin is named.
    """
    return writing.serialise(content, chain, FORMAT)


def make_record(chain: Chain, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run for its checkpoints, as plain data."""
    return record.make_record(chain, data, {FORMAT.package: engine_version()})
