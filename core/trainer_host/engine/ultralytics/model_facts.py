"""Facts that models state about themselves before they are built, for checks of a dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from trainer_host.base.contexts import ModelFacts
from trainer_host.base.errors import TrainerError
from trainer_host.base.yaml_document import read_document
from trainer_host.engine.ultralytics.architecture_form import STRUCTURE
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.protocols import TrainingArgs
    from trainer_host.engine.checkpoint.reading import Checkpoint

ARCHITECTURES = (".yaml", ".yml")
SCALE = re.compile(r"(\d+)([nslmx])(.+)?$")
"""The scale in the name of an architecture, whose file is named without it: ``yolo26n.yaml``."""


def starting_models(args: TrainingArgs) -> tuple[ModelFacts, ...]:
    """Return the models that a training starts from, by its settings ``model`` and ``pretrained``.

    A file that cannot be read is skipped: building the model reports it, if it is used there at all. A
    drop-in trainer may be given the model itself.
    """
    if args.resume:
        return ()  # a training that is resumed has its own model
    given = {"model": args.model, "pretrained": args.pretrained}  # which may be true or false
    found = (_facts_of_file(str(file), key) for key, file in given.items() if isinstance(file, (str, Path)))
    return tuple(facts for facts in found if facts is not None)


def _facts_of_file(file: str, setting: str) -> ModelFacts | None:
    if file.lower().endswith(ARCHITECTURES):
        return _facts_of_architecture(file, setting)
    try:
        return facts_of_checkpoint(read_checkpoint(file), file, setting)
    except TrainerError:
        return None


def _facts_of_architecture(file: str, setting: str) -> ModelFacts | None:
    """Return the facts of a user's model YAML; None for the engine's own, which are made to be adapted."""
    names = (file, SCALE.sub(r"\1\3", file))
    found = next((Path(name) for name in names if Path(name).is_file()), None)
    if found is None:
        return None
    keys = _of_architecture(read_document(found).content)
    return ModelFacts(name=str(found), setting=setting, trained=False, keys=keys)


def facts_of_checkpoint(checkpoint: Checkpoint, name: str, setting: str = "model") -> ModelFacts:
    """Return the facts of a checkpoint's model."""
    saved, record, published = checkpoint.model, checkpoint.record, Path(name).name in GITHUB_ASSETS_NAMES
    keys = _of_architecture(record.get("cfg") or {})
    if saved is not None:
        keys = {"channels": 3, **_of_architecture(saved.yaml or {}), **saved.attributes}
    keys |= record.get("data") or {}  # of the host's own; a task may have set other names on the model
    names = keys.pop("names", None)
    names = dict(enumerate(names)) if isinstance(names, (list, tuple)) else names
    if isinstance(names, dict) and names and all(type(k) is int for k in names):
        keys["names"] = {number: str(name) for number, name in names.items()}
    return ModelFacts(name=name, setting=setting, published=published, keys=keys)


def _of_architecture(cfg: Mapping[str, Any]) -> dict[str, Any]:
    keys = {str(k): v for k, v in cfg.items() if k not in STRUCTURE}
    if "ch" in keys:
        keys.setdefault("channels", keys["ch"])
    return keys
