"""The protocol of an engine: what a session asks of whatever trains, evaluates and predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trainer_host.base.errors import Problem
    from trainer_host.base.protocols import Image, Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import Outcome, StartingWeights, UnreadableImage
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.live_run import LiveRun

Command = Literal["run", "val", "predict"]
"""The commands that an engine does the work of."""


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

    def invalid(self, settings: Mapping[str, Any], command: Command = ...) -> list[Problem]:
        """Return a problem for each value that the engine would refuse, misread or crash on."""
        ...

    def unused(
        self,
        settings: Mapping[str, Any],
        command: Command,
        engine_task: str | None,
        where: Callable[[str], str | None] = ...,
    ) -> tuple[list[Problem], list[Problem]]:
        """Return the settings that a command does not use: those to refuse, and those to warn about."""
        ...

    def instead_of_option(self, name: str, value: Any) -> str | None:
        """Return what to write for a setting given as an option (``--epochs 3``); None for an unknown name."""
        ...


class Engine(Protocol):
    """An engine: its settings, its models, and the work that it does.

    Attributes:
        name: The name of the engine, as its package has it.
        settings: Its settings.
        settings_file: Name of the file that holds every setting of a run, in the run's folder.
        results_file: Name of the table of results in the run's folder, which training writes.
    """

    name: str
    settings: EngineSettings
    settings_file: str
    results_file: str

    def version(self) -> str:
        """Return the installed release, read from metadata."""
        ...

    def versions(self) -> dict[str, str]:
        """Return the releases of the libraries that compute, by name; it may import them."""
        ...

    def untested(self) -> Problem | None:
        """Return a problem if the host was not tested with the installed release."""
        ...

    def load(self) -> None:
        """Import the engine, which takes seconds; it installs nothing and makes no requests by itself."""
        ...

    def switches(self) -> AbstractContextManager[None]:
        """Return a context in which an import of the engine installs nothing and makes no requests by itself."""
        ...

    def preserved_state(self) -> AbstractContextManager[None]:
        """Return a context that imports the engine, and restores on leaving what it changes in the process."""
        ...

    def log(self, reporter: Reporter, verbose: bool) -> AbstractContextManager[None]:
        """Return a context in which the warnings of the engine go to ``reporter``; everything if ``verbose``."""
        ...

    def default_hooks(self) -> object:
        """Return an object that answers hooks if no plugin does."""
        ...

    def tracker_problems(self, names: Sequence[str]) -> list[Problem]:
        """Return why experiment trackers cannot be used: unknown names, packages that are not installed."""
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
        """Return the path of a model, fetched if it is published and not here.

        Raises:
            SettingsError: If there is no such model.
            UnsafeError: If it would have to be fetched, and ``offline`` is set.
        """
        ...

    def model_problems(self, model: str, settings: Mapping[str, Any]) -> list[Problem]:
        """Return the settings that do not fit a model file, as far as the file alone says it."""
        ...

    def shipped_dataset(self, name: str) -> Path | None:
        """Return the dataset YAML of this name that the engine ships, with or without its ending."""
        ...

    def shipped_datasets(self) -> list[str]:
        """Return the file names of the dataset YAMLs that the engine ships."""
        ...

    def training(self, run: LiveRun, save_dir: Path, reporter: Reporter, stop: StopRequest) -> Training:
        """Return a training that has not begun."""
        ...

    def trained_model(
        self, path: Path, run: LiveRun, values: Mapping[str, Any], mode: Command, save_dir: Path
    ) -> TrainedModel:
        """Return the model of a checkpoint, on its device."""
        ...


class Training(Protocol):
    """A training: prepared first, then run."""

    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up what training needs; return what the run's record says of it."""
        ...

    def describe(self) -> str:
        """Return in a few words what is trained, and on what."""
        ...

    def warnings(self) -> list[str]:
        """Return what the settings do that is easily missed."""
        ...

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from; None while they are not known."""
        ...

    def train(self) -> Outcome:
        """Train, and return the outcome."""
        ...


class TrainedModel(Protocol):
    """A trained model with its plugins.

    Attributes:
        run: What was asked for, with the plugins.
        checkpoint: The file.
        save_dir: The folder of the results.
    """

    run: LiveRun
    checkpoint: Checkpoint
    save_dir: Path

    def validate(self) -> dict[str, float]:
        """Evaluate the model on the dataset of the settings."""
        ...

    def predict(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image."""
        ...

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None if the task draws none."""
        ...
