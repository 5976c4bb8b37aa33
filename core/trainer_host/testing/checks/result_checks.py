"""Checks of the results of a training: metrics, checkpoints, predictions."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from trainer_host import api
from trainer_host.base.errors import SettingsError, TrainerError
from trainer_host.base.wording import counted
from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, CheckSkippedError, check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.testing.bench import Bench

NEEDS = ("trains",)
SIZES = ((61, 47), (33, 130), (64, 64))
"""Width and height of the images that are predicted on."""
CLOSE = 1e-3


@check(
    "metrics-finite-json",
    why="Metrics are compared, and stored as JSON and CSV, which takes finite numbers.",
    fix="return finite floats: 0 if there is nothing to evaluate, float(value) for tensors",
    needs=NEEDS,
)
def metrics_finite_json(bench: Bench) -> str:
    """The metrics of every epoch: finite numbers that JSON can hold."""
    training = bench.first()
    for epoch, metrics in enumerate([*training.recording.metrics, training.result.metrics], 1):
        for name, value in metrics.items():
            when = f"after epoch {epoch}" if epoch <= len(training.recording.metrics) else "of the best checkpoint"
            try:
                json.dumps(value)
            except TypeError as error:
                kind = type(value).__name__
                raise CheckFailedError(f"{name} {when} is a {kind}, which JSON cannot hold.") from error
            if not math.isfinite(value):
                raise CheckFailedError(f"{name} {when} is {value}.")
    return f"{counted(len(training.result.metrics), 'metric')}, all finite."


@check(
    "metrics-same-after-reload",
    why="Users expect the metrics that a run ends with from its best.pt.",
    fix="keep everything that metrics depend on in the model, its attributes, or the hook state_dict",
    needs=NEEDS,
)
def metrics_same_after_reload(bench: Bench) -> str:
    """Validation of best.pt, compared with the metrics that the training ended with."""
    training = bench.first()
    settings = {k: v for k, v in bench.engine_keys.items() if k in {"device", "plots", "workers", "imgsz"}}
    batch = 2 * bench.engine_keys["batch"]  # as in training
    try:
        found = api.val(
            str(training.result.best),
            plugins=bench.subject.plugins,
            options=bench.options_of(bench.subject.plugins),
            offline=True,
            registry=bench.subject.registry,
            data=str(bench.dataset.file),
            save_dir=str(bench.folder / "runs" / "val"),
            batch=batch,
            **settings,
        ).metrics
    except Exception as error:
        raise CheckFailedError(f"best.pt cannot be validated: {reason(error)}.") from error
    different = _different(training.result.metrics, found)
    if different:
        name, before, after = different[0]
        raise CheckFailedError(f"{name} is {before:.5g} at the end of the training, and {after:.5g} for best.pt.")
    return f"{counted(len(found), 'metric')} of best.pt as in the training."


def _different(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, float, float]]:
    both = [(name, before[name], after[name]) for name in before if name in after]
    return [
        (name, a, b)
        for name, a, b in both
        if not (math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE) or (math.isnan(a) and math.isnan(b)))
    ]


@check(
    "checkpoint-plain",
    why="A file that names a class of a plugin runs code when it is opened, and breaks with the plugin's next release.",
    fix="save state dicts, numbers, text, lists and dicts, as the host's own checkpoints do",
    needs=NEEDS,
)
def checkpoint_plain(bench: Bench) -> str:
    """Classes that checkpoints name, and whether they load without running code."""
    checkpoints = bench.subject.engine.checkpoints
    folder = bench.first().result.save_dir
    files = sorted(f for ending in ("*.pt", "*.pth", "*.ckpt") for f in folder.rglob(ending))
    for file in files:
        shown = file.relative_to(folder)
        if foreign := sorted(checkpoints.foreign_names(file)):
            raise CheckFailedError(f"{shown} names {', '.join(foreign[:3])}.")
        try:
            checkpoints.read(file)
        except SettingsError:
            continue  # not a checkpoint of the host
        except TrainerError as error:
            raise CheckFailedError(f"{shown} does not load safely: {error}") from error
    return f"{counted(len(files), 'file')} with plain data and classes of torch, NumPy and the engine only."


@check(
    "prediction-odd-sizes",
    why="Users' images have any size, and often show no object.",
    fix="resize or pad in the predictor, and return an empty list if nothing is found",
    needs=NEEDS,
)
def prediction_odd_sizes(bench: Bench) -> str:
    """Predictions on images of odd sizes, on a black one, and on a single image."""
    if not bench.subject.registry.chain(bench.subject.task).manager.hook.build_predictor.get_hookimpls():
        raise CheckSkippedError("the task does not predict.")
    folder = bench.folder / "odd"
    _draw(folder)
    found = _predict(bench, folder)
    shapes = sorted((p["width"], p["height"]) for p in found)
    if shapes != sorted(SIZES):
        raise CheckFailedError(f"images of {sorted(SIZES)} pixels gave predictions for {shapes}.")
    if len(_predict(bench, folder / "odd0.png")) != 1:
        raise CheckFailedError("a single image does not give one prediction.")
    for prediction in found:
        try:
            json.dumps(prediction, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise CheckFailedError(f"a prediction cannot be written as JSON: {error}.") from error
    return f"{len(found)} images of odd sizes, one of them black."


def _draw(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir()
    noise = np.random.default_rng(0)
    for number, (width, height) in enumerate(SIZES):
        pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8) * (number < len(SIZES) - 1)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"odd{number}.png")


def _predict(bench: Bench, source: Path) -> list[dict[str, Any]]:
    try:
        return api.predict(
            str(bench.first().result.best),
            source,
            pictures=True,
            plugins=bench.subject.plugins,
            options=bench.options_of(bench.subject.plugins),
            offline=True,
            registry=bench.subject.registry,
            conf=0.001,
            device="cpu",
            save_dir=str(bench.folder / "runs" / "predict"),
        ).predictions
    except Exception as error:
        raise CheckFailedError(f"the prediction fails: {reason(error)}.") from error
