"""The ultralytics engine as sessions see it. Importing this imports neither ultralytics nor torch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.gc_pause import gc_paused
from trainer_host.engine.ultralytics import engine_settings
from trainer_host.engine.ultralytics.engine_import import engine_switches, import_engine
from trainer_host.engine.ultralytics.release_window import engine_version, untested_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from trainer_host.base.errors import Problem
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.live_run import LiveRun
    from trainer_host.engine.protocol import Command, TrainedModel, Training


class UltralyticsSettings:
    """The settings of ultralytics; see `trainer_host.engine.protocol.EngineSettings`."""

    model_keys = ("pretrained", "distill_model")

    def defaults(self) -> Mapping[str, Any]:
        """Return every setting with its default."""
        return engine_settings.engine_defaults()

    def keys(self) -> frozenset[str]:
        """Return the settings that a user may give."""
        return engine_settings.engine_keys()

    def unknown(
        self,
        settings: Mapping[str, Any],
        where: Callable[[str], str | None] = lambda _: None,
        dataset_keys: Collection[str] = (),
    ) -> list[Problem]:
        """Return a problem for each setting that the engine does not have, with what to write instead."""
        from trainer_host.engine.ultralytics.foreign_settings import unknown_settings

        return unknown_settings(settings, where, dataset_keys)

    def invalid(self, settings: Mapping[str, Any], command: Command = "run") -> list[Problem]:
        """Return a problem for each value that the engine would refuse, misread or crash on."""
        from trainer_host.engine.ultralytics.settings_validation import check_values

        return check_values(settings, command)

    def unused(
        self,
        settings: Mapping[str, Any],
        command: Command,
        engine_task: str | None,
        where: Callable[[str], str | None] = lambda _: None,
    ) -> tuple[list[Problem], list[Problem]]:
        """Return the settings that a command does not use: those to refuse, and those to warn about."""
        from trainer_host.engine.ultralytics.setting_effects import unused_settings

        return unused_settings(settings, command, engine_task, where)

    def instead_of_option(self, name: str, value: Any) -> str | None:
        """Return what to write for a setting given as an option (``--epochs 3``); None for an unknown name."""
        from trainer_host.engine.ultralytics.foreign_settings import what_to_write

        return what_to_write(name, value)


class UltralyticsEngine:
    """The ultralytics engine; see `trainer_host.engine.protocol.Engine`."""

    name = "ultralytics"
    settings_file = "args.yaml"
    results_file = "results.csv"

    def __init__(self) -> None:
        self.settings = UltralyticsSettings()

    def version(self) -> str:
        """Return the installed release, read from metadata."""
        return engine_version()

    def versions(self) -> dict[str, str]:
        """Return the releases of ultralytics and torch."""
        import torch

        return {self.name: self.version(), "torch": str(torch.__version__)}

    def untested(self) -> Problem | None:
        """Return a problem if the host was not tested with the installed release."""
        return untested_engine()

    def load(self) -> None:
        """Import the engine, which takes seconds; it installs nothing and makes no requests by itself."""
        import_engine()
        with gc_paused():
            importlib.import_module("trainer_host.engine.ultralytics.training_engine")

    def switches(self) -> AbstractContextManager[None]:
        """Return a context in which an import of the engine installs nothing and makes no requests by itself."""
        return engine_switches()

    def preserved_state(self) -> AbstractContextManager[None]:
        """Return a context that imports the engine, and restores on leaving what it changes in the process."""
        from trainer_host.engine.process_state import preserved_state

        return preserved_state()

    def log(self, reporter: Reporter, verbose: bool) -> AbstractContextManager[None]:
        """Return a context in which the warnings of the engine go to ``reporter``; everything if ``verbose``."""
        from trainer_host.engine.ultralytics.engine_log import engine_log

        return engine_log(reporter, verbose)

    def default_hooks(self) -> object:
        """Return an object that answers hooks if no plugin does."""
        from trainer_host.engine.ultralytics.default_hooks import EngineDefaults

        return EngineDefaults()

    def tracker_problems(self, names: Sequence[str]) -> list[Problem]:
        """Return why experiment trackers cannot be used: unknown names, packages that are not installed."""
        from trainer_host.engine.ultralytics.trackers import tracker_problems

        return tracker_problems(names)

    def refuse_remote_trackers(self, names: Sequence[str]) -> None:
        """Refuse trackers that need a network."""
        from trainer_host.engine.ultralytics.trackers import refuse_remote_trackers

        refuse_remote_trackers(names)

    def infer_task(self, model: str) -> str | None:
        """Return the task of a model YAML, a checkpoint or published weights; None if it does not say it."""
        from trainer_host.engine.ultralytics.training_engine import chain_of_checkpoint, task_of_model

        if model.endswith(".pt") and Path(model).is_file():
            return chain_of_checkpoint(Path(model))[0]
        return task_of_model(model)

    def missing_model(self, name: str, instead: str = ".") -> Problem | None:
        """Return a problem if a model is neither a file nor published by the engine."""
        from trainer_host.engine.ultralytics.training_engine import missing_model

        return missing_model(name, instead)

    def find_weights(self, name: str, offline: bool, scratch: str | None) -> str:
        """Return the path of a model, fetched if it is published and not here."""
        from trainer_host.engine.ultralytics.training_engine import find_weights

        return find_weights(name, offline, scratch)

    def model_problems(self, model: str, settings: Mapping[str, Any]) -> list[Problem]:
        """Return the settings that do not fit a model file, as far as the file alone says it."""
        from ultralytics.nn.tasks import yaml_model_load

        from trainer_host.engine.ultralytics.freeze_setting import freeze_problems

        if not settings.get("freeze") or not model.lower().endswith((".yaml", ".yml")):
            return []
        return freeze_problems(settings["freeze"], yaml_model_load(model))

    def shipped_dataset(self, name: str) -> Path | None:
        """Return the dataset YAML of this name that the engine ships, with or without its ending."""
        folder = engine_settings.engine_folder() / "cfg" / "datasets"
        names = (name, f"{name}.yaml", f"{name}.yml")
        return next((folder / n for n in names if (folder / n).is_file()), None)

    def shipped_datasets(self) -> list[str]:
        """Return the file names of the dataset YAMLs that the engine ships."""
        return [f.name for f in (engine_settings.engine_folder() / "cfg" / "datasets").glob("*.yaml")]

    def training(self, run: LiveRun, save_dir: Path, reporter: Reporter, stop: StopRequest) -> Training:
        """Return a training that has not begun."""
        from trainer_host.engine.ultralytics.training_engine import TrainingEngine

        return TrainingEngine(run, save_dir, reporter, stop)

    def trained_model(
        self, path: Path, run: LiveRun, values: Mapping[str, Any], mode: Command, save_dir: Path
    ) -> TrainedModel:
        """Return the model of a checkpoint, on its device."""
        from trainer_host.engine.ultralytics.training_engine import FinishedModel

        return FinishedModel(path, run, values, mode, save_dir)
