"""The protocol of an engine: the run that it is given, and the calls by which a session trains and predicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainer_host.engine.process_group import SingleProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trainer_host.base.errors import EnvironmentProblemError, Problem
    from trainer_host.base.protocols import Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.base.results import StartingWeights, TrainingOutcome, UnreadableImage
    from trainer_host.base.run_options import RunOptions
    from trainer_host.base.signals import StopRequest
    from trainer_host.base.type_aliases import Device, Image
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.engine_state import EngineState
    from trainer_host.engine.process_group import ProcessGroup
    from trainer_host.engine.process_state import EngineGlobals
    from trainer_host.engine.resumption import Resumption
    from trainer_host.engine.state_files import StateEntry
    from trainer_host.plugin.chain import Chain

Command = Literal["run", "val", "predict"]
"""Commands that an engine carries out."""
Lacking = Literal["video", "stream", "files"]
"""Absent parts of a prediction: a video or a stream among its sources, files that it writes."""


@dataclass(frozen=True)
class LiveRun:
    """A resolved run with its plugins, loaded in this process.

    Attributes:
        resolved: What the run does.
        chain: Its plugins.
        engine: Its engine.
        drop_in: Whether its trainer stands in for one of the engine's own.
        repeats: The record of the run that it repeats, as far as the user changed nothing of it; else empty.
        file: The settings file that it was made from, or None.
        group: The processes that carry it out.
    """

    resolved: ResolvedRun
    chain: Chain
    engine: Engine
    drop_in: bool = False
    repeats: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    group: ProcessGroup = field(default_factory=SingleProcess)

    @property
    def options(self) -> RunOptions:
        """The options of the host."""
        return self.resolved.options


class EngineSettings(Protocol):
    """The settings of an engine. Nothing here imports the engine's library.

    Attributes:
        model_keys: Settings next to ``model`` that name models.
    """

    model_keys: tuple[str, ...]

    def defaults(self) -> Mapping[str, Any]:
        """Return every setting with its default."""
        ...

    def keys(self) -> frozenset[str]:
        """Return the settings that a user may give."""
        ...

    def of_loading(self) -> frozenset[str]:
        """Return the settings that decide how a trained model computes, and are fixed once it is loaded."""
        ...

    def on_resume(self) -> Mapping[str, bool]:
        """Return the settings that may change when a run is resumed, and whether they change its result."""
        ...

    def unknown(
        self,
        settings: Mapping[str, Any],
        where: Callable[[str], str | None] = ...,
        dataset_keys: Collection[str] = ...,
    ) -> list[Problem]:
        """Return a problem for each setting that the engine does not have, with what to write instead.

        Args:
            settings: The settings.
            where: The place of a setting in a file, or None.
            dataset_keys: Keys that belong into a dataset YAML.
        """
        ...

    def invalid(
        self, settings: Mapping[str, Any], command: Command = ..., where: Callable[[str], str | None] = ...
    ) -> list[Problem]:
        """Return a problem for each value that the engine would refuse, misread or crash on."""
        ...

    def unused(
        self,
        settings: Mapping[str, Any],
        command: Command,
        engine_task: str | None,
        where: Callable[[str], str | None] = ...,
        lacking: Collection[Lacking] = ...,
    ) -> tuple[list[Problem], list[Problem]]:
        """Return the settings that a command does not use: those to refuse, and those to warn about.

        Args:
            settings: Known settings.
            command: The command.
            engine_task: The engine's kind of the task; None if it is not known.
            where: The place of a setting in a file, or None.
            lacking: What the command does without, so that settings about it have no effect.
        """
        ...

    def option_problem(self, message: str, name: str, value: Any) -> Problem | None:
        """Return a problem for a setting given as an option (``--epochs 3``), with a fix; None for an unknown name."""
        ...


class Checkpoints(Protocol):
    """The checkpoint files of an engine."""

    def read(self, path: Path | str) -> Checkpoint:
        """Read a checkpoint without executing anything that it names.

        Raises:
            SettingsError: If the file is missing, damaged, or not a checkpoint.
            UnsafeError: If loading it in full could execute arbitrary code.
        """
        ...

    def foreign_names(self, path: Path) -> set[str]:
        """Return the classes and functions that a file names outside of torch, numpy and the engine."""
        ...


class Engine(Protocol):
    """An engine: its settings, its models, and the work that it does.

    Attributes:
        name: The name of the engine, as its package has it.
        settings: Its settings.
        settings_file: Name of the file that holds every setting of a run, in the run's folder.
        results_file: Name of the table of results in the run's folder, which training writes.
        variables: Beginnings of the names of environment variables that it reads.
        checkpoints: Its checkpoint files.
        process_globals: What its library changes in the process.
    """

    name: str
    settings: EngineSettings
    settings_file: str
    results_file: str
    variables: tuple[str, ...]
    checkpoints: Checkpoints
    process_globals: EngineGlobals

    def version(self) -> str:
        """Return the installed release, read from metadata."""
        ...

    def state(self) -> EngineState:
        """Compare the installed release with the tested ones; nothing of it is imported.

        Raises:
            EnvironmentProblemError: If the engine is not installed.
        """
        ...

    def versions(self) -> dict[str, Any]:
        """Return the releases of the libraries that compute, by name, and whether the host was tested with them.

        It may import them.
        """
        ...

    def missing_name(self, error: AttributeError | ImportError) -> EnvironmentProblemError | None:
        """Return the error of a release that lacks a name, if that is what ``error`` is about."""
        ...

    def load(self) -> None:
        """Import the engine, which takes seconds; it installs nothing and makes no requests by itself."""
        ...

    def switches(self) -> AbstractContextManager[None]:
        """Return a context in which an import of the engine installs nothing and makes no requests by itself."""
        ...

    def log(self, reporter: Reporter, verbose: bool) -> AbstractContextManager[None]:
        """Return a context in which the warnings of the engine go to ``reporter``; everything if ``verbose``."""
        ...

    def default_hooks(self) -> object:
        """Return an object that answers hooks if no plugin does."""
        ...

    def tracker_problems(self, names: Sequence[str]) -> list[Problem]:
        """Return the problems of experiment trackers: unknown names, packages that are not installed."""
        ...

    def refuse_remote_trackers(self, names: Sequence[str]) -> None:
        """Refuse trackers that need a network.

        Raises:
            UnsafeError: If there is one.
        """
        ...

    def infer_task(self, model: str) -> str | None:
        """Return the task of a model YAML, a checkpoint or published weights; None if it does not say it."""
        ...

    def missing_model(self, name: str, instead: str = ...) -> Problem | None:
        """Return a problem if a model is neither a file nor published by the engine."""
        ...

    def find_weights(self, name: str, offline: bool, scratch: str | None) -> str:
        """Return the path of a model; fetch it if it is published and missing.

        Raises:
            SettingsError: If there is no such model.
            UnsafeError: If it would have to be fetched, but ``offline`` is set.
        """
        ...

    def model_problems(self, run: LiveRun) -> list[Problem]:
        """Return what is wrong with the model file of a run, and the settings that do not fit it; nothing is built.

        Raises:
            UnsafeError: If building it could execute code or fetch something.
        """
        ...

    def shipped_dataset(self, name: str) -> Path | None:
        """Return the dataset YAML of this name that the engine ships, with or without its ending."""
        ...

    def shipped_datasets(self) -> list[str]:
        """Return the file names of the dataset YAMLs that the engine ships."""
        ...

    def training(
        self,
        run: LiveRun,
        save_dir: Path,
        reporter: Reporter,
        stop: StopRequest,
        resume: Resumption | None = ...,
        record: Callable[[Sequence[StateEntry]], None] = ...,
    ) -> Training:
        """Return a training that has not begun.

        Args:
            run: What it does.
            save_dir: Its folder.
            reporter: Shows the progress.
            stop: Whether it is to end early.
            resume: The state that it goes on from; None for a new run.
            record: Records the state files that are there, the newest last.
        """
        ...

    def trained_model(self, checkpoint: Checkpoint, run: LiveRun, settings: Mapping[str, Any]) -> EngineModel:
        """Return the model of a checkpoint, on its device.

        Args:
            checkpoint: The file.
            run: Its plugins.
            settings: Settings of `EngineSettings.of_loading`.
        """
        ...


class Training(Protocol):
    """A training: prepared first, then run."""

    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up the training; return the facts of the dataset for the run's record."""
        ...

    def describe(self) -> str:
        """Return a short description of the training."""
        ...

    def warnings(self) -> list[str]:
        """Return effects of the settings that are easily missed."""
        ...

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from; None while they are not known."""
        ...

    def last_checkpoint(self) -> Path | None:
        """Return the last checkpoint that this training has written, which a run that ends early leaves behind."""
        ...

    def train(self) -> TrainingOutcome:
        """Train, and return the outcome."""
        ...


class EngineModel(Protocol):
    """A trained model with its plugins, built once.

    Attributes:
        run: What was asked for, with the plugins.
        checkpoint: The file.
        device: The device that it computes on.
        names: The names of the classes by number.
    """

    run: LiveRun
    checkpoint: Checkpoint
    device: Device

    @property
    def names(self) -> Mapping[int, str]:
        """The names of the classes by number."""
        ...

    def validate(self, settings: Mapping[str, Any], save_dir: Path) -> dict[str, float]:
        """Evaluate the model on the dataset of the settings, or on that of the training."""
        ...

    def predictor(self, settings: Mapping[str, Any], save_dir: Path) -> EnginePredictor:
        """Return a predictor with these settings; the model is not built again."""
        ...


class EnginePredictor(Protocol):
    """A trained model with the settings of one prediction."""

    def __call__(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image."""
        ...

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None if the task draws none."""
        ...
