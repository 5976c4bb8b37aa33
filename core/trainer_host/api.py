"""The Python API: what the command does, for programs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.interpreter_state import preserved_process

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import PredictResult, RunResult, ValResult
    from trainer_host.plugin.discovery import PluginRecord
    from trainer_host.plugin.plugin_spec import TaskSpec
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.dataset_check import CheckResult
    from trainer_host.session.dataset_conversion import ConvertResult
    from trainer_host.session.resolution import Request

    Plugin = str | Path | object
    """An extension to switch on, or a task that another one builds on."""


@preserved_process()
def run(
    task: str | TaskSpec | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Plugin] = (),
    no_plugins: Sequence[str] = (),
    exact: bool = False,
    offline: bool = False,
    bad: str | None = None,
    images: str | Path | Sequence[str | Path] = (),
    best_metric: str | None = None,
    trackers: Sequence[str] = (),
    settings_file: str | Path | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> RunResult:
    """Train a model.

    The process is left as it was found: random generators, torch's flags and threads, environment, working
    folder, signal handlers, logging and warning filters.

    Args:
        task: Name of the task, or a `TaskSpec`; if omitted, it is inferred from the model or the dataset.
        options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
        plugins: Extensions to switch on: names, paths of Python files, or objects (an `ExtensionSpec`, or an object
            with `hookimpl` methods).
        no_plugins: Plugins to switch off.
        exact: Keep the stock engine's arithmetic, bit for bit.
        offline: Fetch nothing from a network.
        bad: What becomes of images that cannot be used: ``fail``, ``skip`` or ``skip:1%``.
        images: Folders that hold the images, where the dataset does not say it.
        best_metric: The metric that tells the best checkpoint, ``NAME`` or ``min:NAME``, by its name in
            ``results.csv``; without one the task judges.
        trackers: Experiment trackers of the engine to switch on, such as ``["mlflow"]``; without any, none is used.
        settings_file: A settings file that stands below the other arguments.
        registry: The plugins to choose from; the installed ones if omitted.
        reporter: Who shows the progress; nothing is shown without one.
        settings: Keys of the engine, such as ``data="my.yaml", epochs=3``.

    Returns:
        The outcome.

    Raises:
        SettingsError: If a setting is wrong; all of them are reported.
        DatasetError: If the dataset cannot be used.
        PluginError: If a plugin cannot be used.
        UnsafeError: If a file would run code.
        LossError: If the loss became NaN or infinite.
        MemoryExhaustedError: If memory ran out.
        StorageError: If a file cannot be written.
        StoppedError: If a signal stopped the run.
    """
    from trainer_host.base.reporting import NullReporter
    from trainer_host.session.training import run as session

    _require_text(best_metric=best_metric)
    registry, task, names = _registry(registry, no_plugins, task, plugins)
    request = _request(task, settings, options, names, no_plugins, exact, offline, settings_file, bad, images)
    request.given.best_metric = best_metric
    request.given.trackers = tuple(dict.fromkeys(_several(trackers)))
    return session(request, registry, reporter or NullReporter())


@preserved_process()
def val(
    model: str | Path,
    *,
    task: str | TaskSpec | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Plugin] = (),
    no_plugins: Sequence[str] = (),
    offline: bool = False,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> ValResult:
    """Measure a finished model; its chain of plugins is restored from the file.

    Args:
        model: The checkpoint.
        task: Name of the task, or a `TaskSpec`, if the file does not say it.
        options: Values by plugin and option.
        plugins: Extensions to switch on next to those of the file, as for `run`; and the objects that the file was
            trained with.
        no_plugins: Plugins to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; the installed ones if omitted.
        reporter: Who shows warnings; nothing is shown without one.
        settings: Keys of the engine, such as ``data="my.yaml"``; without ``data`` the training's is used.

    Raises:
        TrainerError: As `run` does.
    """
    from trainer_host.base.reporting import NullReporter
    from trainer_host.session.evaluation import val as session

    registry, task, names = _registry(registry, no_plugins, task, plugins)
    request = _request(task, {**settings, "model": str(model)}, options, names, no_plugins, False, offline, None)
    return session(request, registry, reporter or NullReporter())


@preserved_process()
def predict(
    model: str | Path,
    source: Any,
    *,
    task: str | TaskSpec | None = None,
    outputs: str | Path | Sequence[str | Path] = (),
    pictures: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Plugin] = (),
    no_plugins: Sequence[str] = (),
    offline: bool = False,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> PredictResult:
    """Find objects in an image, a folder or a video.

    Args:
        model: The checkpoint.
        source: The path of an image, a folder or a video, a pattern, an address, or the number of a camera; an array
            of numpy with one image, height x width x 3 in BGR or height x width in gray, uint8; a picture of Pillow;
            or a list of images in any of these forms.
        task: Name of the task, or a `TaskSpec`, if the file does not say it.
        outputs: Files to write what was found into, ``.json`` or ``.csv``.
        pictures: Whether to draw pictures; ``save=True`` draws them too.
        options: Values by plugin and option.
        plugins: Extensions to switch on next to those of the file, as for `run`; and the objects that the file was
            trained with.
        no_plugins: Plugins to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; the installed ones if omitted.
        reporter: Who shows warnings; nothing is shown without one.
        settings: Keys of the engine, such as ``conf=0.5``.

    Returns:
        What was found. Images that cannot be read are in its ``unreadable``.

    Raises:
        DatasetError: If none of the images can be read.
        TrainerError: As `run` does.
    """
    from trainer_host.base.reporting import NullReporter
    from trainer_host.session.prediction import predict as session

    wanted = {**settings, "model": str(model), "source": source}
    registry, task, names = _registry(registry, no_plugins, task, plugins)
    request = _request(task, wanted, options, names, no_plugins, False, offline, None)
    files = [Path(output) for output in _several(outputs)]
    return session(
        request,
        registry,
        reporter or NullReporter(),
        files,
        pictures or settings.get("save") is True,
    )


@preserved_process()
def check(
    data: str | Path,
    *,
    task: str | TaskSpec | None = None,
    deep: bool = False,
    report: str | Path | None = None,
    fix: str | Path | None = None,
    images: str | Path | Sequence[str | Path] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Sequence[Plugin] = (),
    no_plugins: Sequence[str] = (),
    offline: bool = False,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> CheckResult:
    """Check a dataset: every file, to the line. Nothing is trained, and the dataset is not written to.

    Args:
        data: The dataset YAML, or a dataset in another format that a plugin reads.
        task: Name of the task, or a `TaskSpec`; if omitted, it is inferred from the dataset.
        deep: Decode every image, and find near-duplicates across splits.
        report: Where to write a page about the dataset.
        fix: An empty folder to write a corrected copy of the dataset into.
        images: Folders that hold the images, where the dataset does not say it.
        options: Values by plugin and option.
        plugins: Extensions to switch on: names, paths of Python files, or objects (an `ExtensionSpec`, or an object
            with `hookimpl` methods).
        no_plugins: Plugins to switch off.
        offline: Fetch nothing from a network.
        registry: The plugins to choose from; the installed ones if omitted.
        reporter: Who shows warnings about plugins; nothing is shown without one.
        settings: Keys of the engine that matter for a check, such as ``fliplr=0``.

    Returns:
        What was found.

    Raises:
        SettingsError: If a setting is wrong.
        PluginError: If a plugin cannot be used.
        StorageError: If the report or the copy cannot be written.
    """
    from trainer_host.base.reporting import NullReporter
    from trainer_host.session.dataset_check import check as session

    given = {**settings, "data": str(data)}
    registry, task, names = _registry(registry, no_plugins, task, plugins)
    request = _request(task, given, options, names, no_plugins, False, offline, None, None, images)
    report, fix = (Path(p) if p is not None else None for p in (report, fix))
    return session(request, registry, reporter or NullReporter(), deep=deep, report=report, fix=fix)


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
    plugins: Sequence[Plugin] = (),
    no_plugins: Sequence[str] = (),
    registry: Registry | None = None,
    reporter: Reporter | None = None,
) -> ConvertResult:
    """Write a dataset of any format that a plugin reads as a YOLO one.

    Args:
        data: The dataset.
        folder: Where to write; it does not exist, or is empty.
        task: Name of the task, or a `TaskSpec`; if omitted, it is inferred from the dataset.
        bad: What becomes of images that cannot be used: ``fail``, ``skip`` or ``skip:1%``.
        holdout: The fraction of the training images that becomes the validation split, if there is none.
        images: Folders that hold the images, where the dataset does not say it.
        options: Values by plugin and option.
        plugins: Extensions to switch on: names, paths of Python files, or objects (an `ExtensionSpec`, or an object
            with `hookimpl` methods).
        no_plugins: Plugins to switch off.
        registry: The plugins to choose from; the installed ones if omitted.
        reporter: Who shows warnings about plugins; nothing is shown without one.

    Raises:
        DatasetError: If the dataset has errors; then nothing is written.
        SettingsError: If a setting is wrong, or if the folder cannot be used.
        StorageError: If the dataset cannot be written.
    """
    from trainer_host.base.reporting import NullReporter
    from trainer_host.session.dataset_conversion import convert as session

    given = {"data": str(data)}
    registry, task, names = _registry(registry, no_plugins, task, plugins)
    request = _request(task, given, options, names, no_plugins, False, False, None, bad, images)
    return session(request, registry, Path(folder), reporter or NullReporter(), holdout)


def plugins(disabled: Collection[str] = ()) -> list[PluginRecord]:
    """Return a record of every installed plugin. None is imported.

    Args:
        disabled: Names that are switched off.
    """
    from trainer_host.plugin.registry import Registry

    return list(Registry.installed(disabled).records)


def _registry(
    registry: Registry | None, no_plugins: Sequence[str], task: str | TaskSpec | None, plugins: Sequence[Plugin]
) -> tuple[Registry, str | None, list[str]]:
    """Return the plugins to choose from, objects included; and the names of the task and of the plugins."""
    from trainer_host.plugin.plugin_spec import TaskSpec
    from trainer_host.plugin.registry import Registry

    off = _several(no_plugins)
    registry = registry.without(off) if registry is not None else Registry.installed(off)
    if isinstance(task, TaskSpec):
        registry, (task,) = registry.with_plugins([task])
    registry, names = registry.with_plugins(_several(plugins))
    return registry, task, names


def _request(
    task: str | None,
    settings: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]] | None,
    plugins: Sequence[str],
    no_plugins: Sequence[str],
    exact: bool,
    offline: bool,
    settings_file: str | Path | None,
    bad: str | None = None,
    images: str | Path | Sequence[str | Path] = (),
) -> Request:
    from trainer_host.base.settings import Given
    from trainer_host.session.resolution import Request

    _require_text(task=task, bad=bad)
    plain = {k: v if k == "source" and not isinstance(v, Path) else _plain(k, v) for k, v in settings.items()}
    given = Given(task, plain, {k: dict(v) for k, v in (options or {}).items()}, [str(p) for p in _several(plugins)])
    given.bad = bad
    given.images = tuple(map(str, _several(images)))
    file = Path(settings_file) if settings_file is not None else None
    return Request(given, file, tuple(_several(no_plugins)), exact, offline)


def _require_text(**given: object) -> None:
    from trainer_host.base.errors import Problem, SettingsError

    wrong = {key: value for key, value in given.items() if value is not None and not isinstance(value, str)}
    if wrong:
        raise SettingsError(*(Problem(f"{k}={v!r} is not text.", f'Write {k}="..."') for k, v in wrong.items()))


def _several(given: Any) -> Sequence[Any]:
    """Return a list of what may be given by itself: a text is not taken for a list of its letters."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, Path)) else (given,)


def _plain(key: str, value: Any) -> Any:
    """Return the value of a setting as a settings file could hold it: without paths and types of NumPy and torch."""
    if isinstance(value, Path):
        # ``Path("./here")`` is ``here``: that a project is a path is known from its type alone.
        return os.path.join(os.curdir, value) if key == "project" else str(value)  # noqa: PTH118
    if isinstance(value, (set, frozenset, range)):
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    package = type(value).__module__.partition(".")[0]
    if package in {"numpy", "torch"} and callable(getattr(value, "tolist", None)):
        return value.tolist()
    return str(value) if package == "torch" and type(value).__name__ == "device" else value
