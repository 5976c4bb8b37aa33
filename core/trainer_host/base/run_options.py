"""The options of the host: each is declared once, and every door, file and table is made from the declaration.

From a field of `RunOptions` come the option of the command, the keyword of the Python API, the key of a settings file,
the environment variable and the row in the documentation.
"""

from __future__ import annotations

# ruff: noqa: RUF009 (`option` returns a field)
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path  # noqa: TC003 (pydantic reads the annotations)
from typing import TYPE_CHECKING, Any

from trainer_host.base.best_metric import BestMetric  # noqa: TC001
from trainer_host.base.findings import FAIL, Tolerance
from trainer_host.base.option_declaration import (
    COMMANDS,
    EXISTING,
    FOLDERS,
    FRACTION,
    INTERVAL,
    METRIC,
    NAMES,
    PATH,
    PATHS,
    PLUGINS,
    PROCESSES,
    RESTARTS,
    SWITCH,
    TEXT,
    THREADS,
    TOLERANCE,
    Door,
    Origin,
    RunOption,
    option,
)
from trainer_host.base.save_interval import SaveInterval  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAINING = ("run",)
RESUMED = ("run", "resume")
DIRECT = Door.FLAG | Door.KEYWORD  # for this command or call alone
ONCE = DIRECT | Door.VARIABLE  # not in files, as it is not a part of the run
KEPT = ONCE | Door.FILE | Door.RECORD  # a part of the run


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a command or call, with their defaults: what the host knows besides the engine's settings."""

    task: str | None = option(
        None,
        "Task; inferred from the model or the dataset by default.",
        TEXT,
        ONCE | Door.WORD | Door.FILE,
        commands=tuple(name for name in COMMANDS if name != "resume"),
        metavar="NAME",
        environment_of=("run", "check", "convert"),
        details="([how](settings.md#which-task)). `DISTRIBUTION:NAME` chooses between two packages that bring the same "
        "task.",
    )
    plugins: tuple[Any, ...] = option(
        (),
        "Extension to switch on: a name or the path of a Python file.",
        PLUGINS,
        ONCE,
        details="An installed extension, or a file for this run alone.",
        flag="--plugin",
        metavar="NAME|FILE.py",
    )
    no_plugins: tuple[str, ...] = option(
        (),
        "Plugin or distribution to switch off.",
        NAMES,
        KEPT | Door.VARIABLE_OF_CALLS,
        flag="--no-plugin",
        metavar="NAME",
        details="A distribution switches off all of its plugins.",
    )
    exact: bool = option(
        False,
        "Keep the stock engine's arithmetic and random numbers, bit for bit; refuse an untested engine.",
        SWITCH,
        KEPT,
        commands=TRAINING,
        details="([what that promises](../explanation/parity.md)).",
    )
    bad: Tolerance = option(
        FAIL,
        "How to handle images that cannot be used: fail (the default) stops; skip skips up to a tenth of each split, "
        "skip:1% up to 1%.",
        TOLERANCE,
        KEPT,
        commands=("run", "convert"),
        metavar="fail|skip|skip:1%",
        details="Errors that do not belong to one image always stop "
        "([how to](../how-to/check-a-dataset.md#train-without-the-faulty-images)).",
    )
    best_metric: BestMetric | None = option(
        None,
        "Metric that selects best.pt, by its name in the table of results; prefix with min: if lower is better.",
        METRIC,
        KEPT,
        commands=TRAINING,
        metavar="NAME|min:NAME",
        details="With or without its group (`metrics/`, `val/`) "
        "([how to](../how-to/change-the-schedule.md#which-checkpoint-is-the-best)).",
    )
    trackers: tuple[str, ...] = option(
        (),
        "Experiment tracker of the engine to switch on, such as tensorboard or mlflow.",
        NAMES,
        KEPT,
        commands=TRAINING,
        flag="--tracker",
        metavar="NAME",
        details="Its package has to be installed. By default, none is used. With `--offline`, those that need a "
        "network are refused ([which](../explanation/safety.md#what-is-never-fetched-unasked)).",
    )
    threads: int | None = option(
        None,
        "Threads that a training on a CPU uses; by default the number that is measured to be best.",
        THREADS,
        KEPT | Door.VARIABLE_OF_CALLS,
        commands=TRAINING,
        metavar="NUMBER",
        details="With `--exact` it has no effect.",
    )
    processes: int = option(
        1,
        "Processes that train together, each on a device of its own; on a CPU they share its cores.",
        PROCESSES,
        KEPT,
        commands=RESUMED,
        metavar="NUMBER",
        details="`device=0,1` starts one for each card without it ([how](../how-to/several-devices.md)).",
    )
    launcher: str | None = option(
        None,
        "Launcher that starts the processes: torchrun (the default), or one of an extension.",
        TEXT,
        ONCE,
        commands=RESUMED,
        metavar="NAME",
        details="([which](../how-to/several-devices.md#launchers)).",
    )
    max_restarts: int = option(
        0,
        "How often the processes are started again if one fails; the run goes on from its newest state.",
        RESTARTS,
        ONCE,
        commands=RESUMED,
        metavar="NUMBER",
        details="Not after errors that would come again, such as those of settings or the dataset "
        "([details](../how-to/several-devices.md#restarts)).",
    )
    sync_bn: bool | None = option(
        None,
        "Compute the statistics of batch norms over all processes; by default where the device can.",
        SWITCH,
        KEPT,
        commands=TRAINING,
        details="A CPU cannot.",
    )
    checkpoint_every: SaveInterval | None = option(
        None,
        "Also save the state within an epoch, every so many batches or after this time.",
        INTERVAL,
        KEPT,
        commands=RESUMED,
        metavar="N|10min|30s",
        details="Without it, the state is saved after each epoch and [on a signal]"
        "(../how-to/resume-a-run.md#in-the-middle-of-an-epoch).",
    )
    keep_state: bool = option(
        False,
        "Keep the state of the training when it is done, so that more epochs can follow.",
        SWITCH,
        KEPT,
        commands=RESUMED,
        details="([how](../how-to/resume-a-run.md#more-epochs)).",
    )
    if_exists: str | None = option(
        None,
        "How to handle a run of this name that exists: resume continues it, new numbers the folder, fail stops.",
        EXISTING,
        ONCE,
        commands=TRAINING,
        metavar="resume|new|fail",
        details="`resume` starts the run if there is none, and does nothing if it is finished "
        "([how](../how-to/resume-a-run.md#one-command-for-schedulers)).",
    )
    allow: tuple[str, ...] = option(
        (),
        "Difference to accept although it changes the result of a resumed run, such as torch or dataset.",
        NAMES,
        ONCE,
        commands=RESUMED,
        metavar="NAME",
        details="([which](../how-to/resume-a-run.md#what-is-compared)).",
    )
    images: tuple[str, ...] = option(
        (),
        "Folders that hold the images, for a dataset that does not name them.",
        FOLDERS,
        Door.WORD | Door.KEYWORD | Door.FILE | Door.RECORD,
        commands=("run", "val", "check", "convert"),
        details="One for all splits, or one for each: `images=DIR,DIR` ([details](settings.md#dataset-and-model)).",
    )
    settings_file: Path | None = option(
        None,
        "Settings file; the command line and arguments take precedence over it.",
        PATH,
        Door.KEYWORD,
        commands=TRAINING,
    )
    outputs: tuple[Path, ...] = option(
        (),
        "File to write predictions into, .json or .csv.",
        PATHS,
        DIRECT,
        commands=("predict",),
        flag="--output",
        metavar="FILE.json|FILE.csv",
        file_type="file",
    )
    pictures: bool | None = option(
        None,
        "Save pictures; the command does by default, a call does not.",
        SWITCH,
        DIRECT,
        commands=("predict",),
        flag="--no-pictures",
        off_help="Save no pictures; the same as save=False.",
        details="A folder is made only for `save_txt`, `save_crop` or `save_frames`.",
    )
    strict: bool = option(
        False, "Exit with 4 for warnings too.", SWITCH, Door.FLAG | Door.VARIABLE, commands=("check",)
    )
    deep: bool = option(
        False, "Decode every image, and find near-duplicates across splits.", SWITCH, DIRECT, commands=("check",)
    )
    report: Path | None = option(
        None,
        "HTML page to write with findings, histograms, and pictures of the labels.",
        PATH,
        DIRECT,
        commands=("check",),
        metavar="FILE.html",
        details="It needs no other file and no network.",
        file_type="file",
    )
    fix: Path | None = option(
        None,
        "Empty folder to write a corrected copy of the dataset into.",
        PATH,
        DIRECT,
        commands=("check",),
        metavar="DIR",
        file_type="folder",
        details="With `--deep`, a proposed split too.",
    )
    holdout: float | None = option(
        None,
        "Fraction of the training images to use as validation split if the dataset has none, such as 0.2.",
        FRACTION,
        ONCE,
        commands=("convert",),
        metavar="FRACTION",
    )
    dry_run: bool = option(
        False,
        "Print the resolved run, as a settings file; train nothing.",
        SWITCH,
        Door.FLAG,
        commands=TRAINING,
    )
    offline: bool = option(
        False,
        "Fetch nothing from a network.",
        SWITCH,
        KEPT,
        details="What you ask for by name (weights, datasets, sources) is refused with exit code 6. Nothing is "
        "fetched unasked, with or without it ([details](../explanation/safety.md#what-is-never-fetched-unasked)).",
    )
    verbose: bool = option(
        False,
        "Show all engine output; for check and convert every finding.",
        SWITCH,
        Door.FLAG | Door.VARIABLE,
        short="-v",
    )
    json: bool = option(
        False,
        "Print one JSON object on standard output.",
        SWITCH,
        Door.FLAG,
        details="([its form](exit-codes.md#json)).",
    )


DECLARED: type[RunOptions] = RunOptions
"""The class in use, whose fields are all options that there are."""


def declared(command: str | None = None) -> dict[str, RunOption]:
    """Return the declarations of a command's options, or of all, by name."""
    every = (RunOption(name=each.name, default=each.default, **each.metadata["option"]) for each in fields(DECLARED))
    return {one.name: one for one in every if command is None or command in one.commands}


def options_of(values: Mapping[str, Any]) -> RunOptions:
    """Return the options with these values; all others have their defaults."""
    known = {each.name for each in fields(DECLARED)}
    return DECLARED(**{name: value for name, value in values.items() if name in known})


def environment_values(command: str, door: Origin) -> dict[str, tuple[str, Any]]:
    """Return the options that environment variables give: the variable's text, and its values if it has several."""
    read_by = Door.VARIABLE_OF_CALLS if door == "call" else Door.VARIABLE
    found: dict[str, tuple[str, Any]] = {}
    for name, one in declared(command).items():
        if read_by not in one.doors or command not in one.environment_of:
            continue
        if said := os.environ.get(one.environment, "").strip():
            parts = re.split(f"[{re.escape(one.kind.separators)}]+", said) if one.repeatable else said
            found[name] = (said, [p for p in parts if p] if isinstance(parts, list) else parts)
    return found


def recorded_part(options: RunOptions) -> RunOptions:
    """Return the options that are a part of the resolved run; those of the door have their defaults."""
    return options_of({name: getattr(options, name) for name, one in declared().items() if one.recorded})


def recorded_options(options: RunOptions) -> dict[str, Any]:
    """Return the options that are a part of the resolved run and not their defaults, as a file can hold them."""
    kept = ((one, getattr(options, name)) for name, one in declared().items() if one.recorded)
    return {one.name: one.as_data(value) for one, value in kept if value != one.default}
