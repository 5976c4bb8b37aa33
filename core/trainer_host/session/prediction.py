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
from trainer_host.engine.error_translation import blamed, translated
from trainer_host.engine.process_state import preserved_state
from trainer_host.engine.ultralytics.engine_settings import engine_defaults
from trainer_host.session.evaluation import is_meant, open_model, settings_problems
from trainer_host.session.prediction_files import PredictionFiles, Wanted, try_output, write_predictions
from trainer_host.session.prediction_sources import given_source, is_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.base.protocols import Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.ultralytics.training_engine import FinishedModel
    from trainer_host.session.prediction_sources import Source
    from trainer_host.session.resolution import Request

SHOWN = 10
"""Unreadable images that an error names; the others are counted."""


def predict(
    request: Request, reporter: Reporter, outputs: Sequence[Path] = (), pictures: bool = True, keep: bool = True
) -> PredictResult:
    """Run a trained model on images, folders or videos, draw what it finds, and write it on request.

    Args:
        request: The settings; ``model`` and ``source`` are required.
        reporter: Who shows the progress.
        outputs: Files to write what was found into, as JSON or CSV by their names.
        pictures: Whether to draw pictures; ``save=False`` draws none either.
        keep: Whether the result holds what was found; otherwise it counts, and an endless source needs no memory.

    Raises:
        DatasetError: If none of the images can be read.
        TrainerError: For every other cause that is expected.
    """
    files = _tried(outputs, request.given.settings.get("source"))
    with translated(), ExitStack() as held:
        held.enter_context(preserved_state())  # imports the engine without its look-ups, before the values are checked
        source = _checked_source(request)
        from trainer_host.engine.ultralytics.engine_log import engine_log, quiet_opencv

        settings = request.given.settings
        wanted = _wanted(settings, pictures)
        stop = StopRequest(when="what was found until then is written")
        with engine_log(reporter, request.verbose), quiet_opencv(request.verbose), stop.listening():
            model = open_model(request, "predict", reporter, held, wanted.any())
            writer = PredictionFiles(model, model.save_dir, wanted) if wanted.any() else None
            work = _Work(model, source, files, writer, keep or bool(files))
            with blamed(model.plan.chain.manager):
                work.run(settings.get("batch") or 1)
            work.warn(reporter, settings)
            return work.result()


def _checked_source(request: Request) -> Source:
    """Return the source; its problems and those of the other settings are reported together.

    Raises:
        SettingsError: If there are any.
    """
    problems = settings_problems(request, "predict")
    try:
        source = given_source(request)
    except SettingsError as error:
        own = () if is_meant("source", problems) and request.given.settings.get("source") is None else error.problems
        raise SettingsError(*problems, *own) from error
    if problems:
        raise SettingsError(*problems)
    return source


def _tried(outputs: Sequence[Path], source: Any) -> dict[Path, Path]:
    """Return for each file of the output where it is written; all of them are tried, and their problems reported."""
    files: dict[Path, Path] = {}
    errors: list[TrainerError] = []
    for output in outputs:
        try:
            files[output] = try_output(output)
            if isinstance(source, (str, Path)) and _are_same(output, source):
                what = f"--output {output} would overwrite the source."
                raise SettingsError(Problem(what, "Fix: give another file"))
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
    return [Problem(what, "Fix: give another folder with project=DIR or save_dir=DIR")]


def _wanted(settings: Mapping[str, Any], pictures: bool) -> Wanted:
    return Wanted(
        pictures=pictures and settings.get("save") is not False,
        frames=settings.get("save_frames") is True,
        labels=settings.get("save_txt") is True,
        crops=settings.get("save_crop") is True,
    )


@dataclass
class _Work:
    """One prediction, and what came of it so far.

    Attributes:
        model: The model.
        source: What it reads.
        outputs: The files of the output, by the names that the user gave.
        writer: Writes the result folder, if there is one.
        keep: Whether to keep what was found.
    """

    model: FinishedModel
    source: Source
    outputs: Mapping[Path, Path]
    writer: PredictionFiles | None
    keep: bool
    found: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[UnreadableImage] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    images: int = 0
    objects: int = 0

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
                    raise self._nothing_read()
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
        self.unreadable += self.source.missing
        if self.source.stream is not None:
            self._take(self.source.stream)
        for entries, unreadable in self.source.parts(batch):
            self.unreadable += unreadable
            if entries:
                self._take(entries)

    def _take(self, source: Any) -> None:
        for prediction in self.model.predict(source):
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
        if self.keep:
            self.found.append(prediction.as_json())

    def _write(self) -> None:
        try:
            if self.writer is not None:
                self.files += self.writer.close()
        finally:
            for output, file in self.outputs.items():
                write_predictions(file, self.found)
                self.files.append(output)

    def _nothing_read(self) -> DatasetError:
        problems = [Problem(f"{u.reason}.", f"Fix: {u.fix}", str(u.path)) for u in self.unreadable[:SHOWN]]
        if len(self.unreadable) > SHOWN:
            problems.append(
                Problem(f"{len(self.unreadable) - SHOWN} more images cannot be read.", "Fix: --json lists them")
            )
        return DatasetError(*problems)

    def warn(self, reporter: Reporter, settings: Mapping[str, Any]) -> None:
        """Report what could not be read, what was passed over, and settings that had no effect."""
        if self.source.note is not None:
            reporter.note(str(self.source.note))
        for key, why in self._unused(settings):
            reporter.warn(f"{key}={settings[key]} has no effect: {why}.")
        for unreadable in self.unreadable[:SHOWN]:
            reporter.warn(f"{unreadable.path} cannot be read: {unreadable.reason}.")
        if len(self.unreadable) > SHOWN:
            reporter.warn(f"{len(self.unreadable) - SHOWN} more images cannot be read.")
        task = self.model.plan.chain.name
        for key in sorted(self.writer.lacks if self.writer is not None else ()):
            reporter.warn(f"{key}= has no effect: the predictor of task {task} does not support it.")

    def _unused(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield settings that have no effect on this source, or without a result folder, and why."""
        still = self.source.stream is None and not any(is_video(entry) for entry in self.source.entries)
        reasons = {
            "vid_stride": "the source has images only" if still else "",
            "save_frames": "the source has images only" if still else "",
            "stream_buffer": "the source is not a stream" if self.source.stream is None else "",
            **dict.fromkeys(
                ("project", "name", "exist_ok", "save_dir"), "no file is written" if self.writer is None else ""
            ),
        }
        defaults = engine_defaults()
        for key, why in reasons.items():
            if why and settings.get(key) not in (None, False, defaults.get(key)):
                yield key, why

    def result(self) -> PredictResult:
        """Return what was found, and the files."""
        return PredictResult(
            self.model.plan.chain.name,
            self.model.checkpoint.path,
            self.model.save_dir if self.writer is not None and self.writer.files else None,
            self.found,
            self.files,
            self.unreadable,
            self.images,
            self.objects,
        )
