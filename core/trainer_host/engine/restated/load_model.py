"""Loading models: `load_checkpoint` (lines 2020 to 2066 of ``nn/tasks.py``) and `BaseTrainer.setup_model`
(lines 873 to 907 of ``engine/trainer.py``), ultralytics 8.4.190.

Restated because both unpickle a file without asking what it holds.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import DEFAULT_CFG_DICT, RANK
from ultralytics.utils.torch_utils import restore_qat

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.settings import is_file
from trainer_host.engine.checkpoints import STATE, Checkpoint, read_checkpoint
from trainer_host.engine.restated import restates
from trainer_host.plugin.aliases import joined_aliases

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.base.contexts import ModelContext
    from trainer_host.base.protocols import Module
    from trainer_host.engine.trainer import HostTrainer

LOAD_SHA256 = "3399d0f461b2f4ff76c462d57d7cc96831e198b538f932668340246e0cadda50"
SETUP_SHA256 = "33c98eece052d6285e97e9d57fc79a7a0836c44d47739e575edcfea7a8b4fdd6"


@restates(load_checkpoint, LOAD_SHA256)
def engine_model(checkpoint: Checkpoint) -> Module:
    """Return a checkpoint's pickled model in single precision and evaluation mode.

    Raises:
        SettingsError: If the file holds no model of the engine.
    """
    content, model = checkpoint.content, checkpoint.module
    if model is None:
        raise SettingsError(
            Problem("the file holds no model of the engine.", "Give another file.", str(checkpoint.path))
        )
    model = model.float()
    if content.get("modelopt"):
        restore_qat(model, content["modelopt"])
    model.args = {**DEFAULT_CFG_DICT, **(content.get("train_args") or {})}
    model.pt_path = str(checkpoint.path)
    model.task = getattr(model, "task", None) or checkpoint.task
    if not hasattr(model, "stride"):
        model.stride = torch.tensor([32.0])
    model = model.eval()
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
        elif isinstance(module, torch.nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
            module.recompute_scale_factor = None
    return model


def restored_model(checkpoint: Checkpoint, build: Callable[[ModelContext], Module], context: ModelContext) -> Module:
    """Return a checkpoint's model, built by its task where the file holds a state dict."""
    if STATE not in checkpoint.record:
        return engine_model(checkpoint)
    needs = checkpoint.record.get("needs") or ["the plugins that it was trained with"]
    fix, path = f"The file needs: {' '.join(needs)}", str(checkpoint.path)
    try:
        model = build(context)
    except SettingsError as error:
        if files := [f"--plugin {name}" for name in needs if is_file(name)]:
            said = " ".join(p.message for p in error.problems)  # what they advise is not known where they are raised
            others = [name for name in needs if not is_file(name)]
            fix = " ".join(["Give it:", *files, *(["and install", *others] if others else [])])
            raise PluginError(Problem(f"the model cannot be built: {said}", fix, path)) from error
        raise PluginError(*error.problems, Problem("the model cannot be built.", fix, path)) from error
    try:
        model.load_state_dict(checkpoint.record[STATE])
    except RuntimeError as error:
        what = "the weights do not fit the model that the plugins of this run build."
        raise PluginError(Problem(what, fix, path)) from error
    return model.eval()


@restates(BaseTrainer.setup_model, SETUP_SHA256)
def setup_model(trainer: HostTrainer) -> Any:
    """Build the model that training starts from, and return the checkpoint to resume from, if any."""
    if isinstance(trainer.model, torch.nn.Module):
        return BaseTrainer.setup_model(trainer)
    if trainer.resume:
        return _setup_resumed(trainer)
    cfg, weights, content = trainer.model, None, None
    chain = trainer.plan.chain
    aliases = partial(joined_aliases, chain.members + chain.always)
    if str(trainer.model).lower().endswith(".pt"):
        checkpoint = read_checkpoint(trainer.model, aliases)
        content = checkpoint.content
        cfg, weights = trainer.start_from(checkpoint)
    pretrained = trainer.args.pretrained
    if isinstance(pretrained, (str, Path)):
        weights = trainer.start_from(read_checkpoint(pretrained, aliases))[1]
    elif pretrained is False:
        weights = None
    trainer.model = trainer.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})
    return content


def _setup_resumed(trainer: HostTrainer) -> Any:
    """Build the model of a training that is resumed; the engine builds it where the file holds one."""
    _, content = load_checkpoint(trainer.model)
    checkpoint = Checkpoint(Path(trainer.model), content)
    if STATE not in checkpoint.record:
        return BaseTrainer.setup_model(trainer)
    cfg, average = trainer.start_from(checkpoint)
    trainer.model = trainer.get_model(cfg=cfg, weights=average, verbose=RANK in {-1, 0})
    return {**content, "ema": average}
