"""The folder in which a plugin is tried, with a tiny dataset, and the trainings that several checks share."""

from __future__ import annotations

import gc
import os
import re
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host import api
from trainer_host.base.errors import PluginCrashError, TrainerError
from trainer_host.plugin.plugin_objects import record_of_object
from trainer_host.testing.check_outcome import CHECKS, Check, CheckFailedError, CheckOutcome, CheckSkippedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.base.results import RunResult
    from trainer_host.testing.plugin_under_test import Subject
    from trainer_host.testing.tiny_dataset import TinyDataset
    from trainer_host.testing.training_probe import Recording

EPOCHS = 4
FILES = ("model", "pretrained")
"""Engine keys that may name a file."""


@dataclass
class ObservedRun:
    """A training that ended, with a recording of it."""

    result: RunResult
    recording: Recording


@dataclass
class Bench:
    """Everything that the checks of one plugin share.

    Attributes:
        subject: The plugin.
        data: A dataset of the author's, or None for the task's own sample.
        options: Values by plugin and option.
        settings: Engine keys that take precedence over those of the kit, such as ``model``.
        outcomes: The outcomes of the checks so far.
    """

    subject: Subject
    data: str | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    outcomes: dict[str, CheckOutcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trainer-verify-")).resolve()
        self._trainings: dict[str, ObservedRun | Exception] = {}
        self._dataset: TinyDataset | Exception | None = None
        self.changed: dict[str, list[str]] = {}
        self.work.mkdir()
        self.settings = {k: anchored(v) if k in FILES else v for k, v in self.settings.items()}

    @property
    def work(self) -> Path:
        """The working folder of the trainings, which stays empty."""
        return self.folder / "work"

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def outcome(self, check: Check) -> CheckOutcome:
        """Run a check, after those that it needs, and return its outcome; each is run once."""
        if check.name not in self.outcomes:
            missing = [n for n in check.needs if self.outcome(CHECKS[n]).state != "ok"]
            self.outcomes[check.name] = self._skip(check, missing[0]) if missing else self._made(check)
        return self.outcomes[check.name]

    def _skip(self, check: Check, missing: str) -> CheckOutcome:
        first = self.outcomes[missing]
        why = first.found if first.state == "skipped" else f"it needs {missing!r}, which failed."
        return CheckOutcome(check.name, "skipped", why)

    def _made(self, check: Check) -> CheckOutcome:
        begin = time.perf_counter()
        try:
            with self.surroundings():
                state, found, fix = "ok", check.function(self), ""
        except CheckFailedError as error:
            state, found, fix = "failed", error.found, error.fix or check.fix
        except CheckSkippedError as error:
            state, found, fix = "skipped", str(error), ""
        except Exception as error:  # whatever the plugin raises that the check does not expect
            state, found, fix = "failed", f"{reason(error)}.", check.fix
        return CheckOutcome(check.name, state, found, fix, round(time.perf_counter() - begin, 3))  # type: ignore[arg-type]

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """Change to the working folder, and use a separate cache."""
        here, cache = Path.cwd(), os.environ.get("TRAINER_CACHE_DIR")
        os.chdir(self.work)
        os.environ["TRAINER_CACHE_DIR"] = str(self.folder / "cache")
        try:
            yield
        finally:
            os.chdir(here)
            os.environ.pop("TRAINER_CACHE_DIR")
            if cache is not None:
                os.environ["TRAINER_CACHE_DIR"] = cache

    @property
    def dataset(self) -> TinyDataset:
        """The dataset that is trained on.

        Raises:
            CheckSkippedError: If there is none.
        """
        from trainer_host.testing.tiny_dataset import tiny_dataset

        if self._dataset is None:
            try:
                self._dataset = tiny_dataset(self.subject.task, self.folder / "data", self.data, self.subject.registry)
            except Exception as error:  # whatever the task's hook raises
                self._dataset = error
        if isinstance(self._dataset, Exception):
            raise self._dataset
        return self._dataset

    def first(self) -> ObservedRun:
        """Return the training that most checks look at; an extension's is preceded by one without it."""
        if self.subject.plugins:
            self.before()
        return self.training("first", measure=True)

    def before(self) -> ObservedRun:
        """Return the first epoch of a training without the extension, made before any with it.

        Raises:
            CheckSkippedError: If the task itself fails.
        """
        try:
            return self.training("without-before", stop_after=1, plugins=())
        except Exception as error:
            why = f"task {self.subject.task!r} fails without the extension: {reason(error)}."
            raise CheckSkippedError(why) from error

    def again(self) -> ObservedRun:
        """Return the first epoch of the same training, repeated."""
        self.first()
        return self.training("again", stop_after=1)

    def training(
        self,
        key: str,
        *,
        seed: int = 0,
        stop_after: int | None = None,
        measure: bool = False,
        plugins: Sequence[str] | None = None,
        others: Mapping[str, object] | None = None,
    ) -> ObservedRun:
        """Train, or return the training of this name; an error is raised each time.

        Args:
            key: The name of the training.
            seed: Its seed.
            stop_after: The epoch after which it ends.
            measure: Whether to measure losses, memory and validation as well.
            plugins: The extensions, if they are not those of the subject.
            others: Further extensions by name, which ``plugins`` can name.
        """
        if key not in self._trainings:
            names = self.subject.plugins if plugins is None else plugins
            try:
                self._trainings[key] = self._train(key, seed, stop_after, measure, names, others or {})
            except Exception as error:  # reported by the check that is about it
                self._trainings[key] = error
        found = self._trainings[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _train(
        self,
        key: str,
        seed: int,
        stop_after: int | None,
        measure: bool,
        plugins: Sequence[str],
        others: Mapping[str, object],
    ) -> ObservedRun:
        from trainer_host.testing.leftovers import watched
        from trainer_host.testing.training_probe import NAME, Probe

        probe = Probe(stop_after, measure)
        dataset = self.dataset
        # A model may consist of the extension's layers: without it, the sample's model is trained.
        keys = self.engine_keys if {*self.subject.plugins} <= {*plugins} else dataset.settings
        settings = {**keys, "epochs": EPOCHS, "seed": seed, "data": str(dataset.file)}
        save_dir = self.folder / "runs" / key
        watch = [self.work, dataset.folder] if dataset.folder else [self.work]
        extra = [record_of_object(plugin, name) for name, plugin in {NAME: probe, **others}.items()]
        with ExitStack() as stack:
            stack.enter_context(self.surroundings())
            stack.enter_context(watched(self.subject.engine, self.changed.setdefault(key, []), watch))
            stack.enter_context(_only_new_objects())
            result = api.run(
                self.subject.task,
                plugins=[*plugins, NAME],
                no_plugins=[n for n in self.subject.plugins if n not in plugins],
                registry=self.subject.with_records(*extra),
                options=self.options_of(plugins),
                offline=True,
                save_dir=str(save_dir),
                **settings,
            )
        probe.untrained = None
        return ObservedRun(result, probe.recording)

    @property
    def engine_keys(self) -> dict[str, Any]:
        """The engine keys of every training."""
        return {**self.dataset.settings, **self.settings}

    def options_of(self, plugins: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the options of a run with these extensions."""
        out = set(self.subject.plugins) - set(plugins)
        return {name: dict(values) for name, values in self.options.items() if name not in out}


def anchored(value: Any) -> Any:
    """Return the absolute path of an existing file, as trainings have another folder; anything else as it is."""
    if not isinstance(value, (str, Path)):
        return value
    # my-yolo11n.yaml is my-yolo11.yaml in the scale n
    unscaled = re.sub(r"(\d)[nslmx](?=[^/]*\.ya?ml$)", r"\1", str(value))
    return str(Path(value).absolute()) if Path(value).is_file() or Path(unscaled).is_file() else value


@contextmanager
def _only_new_objects() -> Iterator[None]:
    """Hide existing objects from the garbage collector, so that only those that a training adds are counted."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def reason(error: BaseException) -> str:
    """Return an error for people, in one line without a full stop, with the place where it was raised."""
    if isinstance(error, TrainerError):
        text = " ".join(p.message if isinstance(error, PluginCrashError) else str(p) for p in error.problems)
        error = error.__cause__ or error if isinstance(error, PluginCrashError) else error
    else:
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    text = text.rstrip(". ")
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or isinstance(error, TrainerError):
        return text
    code = trace.tb_frame.f_code
    return f"{text} ({Path(code.co_filename).name}:{trace.tb_lineno}, in {code.co_name})"
