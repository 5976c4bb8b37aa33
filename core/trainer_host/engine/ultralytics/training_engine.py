"""The engine of a session: ultralytics' training loop, validators and predictors, driven by a plan."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.utils.checks import check_model_file_from_stem
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset
from ultralytics.utils.torch_utils import select_device

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.contexts import (
    DataContext,
    ModelContext,
    PredictionContext,
    RunContext,
    ValidationContext,
)
from trainer_host.base.errors import PluginError, Problem, SettingsError, UnsafeError, nearest
from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.results import TrainingOutcome, UnreadableImage
from trainer_host.data.description import Description
from trainer_host.data.subset_settings import refuse_unknown_classes
from trainer_host.engine.checkpoint.reading import read_checkpoint
from trainer_host.engine.drawable_image import drawable_image
from trainer_host.engine.plugin_states import PLUGIN_STATES, restore_states
from trainer_host.engine.progress import ProgressCallbacks
from trainer_host.engine.ultralytics.adapted_trainer import detached_trainer, new_trainer
from trainer_host.engine.ultralytics.contributions import (
    Postprocessing,
    join_callbacks,
    joined_metrics,
    postprocessing,
    require_asked,
    require_measured,
)
from trainer_host.engine.ultralytics.device_settings import refuse_device, warn_of_fallback, warn_of_precision
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.fonts import settle_fonts
from trainer_host.engine.ultralytics.model_facts import facts_of_checkpoint
from trainer_host.engine.ultralytics.model_loading import inherited_settings, refuse_other_task, trained_model
from trainer_host.engine.ultralytics.model_selection import shown_metrics
from trainer_host.engine.ultralytics.plugin_layers import with_layers
from trainer_host.engine.ultralytics.run_dataset import prepare_dataset
from trainer_host.engine.ultralytics.setting_warnings import setting_warnings
from trainer_host.engine.ultralytics.trackers import engine_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.base.protocols import Image, Module, Prediction, Predictor
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import StartingWeights
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.plan import Plan
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


STRIDE = 32
"""The least stride by which the engine rounds sizes of images."""


def find_weights(name: str, offline: bool, scratch: str | None) -> str:
    """Return the path of a model: a file, or weights that the engine knows, fetched where they are missing.

    Args:
        name: What the user gave as ``model``.
        offline: Whether nothing may be fetched.
        scratch: An architecture to offer instead, where a training could start from one.

    Raises:
        SettingsError: If there is no such file, and nothing to fetch or no network to fetch it.
    """
    if "://" in name and offline:
        raise UnsafeError(Problem(f"{name} would be fetched, and the run is offline.", "Give a local file."))
    name = str(check_model_file_from_stem(name))
    if "://" in name and not name.lower().endswith(".pt"):
        raise UnsafeError(Problem(f"model={name} is refused: the host fetches no architectures.", "Give a local file."))
    if not name.lower().endswith(".pt") or Path(name).is_file():
        return name
    instead = f", or train from scratch: model={scratch}" if scratch else "."
    if problem := missing_model(name, instead):
        raise SettingsError(problem)
    if offline:
        what = f"the weights {name} are not here, and the run is offline."
        raise UnsafeError(Problem(what, f"Put the file here{instead}"))
    return _fetched(name, instead)


def missing_model(name: str, instead: str = ".") -> Problem | None:
    """Return the problem of a model that is neither a file nor published by the engine; None if it is one.

    Args:
        name: What the user gave as ``model``.
        instead: The end of the advice.
    """
    from ultralytics.nn.tasks import yaml_model_load

    name = str(check_model_file_from_stem(name))
    path = Path(name)
    suffix = path.suffix.lower()
    if "://" in name or suffix not in {".pt", ".yaml", ".yml"} or path.is_file() or path.name in GITHUB_ASSETS_NAMES:
        return None
    if suffix != ".pt":
        try:
            yaml_model_load(name)
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            names = [f.name for f in (engine_folder() / "cfg" / "models").rglob("*.yaml")]
            scaled = [re.sub(r"(\d+)", rf"\g<1>{scale}", n, count=1) for n in names for scale in "nslmx"]
            near = nearest(path.name, [*names, *scaled])
            fix = f"Did you mean model={near}?" if near else "Fix: give the path of a model YAML, or of a checkpoint."
            return Problem(f"model {name} not found.", fix)
        return None
    if path.is_dir():
        return Problem(f"model={name} is a folder.", f"Give the path of a checkpoint{instead}")
    if path.is_symlink():
        return Problem(
            f"the link {name} leads to a file that does not exist.", f"Give the path of a checkpoint{instead}"
        )
    beside = [f.name for f in path.parent.glob("*.pt") if f.is_file()] if path.parent.is_dir() else []
    near = nearest(path.name, beside) or nearest(path.name, GITHUB_ASSETS_NAMES)
    hint = f"Did you mean model={path.with_name(near)}? " if near else ""
    return Problem(f"model {name} not found.", f"{hint}Give the path of a checkpoint{instead}")


def _fetched(name: str, instead: str) -> str:
    """Fetch weights that the engine publishes, and return their path; the engine's own view of the network is unasked.

    Raises:
        SettingsError: If they cannot be fetched.
    """
    try:
        fetched, why = attempt_download_asset(name), ""
    except (OSError, ValueError) as error:  # those of requests and of the engine among them
        said = " ".join(str(error).split()).removeprefix("❌ ")
        fetched, why = name, f": {said or type(error).__name__}"
    if not Path(fetched).is_file():
        raise SettingsError(
            Problem(f"the weights {name} could not be fetched{why or '.'}", f"Put the file here{instead}")
        )
    return str(fetched)


def wanted_threads() -> int | None:
    """Return what ``TRAINER_THREADS`` says; None leaves the number to the engine.

    ``OMP_NUM_THREADS`` does not count: the engine sets it to 1 when it is imported.

    Raises:
        SettingsError: If it is not a number of threads.
    """
    wanted = os.environ.get("TRAINER_THREADS", "").strip()
    if not wanted:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", wanted) or int(wanted) == 0:
        what = f"TRAINER_THREADS={wanted} is not a number of threads."
        raise SettingsError(Problem(what, "Fix: write TRAINER_THREADS=4, or unset it"))
    return int(wanted)


def _size_text(imgsz: Any) -> str:
    """Return the size that is trained at, and what becomes of one that is not trained at as it was given."""
    size = max(imgsz) if isinstance(imgsz, (list, tuple)) else imgsz
    notes = []
    if isinstance(imgsz, (list, tuple)) and size != min(imgsz):
        notes.append(f"the larger of imgsz={list(imgsz)}: training takes one size".replace(", ", ","))
    if size % STRIDE:
        notes.append("rounded up to a multiple of the model's stride")
    return f"{size} px" + (f" ({'; '.join(notes)})" if notes else "")


class TrainingEngine:
    """Trains with ultralytics.

    Args:
        plan: Plugins and promises of the run.
        values: Engine keys.
        save_dir: The run's folder; it exists.
        reporter: Who shows the progress.
        stop: Whether the run is to end early.
    """

    def __init__(
        self, plan: Plan, values: Mapping[str, Any], save_dir: Path, reporter: Reporter, stop: StopRequest
    ) -> None:
        self.plan, self.values, self.save_dir = plan, dict(values), save_dir
        self.progress = ProgressCallbacks(reporter, stop, shown_metrics(plan))
        self.trainer: HostTrainer | None = None

    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up the trainer; return its fingerprint and what was left out."""
        refuse_device(self.values.get("device"))
        events = engine_callbacks(self.plan.trackers, self.plan.offline)
        for event, function in self.progress.events().items():
            events[event] = [*events[event], function]
        overrides = {**self.values, "mode": "train", "save_dir": str(self.save_dir)}
        with gc_paused():  # torch imports its compiler for deterministic algorithms
            self.trainer = new_trainer(self.plan, overrides, events)
            warn_of_fallback(self.values.get("device"), self.trainer.device)
            settle_fonts()  # the final evaluation asks for one, also without plots
        if not self.plan.exact:
            self._use_wanted_threads()
        data = Description.of(self.trainer.description)
        return {"fingerprint": data.fingerprint(), **({"left_out": dict(data.left_out)} if data.left_out else {})}

    def _use_wanted_threads(self) -> None:
        """Use as many threads on a CPU as the user says; the engine sets its own number again when it validates."""
        wanted = wanted_threads()
        if wanted is None or self.trainer is None or self.trainer.device.type != "cpu":
            return

        def use(_: Any) -> None:
            torch.set_num_threads(wanted)

        use(None)
        self.trainer.callbacks["on_val_start"].append(use)

    def _prepared(self) -> HostTrainer:
        if self.trainer is None:
            raise RuntimeError("prepare() comes first")
        return self.trainer

    def describe(self) -> str:
        """Return in a few words what is going to be trained, and on what."""
        trainer = self._prepared()
        model = self.values.get("model")
        name = f"model {model}" if model else "a model of its own"
        epochs = f"{trainer.args.epochs} epoch{'s' * (trainer.args.epochs != 1)}"
        length = f"{trainer.args.time:g} h" if trainer.args.time else epochs
        return f"on {trainer.device}: {name}, {length} at {_size_text(trainer.args.imgsz)}"

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from, once there is a model."""
        return self.trainer.starting_weights if self.trainer is not None else None

    def warnings(self) -> list[str]:
        """Return what the settings of the training do that is easily missed."""
        return setting_warnings(self._prepared().args)

    def train(self) -> TrainingOutcome:
        """Train, and return the outcome."""
        trainer = self._prepared()
        trainer.train()
        return TrainingOutcome(
            epochs=trainer.epoch + 1 - trainer.start_epoch,
            metrics={k: float(v) for k, v in (trainer.metrics or {}).items()},
            best=trainer.best if trainer.wrote(trainer.best) else None,
            last=trainer.last if trainer.wrote(trainer.last) else None,
            interrupted=trainer.interrupted,
            held_out=tuple(getattr(trainer.test_loader.dataset, "im_files", ())),
            threads=torch.get_num_threads(),
            best_epoch=trainer.best_epoch,
            ending=trainer.ending,
            weights=trainer.starting_weights,
        )


class FinishedModel:
    """A checkpoint with its chain: what validation and prediction need.

    Args:
        path: The checkpoint.
        plan: Plugins and promises.
        values: Engine keys.
        mode: ``val`` or ``predict``.
        save_dir: Where results go.
    """

    def __init__(self, path: Path, plan: Plan, values: Mapping[str, Any], mode: str, save_dir: Path) -> None:
        self.plan, self.save_dir = plan, save_dir
        self._predictor: Predictor | None = None
        self._kept: Postprocessing | None = None
        refuse_device(values.get("device"))
        self.checkpoint = read_checkpoint(path)
        refuse_other_task(self.checkpoint, plan.chain)
        inherited = inherited_settings(self.checkpoint, values)
        alone = {"batch": 1} if mode == "predict" else {}  # images of several sizes keep their shapes
        wanted = {**inherited, "rect": True, **alone, **values, "mode": mode, "task": plan.chain.engine_task}
        self.args = get_cfg(overrides={**wanted, "model": str(path), "save_dir": str(save_dir)})
        self.device = select_device(self.args.device, verbose=False)
        warn_of_fallback(self.args.device, self.device)
        warn_of_precision(self.args.quantize, self.device)
        data = self.checkpoint.record.get("data") or {}
        self.trainer = detached_trainer(plan, self.args, data, self.device, save_dir)
        ctx = with_layers(plan.chain.manager, self._context(ModelContext, cfg=self.checkpoint.record.get("cfg")))
        self.model: Module = trained_model(self.checkpoint, self._build, ctx).to(self.device)
        if mode == "predict":  # those of a validation are the dataset's
            refuse_unknown_classes(self.args.classes, getattr(self.model, "names", None), "the model")
        restore_states(plan.chain, self._context(RunContext), self.checkpoint.record.get(PLUGIN_STATES) or {})

    def _postprocessing(self, mode: str) -> Postprocessing | None:
        return postprocessing(self.plan.chain, self._context(PredictionContext, model=self.model, mode=mode))

    def _build(self, ctx: ModelContext) -> Module:
        manager = self.plan.chain.manager
        model = manager.hook.build_model(ctx=ctx)
        if self.checkpoint.in_state_form:  # a pickled model keeps its attributes
            manager.hook.set_model_attributes(ctx=self._context(ModelContext, cfg=ctx.cfg, model=model))
        return model

    def _context(self, kind: type[Any], **fields: Any) -> Any:
        chain = self.plan.chain
        common: dict[str, Any] = {
            "task": chain.name,
            "engine_task": chain.engine_task,
            "args": self.args,
            "options": chain.options,
            "data": self.checkpoint.record.get("data") or {},
            "save_dir": self.save_dir,
            "exact": self.plan.exact,
            "offline": self.plan.offline,
            "device": self.device,
            "engine": self.trainer,
        }
        return kind(**{**common, **fields})

    def validate(self) -> dict[str, float]:
        """Measure the model on the dataset that the settings name.

        Raises:
            DatasetError: If the dataset cannot be used.
        """
        hook = self.plan.chain.manager.hook
        models = (facts_of_checkpoint(self.checkpoint, str(self.checkpoint.path)),)
        ctx = self._context(DataContext, source=str(self.args.data), split=self.args.split, mode="val", models=models)
        data = prepare_dataset(self.plan, ctx, self.save_dir, {self.args.split})
        self.args.data = data.get("yaml_file", self.args.data)
        settle_fonts()  # which the engine asks for when it reads a dataset, also without plots
        callbacks = engine_callbacks()
        join_callbacks(callbacks, self.plan.chain.manager, self._context(RunContext, data=data))
        ctx = self._context(ValidationContext, data=data, callbacks=callbacks, model=self.model)
        named, kept = joined_metrics(self.plan.chain, ctx), self._postprocessing("val")
        validator = hook.build_validator(ctx=replace(ctx, metrics=named, postprocess=kept))
        if validator is None:
            raise PluginError(f"task {self.plan.chain.name!r} has no validator.")
        metrics = validator(model=self.model)
        require_measured(self.plan.chain, named, metrics)
        require_asked(self.plan.chain, kept, "validator")
        return {k: float(v) for k, v in metrics.items()}

    def predict(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image.

        Raises:
            PluginError: If the task does not predict.
        """
        if self._predictor is None:
            self._kept = self._postprocessing("predict")
            ctx = self._context(PredictionContext, model=self.model, postprocess=self._kept)
            self._predictor = self.plan.chain.manager.hook.build_predictor(ctx=ctx)
        if self._predictor is None:
            raise PluginError(f"task {self.plan.chain.name!r} does not predict.")
        for prediction in self._predictor(source):
            if not isinstance(prediction, UnreadableImage):
                require_asked(self.plan.chain, self._kept, "predictor")
            yield prediction

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None where the task draws none."""
        ctx = self._context(PredictionContext, model=self.model)
        return self.plan.chain.manager.hook.draw(ctx=ctx, prediction=prediction)


def task_of_model(name: str) -> str | None:
    """Return the engine's task of a model YAML or of weights that the engine knows, or None."""
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    if name.lower().endswith((".yaml", ".yml")):
        try:
            found: str | None = guess_model_task(yaml_model_load(name))
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None
        return found
    name = str(check_model_file_from_stem(name))
    return str(guess_model_task(name)) if Path(name).name in GITHUB_ASSETS_NAMES else None


def shipped_dataset(name: str) -> Path | None:
    """Return the dataset YAML of this name that the engine ships, or None."""
    found = engine_folder() / "cfg" / "datasets" / name
    return found if found.is_file() else None


def chain_of_checkpoint(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Return the task of a checkpoint and the host's record in it, which is empty for another program's file."""
    checkpoint = read_checkpoint(path)
    return checkpoint.task, checkpoint.record


def montage(images: Sequence[Image], path: Path, columns: int = 3, cell: int = 320) -> Path | None:
    """Write images beside each other into one picture; return its path, or None where there are none."""
    import cv2
    import numpy as np

    if not images:
        return None
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * cell, columns * cell, 3), 245, np.uint8)
    for i, image in enumerate(images):
        scale = (cell - 6) / max(image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(drawable_image(image), None, fx=scale, fy=scale, interpolation=method)
        y, x = i // columns * cell, i % columns * cell
        top, left = y + (cell - small.shape[0]) // 2, x + (cell - small.shape[1]) // 2
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    atomic_write(path, cv2.imencode(path.suffix, sheet)[1].tobytes())
    return path
