"""Prediction with a trained model, from the list of sources to the files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError, TrainerError
from trainer_host.base.findings import DatasetError
from trainer_host.base.results import PredictResult, UnreadableImage
from trainer_host.base.signals import StopRequest
from trainer_host.base.wording import counted
from trainer_host.engine.error_translation import blamed
from trainer_host.session.evaluation import request_problems
from trainer_host.session.model_opening import open_model
from trainer_host.session.prediction_files import PredictionFiles, Wanted
from trainer_host.session.prediction_sources import find_source
from trainer_host.session.prediction_tables import try_output, write_predictions
from trainer_host.session.result_folder import result_folder
from trainer_host.session.trained_model_settings import is_meant, known_settings, warn_of_unused
from trainer_host.session.working_engine import working_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.base.protocols import Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import EngineModel, EnginePredictor, Lacking
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.source_files import Source

SHOWN = 10
"""Unreadable images that an error names; the others are counted."""


def predict(
    request: Request,
    registry: Registry,
    reporter: Reporter,
    outputs: Sequence[Path] = (),
    pictures: bool = True,
    keep: bool = True,
) -> PredictResult:
    """Run a trained model on images, folders or videos, draw what it finds, and write it on request.

    Args:
        request: The settings; ``model`` and ``source`` are required.
        registry: The plugins to choose from.
        reporter: Who shows the progress.
        outputs: Files to write what was found into, as JSON or CSV by their names.
        pictures: Whether to draw pictures; ``save=False`` draws none either.
        keep: Whether the result holds what was found; otherwise it counts, and an endless source needs no memory.

    Raises:
        DatasetError: If none of the images can be read.
        TrainerError: For every other cause that is expected.
    """
    files = _tried(outputs, request.values.get("source"))
    with working_engine(request, registry, reporter) as engine:  # before the values are checked
        given, problems = request.values, request_problems(request, registry, engine, "predict")
        source = checked_source(problems, given, request.options.offline)
        from trainer_host.engine.opencv_output import quiet_opencv

        wanted = Wanted.of(given, pictures)
        stop = StopRequest(when="what was found until then is written")
        with quiet_opencv(request.options.verbose), stop.listening(), ExitStack() as held:
            model = open_model(request, registry, reporter, engine)
            settings = known_settings(given, model.run.engine)
            warn_of_unused(model, settings, "predict", reporter, lacking(source, files=wanted.any()))
            chain, folder = model.run.chain, Path.cwd()
            if wanted.any():
                folder = held.enter_context(result_folder(chain.name, settings, "predict", reporter))
            with blamed(chain.manager, model.run.engine):
                predictor = model.predictor(settings, folder)
                writer = PredictionFiles(predictor.draw, folder, wanted) if wanted.any() else None
                work = _Work(model, predictor, source, files, writer, keep or bool(files))
                work.run(settings.get("batch") or 1)
            work.warn(reporter)
            return work.result()


def checked_source(problems: list[Problem], settings: Mapping[str, Any], offline: bool) -> Source:
    """Return the source; its problems and those of the other settings are reported together.

    Raises:
        SettingsError: If there are any.
        UnsafeError: If the source would be fetched, and the run is offline.
    """
    try:
        source = find_source(settings.get("source"), offline, settings.get("data"))
    except SettingsError as error:
        own = () if is_meant("source", problems) and settings.get("source") is None else error.problems
        raise SettingsError(*problems, *own) from error
    if problems:
        raise SettingsError(*problems)
    return source


def lacking(source: Source, files: bool) -> list[Lacking]:
    """Return what a prediction does without: a video, a stream, files."""
    has: dict[Lacking, bool] = {"video": source.has_video, "stream": source.stream is not None, "files": files}
    return [what for what, there in has.items() if not there]


def results_of(
    predictor: EnginePredictor, source: Source, batch: int
) -> Iterator[Iterator[Prediction | UnreadableImage]]:
    """Yield what a model finds in each part of a source, such as one video, and what cannot be read in it.

    Args:
        predictor: The model.
        source: What it reads.
        batch: Images that the model sees at once.
    """
    yield iter(source.missing)
    if source.stream is not None:
        yield predictor(source.stream)
    for entries, unreadable in source.parts(batch):
        yield iter(unreadable)
        if entries:
            yield predictor(entries)


def nothing_read(unreadable: Sequence[UnreadableImage]) -> DatasetError:
    """Return the error of a source of which nothing can be read."""
    problems = [Problem(f"{u.reason}.", f"{u.fix}", str(u.path)) for u in unreadable[:SHOWN]]
    if len(unreadable) > SHOWN:
        more = counted(len(unreadable) - SHOWN, "more image")
        problems.append(Problem(f"{more} cannot be read.", "--json lists them"))
    return DatasetError(*problems)


def warn_of_unreadable(unreadable: Sequence[UnreadableImage], source: Source, reporter: Reporter) -> None:
    """Report the images that could not be read, and those that were passed over."""
    if source.note is not None:
        reporter.note(str(source.note))
    for image in unreadable[:SHOWN]:
        reporter.warn(f"{image.path} cannot be read: {image.reason}.")
    if len(unreadable) > SHOWN:
        reporter.warn(f"{counted(len(unreadable) - SHOWN, 'more image')} cannot be read.")


def _tried(outputs: Sequence[Path], source: Any) -> dict[Path, Path]:
    """Return for each file of the output where it is written; all of them are tried, and their problems reported."""
    files: dict[Path, Path] = {}
    errors: list[TrainerError] = []
    for output in outputs:
        try:
            files[output] = try_output(output)
            if isinstance(source, (str, Path)) and _are_same(output, source):
                what = f"--output {output} would overwrite the source."
                raise SettingsError(Problem(what, "give another file"))
        except TrainerError as error:
            errors.append(error)
    if errors:
        raise type(errors[0])(*(p for e in errors if type(e) is type(errors[0]) for p in e.problems))
    return files


def _are_same(file: Path, other: str | Path) -> bool:
    try:
        return file.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or cannot be
        return False


def _overwritten(source: Source, folder: Path) -> list[Problem]:
    """Return a problem if the result folder holds the images that pictures are drawn on."""
    parents = {e.parent for e in source.entries if isinstance(e, Path)}
    if folder.resolve() not in {parent.resolve() for parent in parents}:
        return []
    what = f"the result folder {folder} holds the source, and its images would be overwritten."
    return [Problem(what, "give another folder with project=DIR or save_dir=DIR")]


@dataclass
class _Work:
    """One prediction, and what it has found so far.

    Attributes:
        model: The model.
        predictor: The model with the settings of this prediction.
        source: What it reads.
        outputs: The files of the output, by the names that the user gave.
        writer: Writes the result folder, if there is one.
        keep: Whether to keep what was found.
        empty: The images and videos in which nothing was found.
        videos_with_objects: The videos in which something was found.
    """

    model: EngineModel
    predictor: EnginePredictor
    source: Source
    outputs: Mapping[Path, Path]
    writer: PredictionFiles | None
    keep: bool
    found: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[UnreadableImage] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    images: int = 0
    objects: int = 0
    empty: dict[Path, None] = field(default_factory=dict)
    videos_with_objects: set[Path] = field(default_factory=set)

    def run(self, batch: int) -> None:
        """Predict, and write what was found, also if an error or a signal ends it.

        Args:
            batch: Images that the model sees at once.
        """
        done = False
        try:
            try:
                self._check()
                self._predict(batch)
                if self.unreadable and not self.images:
                    raise nothing_read(self.unreadable)
                done = True
            finally:  # what was found before an interruption is not lost
                if done or self.images:
                    self._write()
        except TrainerError as error:
            error.details |= self.result().as_json()
            raise
        finally:
            if self.writer is not None and not done:
                self.writer.discard()

    def _check(self) -> None:
        """Refuse what only shows once there is a model and a result folder.

        Raises:
            SettingsError: If there is nothing to read, or the source would be overwritten.
        """
        problems = [self.source.problem] if self.source.problem is not None else []
        if self.writer is not None:
            problems += _overwritten(self.source, self.writer.folder)
        if problems:
            raise SettingsError(*problems)

    def _predict(self, batch: int) -> None:
        for part in results_of(self.predictor, self.source, batch):
            for prediction in part:
                if isinstance(prediction, UnreadableImage):
                    self.unreadable.append(prediction)
                else:
                    self._add(prediction)
            if self.writer is not None:
                self.writer.end_videos()

    def _add(self, prediction: Prediction) -> None:
        if self.writer is not None:
            self.writer.write(prediction)
        self.images += 1
        self.objects += len(prediction.objects)
        self._note_empty(prediction)
        if self.keep:
            self.found.append(prediction.as_json())

    def _note_empty(self, prediction: Prediction) -> None:
        path = prediction.path
        if prediction.objects:
            self.empty.pop(path, None)
            if prediction.frame is not None:
                self.videos_with_objects.add(path)
        elif path not in self.videos_with_objects:
            self.empty[path] = None

    def _write(self) -> None:
        try:
            if self.writer is not None:
                self.files += self.writer.close()
        finally:
            for output, file in self.outputs.items():
                write_predictions(file, self.found)
                self.files.append(output)

    def warn(self, reporter: Reporter) -> None:
        """Report what could not be read, and files that the task's predictor does not support."""
        warn_of_unreadable(self.unreadable, self.source, reporter)
        task = self.model.run.chain.name
        for key in sorted(self.writer.lacks if self.writer is not None else ()):
            reporter.warn(f"{key}= has no effect: the predictor of task {task} does not support it.")

    def result(self) -> PredictResult:
        """Return what was found, and the files."""
        return PredictResult(
            self.model.run.chain.name,
            self.model.checkpoint.path,
            self.writer.folder if self.writer is not None and self.writer.files else None,
            self.found,
            self.files,
            self.unreadable,
            self.images,
            self.objects,
            [*self.empty],
        )
