"""Checkpoints of ultralytics: their format, and reading and writing them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trainer_host.engine.checkpoint import reading, record, writing
from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat
from trainer_host.engine.checkpoint.parsed_files import ParsedFiles
from trainer_host.engine.ultralytics.release_window import engine_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def make_record(chain: Chain, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run for its checkpoints, as plain data."""
    return record.make_record(chain, data, {FORMAT.package: engine_version()})


foreign_names = partial(writing.foreign_names, form=FORMAT)
foreign_classes = partial(writing.foreign_classes, form=FORMAT)
as_state = partial(writing.as_state, form=FORMAT)
serialise = partial(writing.serialise, form=FORMAT)
