"""A small engine next to the host's own, and a task that it trains: the mean of a class's gray values."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host import ImagePrediction, Problem, TaskSpec, TrainerError, UnreadableImage, hookimpl
from trainer_host.engine.engine_state import EngineState

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trainer_host.base.contexts import DataContext
    from trainer_host.base.errors import EnvironmentProblemError
    from trainer_host.base.protocols import Prediction
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import StartingWeights, TrainingOutcome
    from trainer_host.base.signals import StopRequest
    from trainer_host.base.type_aliases import Device, Image
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.process_state import EngineGlobals
    from trainer_host.engine.protocol import Checkpoints, Command, EngineSettings, Lacking, LiveRun

DEFAULTS: Mapping[str, Any] = {
    "model": None,
    "data": None,
    "source": None,
    "epochs": 1,
    "time": None,
    "batch": 1,
    "imgsz": 8,
    "device": "cpu",
    "workers": 0,
    "seed": 0,
    "optimizer": "none",
    "lr0": 0.1,
    "patience": 1,
    "split": "val",
    "fraction": 1.0,
    "classes": None,
    "single_cls": False,
    "fliplr": 0.0,
    "flipud": 0.0,
    "plots": False,
    "project": None,
    "name": None,
    "exist_ok": False,
    "save_dir": None,
    "save": True,
    "mean": 0.5,
}
STATE: dict[str, bool] = {"busy": False}
"""What a run changes in the process."""


class PlainSettings:
    model_keys: tuple[str, ...] = ()

    def defaults(self) -> Mapping[str, Any]:
        return DEFAULTS

    def keys(self) -> frozenset[str]:
        return frozenset(DEFAULTS)

    def of_loading(self) -> frozenset[str]:
        return frozenset({"device"})

    def unknown(
        self, settings: Mapping[str, Any], where: Any = None, dataset_keys: Collection[str] = ()
    ) -> list[Problem]:
        return [Problem(f"the plain engine has no setting {key}.") for key in settings if key not in DEFAULTS]

    def invalid(self, settings: Mapping[str, Any], command: Command = "run", where: Any = None) -> list[Problem]:
        return [Problem("mean is a fraction.")] if not 0 <= settings.get("mean", 0) <= 1 else []

    def unused(
        self,
        settings: Mapping[str, Any],
        command: Command,
        engine_task: str | None,
        where: Any = None,
        lacking: Collection[Lacking] = (),
    ) -> tuple[list[Problem], list[Problem]]:
        return [], [Problem("mean has no effect.")] if "mean" in settings and command != "run" else []

    def without_states(self, settings: Mapping[str, Any]) -> str | None:
        return None

    def instead_of_option(self, name: str, value: Any) -> str | None:
        return None


class PlainCheckpoints:
    def read(self, path: Path | str) -> Checkpoint:
        from trainer_host.engine.checkpoint.checkpoint_format import CheckpointFormat
        from trainer_host.engine.checkpoint.parsed_files import ParsedFiles
        from trainer_host.engine.checkpoint.reading import read_checkpoint

        form = CheckpointFormat("plain", frozenset(), (), "settings", (), "", frozenset())
        return read_checkpoint(path, form, ParsedFiles())

    def foreign_names(self, path: Path) -> set[str]:
        return set()


class PlainGlobals:
    package = __name__

    def load(self) -> None:
        return

    def apply(self) -> None:
        return

    @contextmanager
    def preserved(self) -> Iterator[None]:
        STATE["busy"] = True
        try:
            yield
        finally:
            STATE["busy"] = False


class PlainEngine:
    """See `trainer_host.engine.protocol.Engine`."""

    name = "plain"
    settings_file = "plain.yaml"
    results_file = "plain.csv"
    variables: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.settings: EngineSettings = PlainSettings()
        self.checkpoints: Checkpoints = PlainCheckpoints()
        self.process_globals: EngineGlobals = PlainGlobals()
        self.reporters: list[Reporter] = []

    def version(self) -> str:
        return "1"

    def state(self) -> EngineState:
        return EngineState(self.name, "1", ("1",), "1")

    def versions(self) -> dict[str, Any]:
        return {self.name: "1"}

    def missing_name(self, error: AttributeError | ImportError) -> EnvironmentProblemError | None:
        return None

    def load(self) -> None:
        return

    def switches(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def log(self, reporter: Reporter, verbose: bool) -> Iterator[None]:
        self.reporters.append(reporter)
        try:
            yield
        finally:
            self.reporters.pop()

    def default_hooks(self) -> object:
        return object()

    def tracker_problems(self, names: Sequence[str]) -> list[Problem]:
        return []

    def refuse_remote_trackers(self, names: Sequence[str]) -> None:
        return

    def infer_task(self, model: str) -> str | None:
        return self.checkpoints.read(model).task if Path(model).is_file() else None

    def missing_model(self, name: str, instead: str = ".") -> Problem | None:
        return None if Path(name).is_file() else Problem(f"no model {name}.")

    def find_weights(self, name: str, offline: bool, scratch: str | None) -> str:
        return name

    def model_problems(self, run: LiveRun) -> list[Problem]:
        return []

    def shipped_dataset(self, name: str) -> Path | None:
        return None

    def shipped_datasets(self) -> list[str]:
        return []

    def training(
        self,
        run: LiveRun,
        save_dir: Path,
        reporter: Reporter,
        stop: StopRequest,
        resume: Any = None,
        record: Any = None,
    ) -> PlainTraining:
        return PlainTraining(self, run, save_dir)

    def trained_model(self, checkpoint: Checkpoint, run: LiveRun, settings: Mapping[str, Any]) -> PlainModel:
        return PlainModel(self, checkpoint, run)

    def at_work(self, what: str) -> None:
        """Say what is done through the host's reporter, in a process that was prepared for this engine alone."""
        if not STATE["busy"] or not self.reporters or "ultralytics" in sys.modules:
            raise TrainerError(Problem(f"busy: {STATE['busy']}, logged: {bool(self.reporters)}, {what}."))
        self.reporters[-1].warn(f"plain engine: {what}")


class PlainTraining:
    def __init__(self, engine: PlainEngine, run: LiveRun, save_dir: Path) -> None:
        self.engine, self.run, self.last = engine, run, save_dir / "weights" / "last.pt"
        self.written = False

    def prepare(self) -> dict[str, Any]:
        return {}

    def describe(self) -> str:
        return "plainly"

    def warnings(self) -> list[str]:
        return []

    def starting_weights(self) -> StartingWeights | None:
        return None

    def last_checkpoint(self) -> Path | None:
        return self.last if self.written else None

    def train(self) -> TrainingOutcome:
        import torch

        from trainer_host.base.results import TrainingOutcome
        from trainer_host.engine.checkpoint.record import make_record

        self.engine.at_work("train")
        mean = torch.tensor(float(self.run.resolved.settings.get("mean", DEFAULTS["mean"])))
        record = make_record(self.run.chain, {"names": {0: "thing"}}, {self.engine.name: "1"})
        self.last.parent.mkdir()
        torch.save({"trainer_host": {**record, "state_dict": {"mean": mean}}}, self.last)
        self.written = True
        return TrainingOutcome(1, {"mean": float(mean)}, self.last, self.last, False, (), 1)


class PlainModel:
    def __init__(self, engine: PlainEngine, checkpoint: Checkpoint, run: LiveRun) -> None:
        import torch

        self.engine, self.run, self.checkpoint = engine, run, checkpoint
        self.device: Device = torch.device("cpu")
        self.mean = float(checkpoint.state()["mean"])

    @property
    def names(self) -> Mapping[int, str]:
        return {0: "thing"}

    def validate(self, settings: Mapping[str, Any], save_dir: Path) -> dict[str, float]:
        self.engine.at_work("val")
        return {"mean": self.mean}

    def predictor(self, settings: Mapping[str, Any], save_dir: Path) -> PlainPredictor:
        return PlainPredictor(self)


class PlainPredictor:
    def __init__(self, model: PlainModel) -> None:
        self.model = model

    def __call__(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        import cv2

        for path in source:
            self.model.engine.at_work("predict")
            image: Any = cv2.imread(str(path))
            yield ImagePrediction(Path(path), image, [{"bright": bool(image.mean() > 255 * self.model.mean)}])

    def draw(self, prediction: Prediction) -> Image | None:
        return None


class PlainHooks:
    """The hooks of the task; each run has an object of its own."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> dict[str, Any]:
        return {"names": {0: "thing"}, "channels": 3, "train": "", "val": ""}


TASK = TaskSpec(hooks=PlainHooks, engine=f"{__name__}:PlainEngine", dataset_keys=("gray_values", "names"))
