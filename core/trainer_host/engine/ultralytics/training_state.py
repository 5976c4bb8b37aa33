"""The state of a training: everything that is needed to go on as if it had not been interrupted.

It is restored in place: the optimizer, the EMA and the scheduler hold references to the tensors and objects of a
training that is set up.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.contexts import RunContext
from trainer_host.engine.plugin_states import restore_states, states
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.loss_state import loss_state, set_loss_state
from trainer_host.engine.ultralytics.rank_training import apart
from trainer_host.engine.ultralytics.state_fit import (
    FORM,
    require_batches,
    require_form,
    require_optimizer,
    require_plugins,
    require_tensors,
)
from trainer_host.plugin.hook_collection import implementers
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Module, Tensor
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

TEACHER = "teacher_model."
"""Tensors of a model in distillation that do not change, and that the EMA does not have."""
NUMBERS = ("accumulate", "best_fitness", "fitness", "metrics", "nan_recovery_attempts", "reduced_batch")
"""Attributes of the trainer that are plain data."""
TENSORS = ("loss", "loss_items", "tloss")
"""Attributes of the trainer that are tensors on its device."""
SETTINGS = ("batch", "epochs", "imgsz", "lr0", "optimizer")
"""Settings that the engine may change when a training begins or runs out of memory."""


def capture(
    trainer: HostTrainer, generators: Mapping[str, Any] | None = None, plugins: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the state of a training, as plain data and its own tensors: to be written before it goes on.

    Args:
        trainer: A training between two batches or epochs.
        generators: States of the random generators, if not those of now.
        plugins: States of plugins, if not those of now.
    """
    model, optimizer = unwrap_model(trainer.model), trainer.optimizer
    content = {
        "form": FORM,
        "host": __version__,
        "loop": asdict(trainer.loop),
        "batches": len(trainer.train_loader),
        "settings": {name: getattr(trainer.args, name) for name in SETTINGS},
        "threads": trainer.threads.number if trainer.threads is not None else torch.get_num_threads(),
        "model": _learned(model),
        "ema": _learned(trainer.ema.ema),
        "ema_updates": trainer.ema.updates,
        "losses": {"model": loss_state(model), "ema": loss_state(trainer.ema.ema)},
        "optimizer": {"class": type(optimizer).__name__, "state": optimizer.state_dict()},
        "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        "scaler": trainer.scaler.state_dict(),
        "scheduler": _scheduler_state(trainer.scheduler),
        "trainer": _trainer_state(trainer),
        "results": _results(trainer),
        "order": trainer.order.state() if trainer.order is not None else None,
        "plugins": {
            "names": _plugin_names(trainer),
            "states": plugin_states(trainer) if plugins is None else plugins,
        },
    }
    # Last, because a plugin that is asked for its state may draw a number.
    content["generators"] = generators or generator_states(trainer.device)
    return content


def restore(trainer: HostTrainer, content: Mapping[str, Any]) -> None:
    """Put a training that is set up into a state that was captured, in place.

    Args:
        trainer: A training of the same model, settings and plugins, whose loop has not begun.
        content: The state.

    Raises:
        SettingsError: If the state does not fit.
    """
    require_form(content)
    model, ema = unwrap_model(trainer.model), trainer.ema
    require_tensors(content["model"], _learned(model), "model")
    require_tensors(content["ema"], _learned(ema.ema), "EMA")
    require_optimizer(content["optimizer"], trainer.optimizer, content["settings"])
    require_plugins(content["plugins"]["names"], _plugin_names(trainer))
    _restore_sizes(trainer, content)
    require_batches(content, len(trainer.train_loader))
    with torch.no_grad():
        for module, name in ((model, "model"), (ema.ema, "ema")):
            set_loss_state(module, content["losses"][name])
            for key, tensor in _learned(module).items():
                tensor.copy_(content[name][key])
        _restore_gradients(model, content["gradients"])
    ema.updates = content["ema_updates"]
    _restore_optimizer(trainer, content)
    _restore_trainer(trainer, content)
    _restore_results(trainer, content["results"])
    kept = content["plugins"]["states"]
    restore_states(trainer.host_run.chain, trainer.context(RunContext), kept)
    if trainer.order is not None and content["order"] is not None:
        trainer.order.load(content["order"])
    set_generator_states(content["generators"], trainer.device)  # last, because all of the above may draw numbers


def plugin_states(trainer: HostTrainer) -> dict[str, Any]:
    """Return the states of plugins, of which only the process that writes is asked."""
    with apart(trainer):
        return states(trainer.host_run.chain, trainer.context(RunContext))


def _learned(model: Module) -> dict[str, Tensor]:
    """Return the tensors of a model that training changes, as they are."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith(TEACHER)}


def _plugin_names(trainer: HostTrainer) -> list[str]:
    """Return the names of the plugins that keep a state."""
    found = implementers(trainer.host_run.chain.manager, "state_dict")
    return sorted({plugin.partition(":")[2] for plugin, _ in found})


def _scheduler_state(scheduler: Any) -> dict[str, Any]:
    # Without the function of the schedule, which follows from the settings: more epochs may be asked for.
    return {k: v for k, v in scheduler.state_dict().items() if k != "lr_lambdas"}


def _trainer_state(trainer: HostTrainer) -> dict[str, Any]:
    stopper, own = trainer.stopper, trainer.own
    return {
        **{name: getattr(trainer, name, None) for name in (*NUMBERS, *TENSORS, "lr")},  # some begin with a batch
        "loss_names": list(trainer.loss_names),
        "evaluated_epoch": trainer.evaluated_epoch,
        "stopper": {k: getattr(stopper, k) for k in ("best_fitness", "best_epoch", "possible_stop")},
        "best_epoch": own.checkpoints.best_epoch,
        "last_written": own.checkpoints.last,
        "labels_due": trainer.labels_due,
    }


def _results(trainer: HostTrainer) -> str | None:
    try:
        return str(trainer.csv.read_text(encoding="utf-8"))
    except FileNotFoundError:  # before the end of the first epoch
        return None


def _restore_sizes(trainer: HostTrainer, content: Mapping[str, Any]) -> None:
    """Take the batch size of a training that ran out of memory, and the epochs of one with a time limit."""
    batch, epochs = content["settings"]["batch"], content["settings"]["epochs"]
    if trainer.args.time and trainer.epochs != epochs:
        trainer.epochs = trainer.args.epochs = epochs
        trainer._setup_scheduler()
    if trainer.batch_size == batch:
        return
    trainer.args.batch = trainer.batch_size = batch
    if hasattr(trainer.train_loader, "close"):
        trainer.train_loader.close()  # its workers hold batches of the other size
    trainer._build_train_pipeline()
    trainer.loader_changed()


def _restore_gradients(model: Module, saved: Mapping[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        gradient = saved.get(name)
        parameter.grad = None if gradient is None else torch.empty_like(parameter).copy_(gradient)


def _restore_optimizer(trainer: HostTrainer, content: Mapping[str, Any]) -> None:
    saved, optimizer = content["optimizer"]["state"], trainer.optimizer
    groups = [dict(group) for group in saved["param_groups"]]
    for group, current in zip(groups, optimizer.param_groups, strict=True):
        if "fused" in group:  # the device of this process chooses the kernel, as in the engine's own resume
            group["fused"] = current.get("fused")
    # A copy, because the optimizer keeps the tensors that it is given, and they share a buffer.
    optimizer.load_state_dict({"state": _on_device(saved["state"], "cpu"), "param_groups": groups})
    if content["scaler"] and trainer.scaler.is_enabled():
        trainer.scaler.load_state_dict(content["scaler"])
    functions = trainer.scheduler.state_dict().get("lr_lambdas", [])
    trainer.scheduler.load_state_dict({**content["scheduler"], "lr_lambdas": functions})


def _restore_trainer(trainer: HostTrainer, content: Mapping[str, Any]) -> None:
    saved, own = content["trainer"], trainer.own
    for name in NUMBERS:
        setattr(trainer, name, saved[name])
    for name in TENSORS:
        setattr(trainer, name, _on_device(saved[name], trainer.device))
    if saved["lr"] is not None:
        trainer.lr = saved["lr"]
    trainer.loss_names = tuple(saved["loss_names"])
    trainer.evaluated_epoch = saved["evaluated_epoch"]
    for name, value in saved["stopper"].items():
        setattr(trainer.stopper, name, value)
    own.checkpoints.best_epoch, own.checkpoints.last = saved["best_epoch"], saved["last_written"]
    trainer.labels_due = saved["labels_due"]
    trainer.loop = LoopState(**_repositioned(content, len(trainer.train_loader)))
    if trainer.threads is not None:
        trainer.threads.begin_with(content["threads"])
    elif trainer.device.type == "cpu" and torch.get_num_threads() != content["threads"]:
        torch.set_num_threads(content["threads"])  # sums depend on it


def _repositioned(content: Mapping[str, Any], batches: int) -> dict[str, Any]:
    """Return the state of the loop, for an epoch of perhaps another number of batches."""
    loop = dict(content["loop"])
    if batches != content["batches"] and loop["last_opt_step"] >= 0:
        # The engine counts batches from the first epoch on: as many stay accumulated as there were.
        accumulated = content["batches"] * loop["epoch"] - loop["last_opt_step"]
        loop["last_opt_step"] = batches * loop["epoch"] - accumulated
    return loop


def _on_device(value: Any, device: torch.device | str) -> Any:
    """Return nested plain data with copies of its tensors on a device."""
    if isinstance(value, dict):
        return {k: _on_device(v, device) for k, v in value.items()}
    return value.to(device, copy=True) if isinstance(value, torch.Tensor) else value


def _restore_results(trainer: HostTrainer, text: str | None) -> None:
    """Take back rows of ``results.csv`` that are newer than the state, and a torn one."""
    if text is None:
        trainer.csv.unlink(missing_ok=True)
    elif _results(trainer) != text:
        atomic_write(trainer.csv, text.encode())
