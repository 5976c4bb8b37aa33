"""A trained model for programs: read and built once, then used as often as needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.plain_setting import plain_setting
from trainer_host.base.results import ImagePrediction, UnreadableImage
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from contextlib import AbstractContextManager

    from trainer_host.base.protocols import Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.results import ValResult
    from trainer_host.base.type_aliases import Device, Image
    from trainer_host.engine.protocol import Command, EngineModel, EnginePredictor
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.source_files import Source

T = TypeVar("T")
END: Any = object()


def load(request: Request, registry: Registry, reporter: Reporter) -> TrainedModel:
    """Read and build a trained model.

    Raises:
        SettingsError: If a setting is wrong, or is not one of loading.
        TrainerError: For every other cause that is expected.
    """
    from trainer_host.session.evaluation import request_problems
    from trainer_host.session.model_opening import open_model
    from trainer_host.session.working_engine import working_engine

    with working_engine(request, registry, reporter) as engine:
        of_calls = request.values.keys() & engine.settings.keys() - engine.settings.of_loading() - {"model"}
        problems = request_problems(request, registry, engine, "val")
        fix = "give it to predict or validate of the loaded model"
        problems += [Problem(f"{key}= is not a setting of load.", fix) for key in sorted(of_calls)]
        if problems:
            raise SettingsError(*problems)
        model = open_model(request, registry, reporter, engine)
        return TrainedModel(model, registry, reporter, request.options.verbose)


class TrainedModel:
    """A trained model with its plugins, as `trainer_host.load` returns it.

    Each call leaves the process as it found it, and so does each step of a prediction. Use it in one thread at a time:
    what is restored belongs to the whole process. Predictions may overlap.

    Args:
        model: The model on its engine.
        registry: The plugins that there are.
        reporter: Who shows warnings.
        verbose: Whether to show all that the engine says.
    """

    def __init__(self, model: EngineModel, registry: Registry, reporter: Reporter, verbose: bool = False) -> None:
        self._model, self._registry, self._reporter, self._verbose = model, registry, reporter, verbose

    @property
    def task(self) -> str:
        """The name of the task."""
        return self._model.run.chain.name

    @property
    def names(self) -> Mapping[int, str]:
        """The names of the classes by number."""
        return MappingProxyType(dict(self._model.names))

    @property
    def path(self) -> Path:
        """The file."""
        return self._model.checkpoint.path

    @property
    def device(self) -> Device:
        """The device that it computes on, a `torch.device`."""
        return self._model.device

    @property
    def record(self) -> Mapping[str, Any]:
        """The host's record of the training in the file; empty for a file of another program."""
        return MappingProxyType(self._model.checkpoint.record)

    def __repr__(self) -> str:
        """Return the file, the task, the classes and the device."""
        classes = len(self.names)
        about = f"{self.task}, {counted(classes, 'class', 'classes')}, on {self.device}"
        return f"<{type(self).__name__} {str(self.path)!r}: {about}>"

    def predict(self, source: Any, **settings: Any) -> Predictions:
        """Find objects in images, one after the other as they are asked for. No files are written.

        Args:
            source: As `trainer_host.predict` takes it: a path, a pattern, an address, a camera, an array of numpy
                (height x width x 3 in BGR, or height x width, uint8), a Pillow image, or a list of these.
            settings: Settings of the engine for this prediction, such as ``conf=0.5, imgsz=640``.

        Returns:
            An iterator over one `ImagePrediction` for each image or frame.

        Raises:
            SettingsError: If a setting or the source is wrong.
            DatasetError: While it is iterated over, if none of the images can be read.
            TrainerError: For every other cause that is expected.
        """
        with self._working():
            from trainer_host.session.prediction import checked_source, lacking
            from trainer_host.session.prediction_files import Wanted
            from trainer_host.session.trained_model_settings import warn_of_unused

            given = {key: plain_setting(key, value) for key, value in settings.items()}
            problems = self._problems(given, "predict")
            if Wanted.of(given, given.get("save") is True).any():
                fix = "call trainer_host.predict, or plot() of a prediction"
                problems.append(Problem("predict of a loaded model does not write files.", fix))
            found = checked_source(problems, {**given, "source": source}, self._model.run.options.offline)
            if found.problem is not None:
                raise SettingsError(found.problem)
            warn_of_unused(self._model, given, "predict", self._reporter, lacking(found, files=False))
            predictor = self._model.predictor(given, Path.cwd())
        unreadable: list[UnreadableImage] = []
        results = self._results(predictor, found, int(given.get("batch") or 1), unreadable)
        return Predictions(in_steps(results, self._working), unreadable)

    def validate(self, data: str | Path | None = None, **settings: Any) -> ValResult:
        """Evaluate the model; plots go to ``runs/TASK/val``.

        Args:
            data: The dataset; that of the training by default.
            settings: Settings of the engine for this evaluation, such as ``split="test"``.

        Raises:
            DatasetError: If the dataset cannot be used.
            TrainerError: For every other cause that is expected.
        """
        with self._working():
            from trainer_host.session.evaluation import evaluate

            settings |= {} if data is None else {"data": str(data)}
            given = {key: plain_setting(key, value) for key, value in settings.items()}
            if problems := self._problems(given, "val"):
                raise SettingsError(*problems)
            return evaluate(self._model, given, self._reporter)

    def _problems(self, settings: Mapping[str, Any], command: Command) -> list[Problem]:
        """Return the problems of settings, among them those that were decided when the model was loaded."""
        from trainer_host.session.trained_model_settings import settings_problems

        engine = self._model.run.engine
        fixed = sorted(settings.keys() & {"model", *engine.settings.of_loading()})
        fix = "give it to trainer_host.load"
        return [
            *settings_problems(settings, self._registry, engine, command),
            *(Problem(f"{key}={settings[key]} cannot be changed once the model is loaded.", fix) for key in fixed),
        ]

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Prepare the process for the engine, and leave it as it was."""
        from trainer_host.engine.error_translation import blamed
        from trainer_host.engine.opencv_output import quiet_opencv
        from trainer_host.engine.process_state import preserved_state
        from trainer_host.session.working_engine import prepared

        run = self._model.run
        with (
            preserved_state(lambda: run.engine),
            prepared(run.engine, self._reporter, self._verbose),
            quiet_opencv(self._verbose),
            blamed(run.chain.manager, run.engine),
        ):
            yield

    def _results(
        self, predictor: EnginePredictor, source: Source, batch: int, unreadable: list[UnreadableImage]
    ) -> Generator[ImagePrediction, None, None]:
        from trainer_host.session.prediction import nothing_read, results_of, warn_of_unreadable

        def draw(prediction: ImagePrediction) -> Image | None:
            with self._working():
                return predictor.draw(prediction)

        images = 0
        for part in results_of(predictor, source, batch):
            for found in part:
                if isinstance(found, UnreadableImage):
                    unreadable.append(found)
                else:
                    images += 1
                    yield self._typed(found, draw)
        if unreadable and not images:
            raise nothing_read(unreadable)
        warn_of_unreadable(unreadable, source, self._reporter)

    def _typed(self, found: Prediction, draw: Callable[[ImagePrediction], Image | None]) -> ImagePrediction:
        if isinstance(found, ImagePrediction):
            return replace(found, names=found.names or self.names, drawn=draw)
        about: dict[str, Any] = {"frame": found.frame, "fps": found.fps}  # of a predictor with its own class
        return ImagePrediction(found.path, found.image, found.objects, **about, names=self.names, drawn=draw)


class Predictions(Iterator[ImagePrediction]):
    """An iterator over what a model finds, which computes each result when it is asked for.

    A ``with`` block or `close` ends it early, and releases its video or camera.

    Args:
        results: What is found.
        unreadable: Takes the images that cannot be read.

    Attributes:
        unreadable: The images that could not be read so far.
    """

    def __init__(self, results: Generator[ImagePrediction, None, None], unreadable: list[UnreadableImage]) -> None:
        self._results, self.unreadable = results, unreadable

    def __next__(self) -> ImagePrediction:
        """Compute the next result."""
        return next(self._results)

    def close(self) -> None:
        """End the prediction; there is nothing more to come."""
        self._results.close()

    def __enter__(self) -> Predictions:
        """Return the iterator."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the prediction."""
        self.close()


def in_steps(
    values: Generator[T, None, None], context: Callable[[], AbstractContextManager[None]]
) -> Generator[T, None, None]:
    """Yield the values of a generator, and compute each of them in its own context.

    In between, whoever takes the values finds the process as it was: a ``with`` around the loop would keep its changes.
    """
    value: Any = None
    try:
        while True:
            with context():
                value = next(values, END)
            if value is END:
                return
            yield value
    finally:
        if value is not END and not sys.is_finalizing():  # when the program ends, there is nothing to restore
            with context():
                values.close()
