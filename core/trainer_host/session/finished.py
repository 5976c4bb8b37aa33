"""Validation and prediction with a finished model."""

from __future__ import annotations

import csv
import io
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.data import write_whole
from trainer_host.base.display import csv_cell, json_text
from trainer_host.base.errors import PluginError, Problem, SettingsError, StorageError, unknown
from trainer_host.base.results import PredictResult, ValResult
from trainer_host.base.settings import is_file, name_of
from trainer_host.base.signals import StopRequest
from trainer_host.base.temporaries import naming
from trainer_host.engine.faults import blamed, translated
from trainer_host.engine.keys import engine_keys
from trainer_host.engine.state import preserved_state
from trainer_host.plugin.chain import Chain, load_chain
from trainer_host.plugin.discovery import FILE, discover
from trainer_host.session.folders import claim_folder, hold_folder
from trainer_host.session.sources import given_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.ultralytics_engine import FinishedModel
    from trainer_host.session.resolve import Request

OUTPUTS = (".json", ".csv")
VIDEO_CODEC = "mp4v"


def val(request: Request, reporter: Reporter) -> ValResult:
    """Measure a finished model, and return its metrics.

    Raises:
        TrainerError: For every cause that is expected.
    """
    with translated(), preserved_state():
        from trainer_host.engine.logs import engine_log

        stop = StopRequest(when="before the measurement was done")
        with engine_log(reporter, request.verbose), stop.listening(), ExitStack() as held:
            model = _open(request, "val", reporter, held)
            with blamed(model.plan.chain.manager):
                metrics = model.validate()
            return ValResult(model.plan.chain.name, model.checkpoint.path, model.save_dir, metrics)


def predict(request: Request, reporter: Reporter, outputs: Sequence[Path] = (), pictures: bool = True) -> PredictResult:
    """Run a finished model on images, folders or videos, draw what it finds, and write it on request.

    Args:
        request: The settings; ``model`` and ``source`` are required.
        reporter: Who shows the progress.
        outputs: Files to write what was found into, as JSON or CSV by their names.
        pictures: Whether to draw pictures.

    Raises:
        TrainerError: For every cause that is expected.
    """
    wrong = [f for f in outputs if f.suffix.lower() not in OUTPUTS]
    if wrong:
        raise SettingsError(*(Problem(f"{f} is neither .json nor .csv.", "Name the file so.") for f in wrong))
    with translated(), preserved_state():
        from trainer_host.engine.logs import engine_log

        stop = StopRequest(when="what was found until then is written")
        with engine_log(reporter, request.verbose), stop.listening(), ExitStack() as held:
            source = given_source(request)
            model = _open(request, "predict", reporter, held, claim=pictures)
            writer = PictureWriter(model) if pictures else None
            found: list[dict[str, Any]] = []
            try:
                with blamed(model.plan.chain.manager):
                    for prediction in model.predict(source):
                        if writer is not None:
                            writer.write(prediction)
                        found.append(prediction.as_json())
            finally:  # what was found before an interruption is not lost
                files = writer.close() if writer else []
                for output in outputs:
                    write_predictions(output, found)
                    files.append(output)
            return PredictResult(
                model.plan.chain.name,
                model.checkpoint.path,
                model.save_dir if pictures else None,
                found,
                files,
            )


def _open(request: Request, mode: str, reporter: Reporter, held: ExitStack, claim: bool = True) -> FinishedModel:
    """Read a checkpoint and restore the chain that it was trained with; ``held`` keeps others out of the folder."""
    from trainer_host.engine.plan import Plan
    from trainer_host.engine.ultralytics_engine import FinishedModel, chain_of_checkpoint, find_weights
    from trainer_host.engine.values import check_values

    given = request.given
    known = engine_keys()
    problems = [unknown("setting", key, known) for key in given.settings if key not in known]
    problems += check_values({k: v for k, v in given.settings.items() if k in known})
    if "model" not in given.settings:
        problems.append(Problem("no model is given.", "Write model=best.pt."))
    if problems:
        raise SettingsError(*problems)
    path = Path(find_weights(str(given.settings["model"]), request.offline, None))
    if path.suffix.lower() != ".pt":
        raise SettingsError(Problem(f"{path} is no checkpoint.", f"Give a .pt file to {mode} with."))
    told, record = chain_of_checkpoint(path)
    chain = _restore(told, record, request, reporter, path)
    values = {k: v for k, v in given.settings.items() if k != "source"}
    save_dir = Path.cwd()
    if claim:
        save_dir = claim_folder(chain.name, values, mode)
        held.callback(hold_folder(save_dir, reporter).release)
    plan = Plan(chain, exact=request.exact, offline=request.offline, images=given.images)
    with blamed(chain.manager):
        return FinishedModel(path, plan, values, mode, save_dir)


def _restore(told: str | None, record: dict[str, Any], request: Request, reporter: Reporter, path: Path) -> Chain:
    from trainer_host.engine.checkpoint.record import extensions_of, options_of
    from trainer_host.engine.defaults import EngineDefaults

    given = request.given
    task = given.task or told
    if task is None:
        raise SettingsError(Problem(f"{path} does not say its task.", "Write --task NAME."))
    if given.task is None:
        reporter.note(f"Task {task}, told by {path}.")
    ours = task.rpartition(":")[2] == record.get("task")
    options = {k: v for k, v in options_of(record).items() if k not in request.off} if ours else {}
    for name, values in given.options.items():
        options.setdefault(name, {}).update(values)
    installed = {r.name for r in discover(request.no_plugins) if r.kind == "extension" and r.state == "available"}
    recorded = [name for name in extensions_of(record) if name not in request.off]
    files = {p["name"]: p["distribution"] for p in record.get("plugins", ()) if p.get("version") == FILE}
    # An extension that was trained with but is gone matters only where the model is made of it.
    again = {name_of(name) for name in given.plugins}
    missing = [name for name in recorded if name not in installed or name in files]
    needs = record.get("needs") or []
    for name in set(missing) - again:
        options.pop(name, None)
        if files.get(name) in needs:
            continue  # the model cannot be built without it, and the error says so
        reporter.warn(
            f"{path} was trained with the plugin file {files[name]}; going on without it. To use it: --plugin FILE"
            if name in files
            else f"{path} was trained with the plugin {name!r}, which is not installed; going on without it."
        )
    extensions = [name for name in recorded if name not in missing] + given.plugins
    try:
        chain = load_chain(task, extensions, options, request.no_plugins, EngineDefaults())
    except PluginError as error:
        needs = needs or [p["distribution"] for p in record.get("plugins", ())]
        needs = [name for name in needs if not is_file(name)]
        if needs and given.task is None:
            fix = f"The file needs: pip install {' '.join(dict.fromkeys(needs))}"
            raise PluginError(*error.problems, Problem(f"{path} was trained for the task {task!r}.", fix)) from error
        raise
    for problem in chain.notices:
        reporter.warn(str(problem))
    return chain


class PictureWriter:
    """Writes pictures of predictions into the result folder: images as images, videos as videos.

    Args:
        model: The model, whose task draws.
    """

    def __init__(self, model: FinishedModel) -> None:
        self.model = model
        self.files: dict[Path, None] = {}
        self.videos: dict[Path, Any] = {}

    def write(self, prediction: Any) -> None:
        """Draw one prediction."""
        import cv2

        image = self.model.draw(prediction)
        if image is None:
            return
        if prediction.frame is None:
            path = self._free(self.model.save_dir / Path(prediction.path).with_suffix(".jpg").name)
            self._check(cv2.imwrite(str(path), image), path)
            self.files[path] = None
            return
        if prediction.path not in self.videos:
            path = self._free(self.model.save_dir / f"{Path(prediction.path).stem}.mp4")
            size = (image.shape[1], image.shape[0])
            code = cv2.VideoWriter.fourcc(*VIDEO_CODEC)
            self.videos[prediction.path] = cv2.VideoWriter(str(path), code, prediction.fps or 25.0, size)
            self._check(self.videos[prediction.path].isOpened(), path)
            self.files[path] = None
        self.videos[prediction.path].write(image)

    @staticmethod
    def _check(written: bool, path: Path) -> None:
        if not written:
            raise StorageError(Problem("the picture cannot be written.", "Free space on the disk.", str(path)))

    def _free(self, path: Path) -> Path:
        """Return a name that no other image of this run has taken."""
        number, free = 1, path
        while free in self.files:
            number += 1
            free = path.with_stem(f"{path.stem}-{number}")
        return free

    def close(self) -> list[Path]:
        """Finish the videos, and return every file that was written."""
        for video in self.videos.values():
            video.release()
        return list(self.files)


def write_predictions(path: Path, predictions: Iterable[dict[str, Any]]) -> None:
    """Write what was found as JSON, or as CSV with one row for each object."""
    predictions = list(predictions)
    if path.suffix.lower() == ".json":
        _write(path, (json_text(predictions, indent=1) + "\n").encode())
        return
    rows = [
        {csv_cell(k): csv_cell(v) for k, v in {**_about_image(p), **flatten(found)}.items()}
        for p in predictions
        for found in p["objects"]
    ]
    columns = list(dict.fromkeys(k for row in rows for k in row)) or ["image"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    _write(path, text.getvalue().encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, where a link leads to; a device or a pipe as it is."""
    if path.exists() and not path.is_file():
        with naming(path):
            path.write_bytes(content)
    else:
        write_whole(Path(os.path.realpath(path)), content, parents=True)


def _about_image(prediction: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in prediction.items() if k != "objects"}


def flatten(value: dict[str, Any]) -> dict[str, Any]:
    """Return nested data with dotted keys: ``box.0``, or the name of a list's entry where it has one."""
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            flat |= {f"{key}.{k}": v for k, v in flatten(entry).items()}
        elif isinstance(entry, list):
            taken: set[str] = set()
            for i, item in enumerate(entry):
                if isinstance(item, dict):
                    rest = {k: v for k, v in item.items() if k != "name"}
                    name = str(item.get("name", i))
                    name = f"{name}.{i}" if name in taken else name
                    taken.add(name)
                    flat |= {f"{key}.{name}.{k}": v for k, v in flatten(rest).items()}
                else:
                    flat[f"{key}.{i}"] = item
        else:
            flat[key] = entry
    return flat
