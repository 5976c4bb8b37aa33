"""The ultralytics engine as sessions see it. Importing this imports neither ultralytics nor torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.engine.ultralytics import engine_settings
from trainer_host.engine.ultralytics.engine_globals import UltralyticsGlobals
from trainer_host.engine.ultralytics.engine_import import engine_switches
from trainer_host.engine.ultralytics.release_window import engine_state, engine_version, missing_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trainer_host.base.errors import EnvironmentProblemError, Problem
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.engine_state import EngineState
    from trainer_host.engine.process_state import EngineGlobals
    from trainer_host.engine.protocol import (
        Checkpoints,
        Command,
        EngineModel,
        EngineSettings,
        Lacking,
        LiveRun,
        Training,
    )
    from trainer_host.engine.resumption import Resumption
    from trainer_host.engine.state_files import StateEntry


class UltralyticsSettings:
    """The settings of ultralytics; see `trainer_host.engine.protocol.EngineSettings`."""

    model_keys: tuple[str, ...] = ("pretrained", "distill_model")

    def defaults(self) -> Mapping[str, Any]:
        """Return every setting with its default."""
        return engine_settings.engine_defaults()

    def keys(self) -> frozenset[str]:
        """Return the settings that a user may give."""
        return engine_settings.engine_keys()

    def of_loading(self) -> frozenset[str]:
        """Return the settings that decide how a trained model computes."""
        from trainer_host.engine.ultralytics.setting_effects import OF_LOADING

        return OF_LOADING

    def on_resume(self) -> Mapping[str, bool]:
        """Return the settings that may change when a run is resumed, and whether they change its result."""
        from trainer_host.engine.ultralytics.setting_effects import ON_RESUME

        return ON_RESUME

    def unknown(
        self,
        settings: Mapping[str, Any],
        where: Callable[[str], str | None] = lambda _: None,
        dataset_keys: Collection[str] = (),
    ) -> list[Problem]:
        """Return a problem for each setting that the engine does not have, with what to write instead."""
        from trainer_host.engine.ultralytics.foreign_settings import unknown_settings

        return unknown_settings(settings, where, dataset_keys)

    def invalid(
        self,
        settings: Mapping[str, Any],
        command: Command = "run",
        where: Callable[[str], str | None] = lambda _: None,
    ) -> list[Problem]:
        """Return a problem for each value that the engine would refuse, misread or crash on."""
        from trainer_host.engine.ultralytics.settings_validation import check_values

        return check_values(settings, command, where)

    def unused(
        self,
        settings: Mapping[str, Any],
        command: Command,
        engine_task: str | None,
        where: Callable[[str], str | None] = lambda _: None,
        lacking: Collection[Lacking] = (),
    ) -> tuple[list[Problem], list[Problem]]:
        """Return the settings that a command does not use: those to refuse, and those to warn about."""
        from trainer_host.engine.ultralytics.setting_effects import unused_settings

        return unused_settings(settings, command, engine_task, where, lacking)

    def option_problem(self, message: str, name: str, value: Any) -> Problem | None:
        """Return a problem for a setting given as an option (``--epochs 3``), with a fix; None for an unknown name."""
        from trainer_host.engine.ultralytics.foreign_settings import option_problem

        return option_problem(message, name, value)


class UltralyticsCheckpoints:
    """The checkpoints of ultralytics; see `trainer_host.engine.protocol.Checkpoints`."""

    def read(self, path: Path | str) -> Checkpoint:
        """Read a checkpoint without executing anything that it names."""
        from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

        return read_checkpoint(path)

    def foreign_names(self, path: Path) -> set[str]:
        """Return the classes and functions that a file names outside of torch, numpy and the engine."""
        from trainer_host.engine.ultralytics.checkpoints import foreign_names

        return foreign_names(path)


class UltralyticsEngine:
    """The ultralytics engine; see `trainer_host.engine.protocol.Engine`."""

    name = "ultralytics"
    settings_file = "args.yaml"
    results_file = "results.csv"
    variables: tuple[str, ...] = ("YOLO_",)

    def __init__(self) -> None:
        self.settings: EngineSettings = UltralyticsSettings()
        self.checkpoints: Checkpoints = UltralyticsCheckpoints()
        self.process_globals: EngineGlobals = UltralyticsGlobals()

    def version(self) -> str:
        """Return the installed release, read from metadata."""
        return engine_version()

    def state(self) -> EngineState:
        """Compare the installed release with the tested ones; nothing of it is imported."""
        return engine_state()

    def versions(self) -> dict[str, Any]:
        """Return the releases of ultralytics and of what it computes with, and whether it is one that was tested."""
        import cv2
        import numpy as np
        import torch

        state = engine_state()
        libraries = {"torch": str(torch.__version__), "numpy": np.__version__, "opencv": str(cv2.__version__)}
        return {self.name: state.release, "engine": state.as_data(), **libraries}

    def missing_name(self, error: AttributeError | ImportError) -> EnvironmentProblemError | None:
        """Return the error of a release that lacks a name, if that is what ``error`` is about."""
        return missing_name(error)

    def load(self) -> None:
        """Import the engine, which takes seconds; it installs nothing and makes no requests by itself."""
        self.process_globals.load()

    def switches(self) -> AbstractContextManager[None]:
        """Return a context in which an import of the engine installs nothing and makes no requests by itself."""
        return engine_switches()

    def log(self, reporter: Reporter, verbose: bool) -> AbstractContextManager[None]:
        """Return a context in which the warnings of the engine go to ``reporter``; everything if ``verbose``."""
        from trainer_host.engine.ultralytics.engine_log import engine_log

        return engine_log(reporter, verbose, self)

    def default_hooks(self) -> object:
        """Return an object that answers hooks if no plugin does."""
        from trainer_host.engine.ultralytics.default_hooks import EngineDefaults

        return EngineDefaults()

    def tracker_problems(self, names: Sequence[str]) -> list[Problem]:
        """Return the problems of experiment trackers: unknown names, packages that are not installed."""
        from trainer_host.engine.ultralytics.trackers import tracker_problems

        return tracker_problems(names)

    def refuse_remote_trackers(self, names: Sequence[str]) -> None:
        """Refuse trackers that need a network."""
        from trainer_host.engine.ultralytics.trackers import refuse_remote_trackers

        refuse_remote_trackers(names)

    def infer_task(self, model: str) -> str | None:
        """Return the task of a model YAML, a checkpoint or published weights; None if it does not say it."""
        from trainer_host.engine.ultralytics.model_files import infer_task

        return infer_task(model)

    def missing_model(self, name: str, instead: str = ".") -> Problem | None:
        """Return a problem if a model is neither a file nor published by the engine."""
        from trainer_host.engine.ultralytics.model_files import missing_model

        return missing_model(name, instead)

    def find_weights(self, name: str, offline: bool, scratch: str | None) -> str:
        """Return the path of a model; fetch it if it is published and missing."""
        from trainer_host.engine.ultralytics.model_files import find_weights

        return find_weights(name, offline, scratch)

    def model_problems(self, run: LiveRun) -> list[Problem]:
        """Return the unknown layers of a model YAML, and the settings that do not fit it; nothing is built."""
        from ultralytics.nn.tasks import yaml_model_load

        from trainer_host.engine.ultralytics.freeze_setting import freeze_problems
        from trainer_host.engine.ultralytics.plugin_layers import unknown_layers

        settings = run.resolved.settings
        model = str(settings.get("model") or "")
        if not model.lower().endswith((".yaml", ".yml")):
            return []
        freeze = settings.get("freeze")
        return unknown_layers(model, run) + (freeze_problems(freeze, yaml_model_load(model)) if freeze else [])

    def shipped_dataset(self, name: str) -> Path | None:
        """Return the dataset YAML of this name that the engine ships, with or without its ending."""
        folder = engine_settings.engine_folder() / "cfg" / "datasets"
        names = (name, f"{name}.yaml", f"{name}.yml")
        return next((folder / n for n in names if (folder / n).is_file()), None)

    def shipped_datasets(self) -> list[str]:
        """Return the file names of the dataset YAMLs that the engine ships."""
        return [f.name for f in (engine_settings.engine_folder() / "cfg" / "datasets").glob("*.yaml")]

    def training(
        self,
        run: LiveRun,
        save_dir: Path,
        reporter: Reporter,
        stop: StopRequest,
        resume: Resumption | None = None,
        record: Callable[[Sequence[StateEntry]], None] = lambda _: None,
    ) -> Training:
        """Return a training that has not begun."""
        from trainer_host.engine.ultralytics.training_engine import TrainingEngine

        return TrainingEngine(run, save_dir, reporter, stop, resume, record)

    def trained_model(self, checkpoint: Checkpoint, run: LiveRun, settings: Mapping[str, Any]) -> EngineModel:
        """Return the model of a checkpoint, on its device."""
        from trainer_host.engine.ultralytics.engine_errors import engine_errors
        from trainer_host.engine.ultralytics.trained_model import UltralyticsModel

        with engine_errors():
            return UltralyticsModel(checkpoint, run, settings)
