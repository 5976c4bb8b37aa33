"""The Python API: what the command does, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.interpreter_state import preserved_process
from trainer_host.session.api_call import Call

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import PredictResult, RunResult, ValResult
    from trainer_host.plugin.discovery import PluginRecord
    from trainer_host.plugin.plugin_spec import TaskSpec
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.dataset_check import CheckResult
    from trainer_host.session.dataset_conversion import ConvertResult
    from trainer_host.session.diagnosis import Diagnosis
    from trainer_host.session.trained_model import TrainedModel

    Plugin = str | Path | object
    """An extension to switch on, or a task that another one builds on."""


@preserved_process()
def run(
    task: str | TaskSpec | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    exact: bool | None = None,
    offline: bool | None = None,
    bad: str | None = None,
    images: str | Path | Sequence[str | Path] = (),
    best_metric: str | None = None,
    trackers: Sequence[str] = (),
    threads: int | None = None,
    processes: int | None = None,
    launcher: str | None = None,
    max_restarts: int | None = None,
    sync_bn: bool | None = None,
    checkpoint_every: int | str | None = None,
    keep_state: bool | None = None,
    if_exists: str | None = None,
    allow: Sequence[str] = (),
    settings_file: str | Path | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> RunResult:
    """Train a model.

    The process is left as it was found: random generators, torch's flags and threads, environment, working
    folder, signal handlers, logging and warning filters.

    Args:
        task: Task; inferred from the model or the dataset by default. A name, or a `TaskSpec`.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extension to switch on: a name or the path of a Python file. A list of these and of objects: an object
            with hooks, an `ExtensionSpec`, or a class.
        no_plugins: Plugin or distribution to switch off.
        exact: Keep the stock engine's arithmetic and random numbers, bit for bit; refuse an untested engine.
        offline: Fetch nothing from a network.
        bad: How to handle images that cannot be used: fail (the default) stops; skip skips up to a tenth of each split,
            skip:1% up to 1%.
        images: Folders that hold the images, for a dataset that does not name them.
        best_metric: Metric that selects best.pt, by its name in the table of results; prefix with min: if lower is
            better.
        trackers: Experiment tracker of the engine to switch on, such as tensorboard or mlflow. A list; none by default.
        threads: Threads that a training on a CPU uses; by default the number that is measured to be best.
        processes: Processes that train together, each on a device of its own; on a CPU they share its cores.
        launcher: Launcher that starts the processes: torchrun (the default), or one of an extension.
        max_restarts: How often the processes are started again if one fails; the run goes on from its newest state.
        sync_bn: Compute the statistics of batch norms over all processes; by default where the device can.
        checkpoint_every: Also save the state within an epoch, every so many batches or after this time. Such as 100,
            30s or 10min.
        keep_state: Keep the state of the training when it is done, so that more epochs can follow.
        if_exists: How to handle a run of this name that exists: resume continues it, new numbers the folder, fail
            stops.
        allow: Difference to accept although it changes the result of a resumed run, such as torch or dataset. A list.
        settings_file: Settings file; the command line and arguments take precedence over it.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows the progress; nothing is shown without one.
        settings: Settings of the engine, such as ``data="my.yaml", epochs=3``. With ``resume`` an earlier run is
            resumed, see `resume`: its folder, or True for the latest one.

    Returns:
        The outcome.

    Raises:
        SettingsError: If a setting is wrong; all of them are reported.
        DatasetError: If the dataset cannot be used.
        PluginError: If a plugin cannot be used.
        UnsafeError: If a file could execute arbitrary code.
        LossError: If the loss became NaN or infinite.
        MemoryExhaustedError: If memory ran out.
        StorageError: If a file cannot be written.
        RankError: If a process of the run was killed or lost.
        StoppedError: If a signal stopped the run.
    """
    from trainer_host.session.training import run as session

    call = Call.of("run", locals())
    return session(call.request, call.registry, call.reporter)


@preserved_process()
def resume(
    run: str | Path,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    processes: int | None = None,
    launcher: str | None = None,
    max_restarts: int | None = None,
    checkpoint_every: int | str | None = None,
    keep_state: bool | None = None,
    allow: Sequence[str] = (),
    offline: bool | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> RunResult:
    """Go on with a run that was stopped or killed, in its folder. A finished run is left as it is.

    Task, settings, plugins and dataset come from the record of the run.

    Args:
        run: The run's folder, its ``run.yaml``, or a checkpoint in it.
        options: Values by plugin and option, as the run has them.
        plugins: Extension to switch on: a name or the path of a Python file. Needed only for the Python files and the
            objects of the run.
        no_plugins: Plugin or distribution to switch off. Those of the run cannot be.
        processes: Processes that train together, each on a device of its own; on a CPU they share its cores.
        launcher: Launcher that starts the processes: torchrun (the default), or one of an extension.
        max_restarts: How often the processes are started again if one fails; the run goes on from its newest state.
        checkpoint_every: Also save the state within an epoch, every so many batches or after this time. Such as 100,
            30s or 10min.
        keep_state: Keep the state of the training when it is done, so that more epochs can follow.
        allow: Difference to accept although it changes the result of a resumed run, such as torch or dataset. A list.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows the progress; nothing is shown without one.
        settings: Settings of the engine that may change: ``epochs`` (more), ``patience``, ``time``, ``device``,
            ``workers``, ``plots``, ``save_period``.

    Returns:
        The outcome; ``nothing_done`` is true for a run that was finished before.

    Raises:
        SettingsError: If the run cannot be resumed, or if something differs that would change its result.
        TrainerError: As `run` does.
    """
    from trainer_host.session.training import run as session

    call = Call.of("resume", {**locals(), "settings": {**settings, "resume": run}})
    return session(call.request, call.registry, call.reporter)


@preserved_process()
def val(
    model: str | Path,
    *,
    task: str | TaskSpec | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    images: str | Path | Sequence[str | Path] = (),
    offline: bool | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> ValResult:
    """Evaluate a trained model; its plugins are restored from the file.

    Args:
        model: The checkpoint.
        task: Task; inferred from the model or the dataset by default. A name, or a `TaskSpec`.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extension to switch on: a name or the path of a Python file. A list of these and of objects: an object
            with hooks, an `ExtensionSpec`, or a class.
        no_plugins: Plugin or distribution to switch off.
        images: Folders that hold the images, for a dataset that does not name them.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows warnings; nothing is shown without one.
        settings: Settings of the engine, such as ``data="my.yaml"``; without ``data`` the training's is used.

    Raises:
        TrainerError: As `run` does.
    """
    from trainer_host.session.evaluation import val as session

    call = Call.of("val", locals())
    return session(call.request, call.registry, call.reporter)


@preserved_process()
def predict(
    model: str | Path,
    source: Any,
    *,
    task: str | TaskSpec | None = None,
    outputs: str | Path | Sequence[str | Path] = (),
    pictures: bool | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    offline: bool | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> PredictResult:
    """Find objects in an image, a folder or a video.

    Args:
        model: The checkpoint.
        source: The path of an image, a folder or a video, a pattern, an address, or the number of a camera; an array
            of numpy with one image, height x width x 3 in BGR or height x width in gray, uint8; a Pillow image;
            or a list of images in any of these forms.
        task: Task; inferred from the model or the dataset by default. A name, or a `TaskSpec`.
        outputs: File to write predictions into, .json or .csv. One, or a list.
        pictures: Save pictures; the command does by default, a call does not. ``save=True`` saves them too.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extension to switch on: a name or the path of a Python file. A list of these and of objects: an object
            with hooks, an `ExtensionSpec`, or a class.
        no_plugins: Plugin or distribution to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows warnings; nothing is shown without one.
        settings: Settings of the engine, such as ``conf=0.5``.

    Returns:
        What was found. Images that cannot be read are in its ``unreadable``.

    Raises:
        DatasetError: If none of the images can be read.
        TrainerError: As `run` does.
    """
    from trainer_host.session.prediction import predict as session

    call = Call.of("predict", locals())
    drawn = bool(pictures) or settings.get("save") is True
    return session(call.request, call.registry, call.reporter, call.request.options.outputs, drawn)


@preserved_process()
def load(
    model: str | Path,
    *,
    task: str | TaskSpec | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    offline: bool | None = None,
    reporter: Reporter | None = None,
    registry: Registry | None = None,
    **settings: Any,
) -> TrainedModel:
    """Read and build a trained model once, to predict and evaluate with it as often as needed.

    Args:
        model: The checkpoint.
        task: Task; inferred from the file by default. A name, or a `TaskSpec`.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extensions to switch on in addition to those of the file: names, paths of Python files, or objects.
        no_plugins: Plugins to switch off.
        offline: Fetch nothing from a network.
        reporter: Shows warnings, now and in later calls; nothing is shown without one.
        registry: The plugins to choose from; by default the installed ones.
        settings: How the model computes: ``device``, ``quantize``, ``compile``, ``channels_last``, ``nms``. All other
            settings belong to the calls of the loaded model.

    Raises:
        TrainerError: As `run` does.
    """
    from trainer_host.session.trained_model import load as session

    call = Call.of("val", locals())
    return session(call.request, call.registry, call.reporter)


@preserved_process()
def check(
    data: str | Path,
    *,
    task: str | TaskSpec | None = None,
    deep: bool | None = None,
    report: str | Path | None = None,
    fix: str | Path | None = None,
    images: str | Path | Sequence[str | Path] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    offline: bool | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> CheckResult:
    """Check a dataset: every file, to the line. Nothing is trained, and the dataset is not written to.

    Args:
        data: The dataset YAML, or a dataset in another format that a plugin reads.
        task: Task; inferred from the model or the dataset by default. A name, or a `TaskSpec`.
        deep: Decode every image, and find near-duplicates across splits.
        report: HTML page to write with findings, histograms, and pictures of the labels.
        fix: Empty folder to write a corrected copy of the dataset into.
        images: Folders that hold the images, for a dataset that does not name them.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extension to switch on: a name or the path of a Python file. A list of these and of objects: an object
            with hooks, an `ExtensionSpec`, or a class.
        no_plugins: Plugin or distribution to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows warnings about plugins; nothing is shown without one.
        settings: Settings of the engine that matter for a check, such as ``fliplr=0``.

    Returns:
        What was found.

    Raises:
        SettingsError: If a setting is wrong.
        PluginError: If a plugin cannot be used.
        StorageError: If the report or the copy cannot be written.
    """
    from trainer_host.session.dataset_check import check as session

    call = Call.of("check", locals())
    return session(call.request, call.registry, call.reporter)


@preserved_process()
def convert(
    data: str | Path,
    folder: str | Path,
    *,
    task: str | TaskSpec | None = None,
    bad: str | None = None,
    holdout: float | None = None,
    images: str | Path | Sequence[str | Path] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Any] = (),
    no_plugins: Sequence[str] = (),
    offline: bool | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
) -> ConvertResult:
    """Write a dataset of any format that a plugin reads as a YOLO one.

    Args:
        data: The dataset.
        folder: Where to write; it does not exist, or is empty.
        task: Task; inferred from the model or the dataset by default. A name, or a `TaskSpec`.
        bad: How to handle images that cannot be used: fail (the default) stops; skip skips up to a tenth of each split,
            skip:1% up to 1%.
        holdout: Fraction of the training images to use as validation split if the dataset has none, such as 0.2.
        images: Folders that hold the images, for a dataset that does not name them.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extension to switch on: a name or the path of a Python file. A list of these and of objects: an object
            with hooks, an `ExtensionSpec`, or a class.
        no_plugins: Plugin or distribution to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; by default the installed ones.
        reporter: Shows warnings about plugins; nothing is shown without one.

    Raises:
        DatasetError: If the dataset has errors; then nothing is written.
        SettingsError: If a setting is wrong, or if the folder cannot be used.
        StorageError: If the dataset cannot be written.
    """
    from trainer_host.session.dataset_conversion import convert as session

    call = Call.of("convert", locals())
    return session(call.request, call.registry, Path(folder), call.reporter)


def doctor(quick: bool = False) -> Diagnosis:
    """Look at the installation and the machine, as a bug report needs it.

    Args:
        quick: Import neither torch nor any plugin: metadata only, no devices.
    """
    from trainer_host.session.diagnosis import diagnose

    return diagnose(quick)


def read_record(path: str | Path) -> dict[str, Any]:
    """Return what the host wrote about the run into a checkpoint; empty for a file of another program.

    Nothing that the file names is imported, called or instantiated.

    Raises:
        SettingsError: If the file is missing, damaged, or not a checkpoint.
        UnsafeError: If loading it in full could execute arbitrary code.
    """
    from trainer_host.engine.factory import default_engine

    return default_engine().checkpoints.read(path).record


def plugins(disabled: Collection[str] = ()) -> list[PluginRecord]:
    """Return a record of every installed plugin. None is imported.

    Args:
        disabled: Names that are switched off.
    """
    from trainer_host.plugin.registry import Registry

    return list(Registry.installed(disabled).records)
