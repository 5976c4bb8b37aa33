"""What is fetched, opened or switched on because the user named it, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from tests.support.audited_command import stub_packages
from tests.support.command import Done
from tests.support.sample_datasets import pose_dataset
from trainer_host.base.errors import SettingsError, UnsafeError
from trainer_host.engine.ultralytics.trackers import (
    TRACKERS,
    asked_for,
    engine_callbacks,
    refuse_remote_trackers,
    tracker_problems,
)

pytestmark = pytest.mark.usefixtures("engine")

Trainer = Callable[..., Done]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("dataset"), images=2)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKED", str(tmp_path / "tracked.log"))
    monkeypatch.syspath_prepend(stub_packages(tmp_path / "packages"))
    for name in ("mlflow", "wandb", "dvclive", "comet_ml", "clearml"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def refused(done: Done, code: int, *said: str) -> None:
    assert (done.code, len(done.problems)) == (code, 1), done.err
    assert [text for text in said if text not in done.problems[0]] == []


# Trackers


@pytest.mark.usefixtures("packages")
def test_trackers_are_refused_in_one_line(trainer: Trainer, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("run", f"data={data}", "model=yolo11n-pose.yaml", "--dry-run")
    refused(trainer(*run, "--tracker", "mlfow"), 3, "unknown tracker 'mlfow'", "'mlflow'", "tensorboard, wandb")
    refused(trainer(*run, "--tracker", "neptune"), 3, "unknown tracker 'neptune'", "clearml, comet, dvc, mlflow")
    refused(trainer(*run, "--tracker", "raytune"), 3, "needs the package ray", "pip install ray")
    for name in ("wandb", "comet", "clearml", "platform"):
        refused(trainer(*run, "--tracker", name, "--offline"), 6, f"tracker {name} needs a network", "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.invalid")
    refused(trainer(*run, "--tracker", "mlflow", "--offline"), 6, "https://example.invalid", "unset MLFLOW_TRACKING")


@pytest.mark.usefixtures("packages")
def test_trackers_are_settings_of_a_run(trainer: Trainer, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("run", f"data={data}", "model=yolo11n-pose.yaml", "--dry-run")
    assert "trackers" not in yaml.safe_load(trainer(*run).out)
    shown = trainer(*run, "--tracker", "mlflow", "--tracker", "dvc", "--offline").out
    assert yaml.safe_load(shown)["trackers"] == ["mlflow", "dvc"]
    assert yaml.safe_load(shown)["offline"] is True
    shown = shown.replace("offline: true\n", "")
    Path("exp.yaml").write_text(shown)
    monkeypatch.setenv("TRAINER_TRACKER", "wandb mlflow")
    again = trainer("run", "exp.yaml", "--dry-run")
    assert yaml.safe_load(again.out)["trackers"] == ["mlflow", "dvc", "wandb"], again.err
    Path("exp.yaml").write_text(shown.replace("- mlflow", "- 3"))
    refused(trainer("run", "exp.yaml", "--dry-run"), 3, "trackers:", "Fix: write trackers: [NAME]")
    assert not Path("tracked.log").exists()


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("", True),
        ("mlruns", True),
        ("/data/mlruns", True),
        ("C:\\mlruns", True),
        ("file:///data", True),
        ("sqlite:///mlflow.db", True),
        ("http://localhost:5000", False),
        ("databricks", False),
        ("postgresql://host/db", False),
    ],
)
def test_what_of_mlflow_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch, address: str, stays: bool) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    if stays:
        refuse_remote_trackers(["mlflow", "tensorboard", "dvc"])
        return
    with pytest.raises(UnsafeError, match="the run is offline"):
        refuse_remote_trackers(["mlflow"])


def test_the_engine_has_a_module_for_every_tracker() -> None:
    from ultralytics.utils import SETTINGS, callbacks

    folder = Path(callbacks.__file__).parent
    modules = {f.stem for f in folder.glob("*.py")} - {"__init__", "base"}
    assert {t.module for t in TRACKERS.values()} == modules
    assert {name for name in TRACKERS if name in SETTINGS} == set(TRACKERS) - {"platform"}
    assert tracker_problems(["platform"]) == []


def test_an_integration_that_the_engine_cannot_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics.utils.callbacks.wb", SimpleNamespace(callbacks={}))
    with pytest.raises(SettingsError, match="the engine cannot use tracker wandb"):
        engine_callbacks(["wandb"])


@pytest.mark.parametrize("kind", ["HostTraining", "PoseValidator", "PosePredictor", "NewTrainer"])
def test_what_the_engine_adds_by_itself_is_passed_over(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    from ultralytics.utils.callbacks import add_integration_callbacks
    from ultralytics.utils.callbacks.base import default_callbacks

    called: list[Any] = []

    def integration_of_the_engine(trainer: Any) -> None:
        called.append(trainer)

    integration_of_the_engine.__module__ = "ultralytics.utils.callbacks.tensorboard"
    integration = SimpleNamespace(callbacks={"on_fit_epoch_end": integration_of_the_engine})
    monkeypatch.setitem(sys.modules, "ultralytics.utils.callbacks.tensorboard", integration)
    events = engine_callbacks(["tensorboard"])
    events["on_train_end"].append(print)
    events["on_train_end"].append(integration_of_the_engine)
    events["on_train_start"].append(asked_for(integration_of_the_engine))  # as one of a plugin is
    add_integration_callbacks(type(kind, (), {"callbacks": events})())
    assert len(events["on_train_end"]) > len(default_callbacks["on_train_end"]) + 1
    copied = events.copy()
    for found in (events, copied):
        assert found.get("on_train_end", []) == [*default_callbacks["on_train_end"], print]
        assert found.get("on_val_start", []) == default_callbacks["on_val_start"]
        assert found.get("on_predict_end", []) == default_callbacks["on_predict_end"]
    found.get("on_fit_epoch_end")[-1](7)
    found.get("on_train_start")[-1](8)
    assert called == [7, 8]


def test_the_engine_gives_trackers_to_the_drop_in_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_detect import DetectionTrainer
    from trainer_host.engine.live_run import load_plugins, run_of_chain
    from trainer_host.engine.ultralytics import adapted_trainer as from_trainer
    from trainer_host.plugin.registry import Registry
    from trainer_pose import PoseTrainer

    assert "Trainer" in PoseTrainer.__name__ and "Trainer" in DetectionTrainer.configured().__name__
    run = run_of_chain(*load_plugins(Registry.installed(), "pose", (), {}))
    assert from_trainer.trainer_class(run) is None  # so that a run has the host's own
    assert "Trainer" not in from_trainer.HostTraining.__name__
    mine = type("MyTrainer", (), {})
    monkeypatch.setattr(from_trainer, "ported", lambda chain: (0, SimpleNamespace(trainer="mine:MyTrainer", base=None)))
    monkeypatch.setattr(from_trainer, "load_trainer", lambda name: mine)
    monkeypatch.setattr(from_trainer, "stop_of", lambda kind, base: object)
    made = from_trainer.trainer_class(run)
    assert made is not None
    assert (made.__name__, made.__qualname__) == ("MyTraining", "MyTrainer")


# Sources


@pytest.mark.parametrize(
    ("name", "content", "entry"),
    [
        ("cams.streams", "0\nrtsp://camera.invalid/1\n", "cams.streams:2"),
        ("cams.STREAMS", "0 http://camera.invalid/a.mp4", "cams.STREAMS:1"),
        ("cams.streams", "https://www.youtube.com/watch?v=x", "cams.streams:1"),
        ("cams.streams", "udp:camera.invalid:9", "cams.streams:1"),
        ("list.txt", "a.jpg\nhttps://example.invalid/b.jpg\n", "list.txt:2"),
        ("list.csv", 'source\n"a.jpg","https://example.invalid/b.jpg"\n', "list.csv:2"),
    ],
)
def test_a_list_opens_no_addresses(trainer: Trainer, name: str, content: str, entry: str) -> None:
    Path(name).write_text(content)
    done = trainer("predict", "model=best.pt", f"source={name}")
    refused(done, 6, f"{entry}: an address in a list is not opened", "Fix: give it by itself: source=")
    refused(trainer("predict", "model=best.pt", f"source={name}", "--offline"), 6, entry, "Fix: remove it")


def test_an_address_as_source_is_refused_offline_alone(trainer: Trainer) -> None:
    Path("list.txt").write_text("a.jpg\nC:\\b.jpg\n")
    for source in ("rtsp://camera.invalid/1", "https://youtu.be/x", "https://example.invalid/a.jpg"):
        refused(trainer("predict", "model=best.pt", f"source={source}", "--offline"), 6, source, "offline")
        refused(trainer("predict", "model=best.pt", f"source={source}"), 3, "model best.pt not found")
    refused(trainer("predict", "model=best.pt", "source=list.txt"), 3, "model best.pt not found")


# Weights, architectures and datasets


def test_weights_are_fetched_where_the_engine_thinks_itself_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_host.engine.ultralytics import model_files as host

    asked: list[str] = []

    def fetch(name: str) -> str:
        asked.append(name)
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(host, "attempt_download_asset", fetch)
    with pytest.raises(SettingsError, match=r"the weights yolo11n-pose.pt could not be fetched: no route to host"):
        host.find_weights("yolo11n-pose.pt", False, None)
    assert asked == ["yolo11n-pose.pt"]
    with pytest.raises(UnsafeError, match="the run is offline"):
        host.find_weights("yolo11n-pose.pt", True, None)
    with pytest.raises(UnsafeError, match="architectures are not fetched"):
        host.find_weights("https://example.invalid/yolo11n-pose.yaml", False, None)
    assert asked == ["yolo11n-pose.pt"]


def test_datasets_of_the_engine_are_refused_offline(trainer: Trainer) -> None:
    done = trainer("run", "--task", "pose", "model=yolo11n-pose.yaml", "data=coco8-pose.yaml", "--offline")
    refused(done, 6, "the images of coco8-pose.yaml would have to be fetched", "offline")


def test_a_layer_that_fetches_weights_is_refused() -> None:
    from trainer_host.engine.ultralytics.architecture import vet_architecture

    def having(*arguments: Any) -> dict[str, Any]:
        rows = [[-1, 1, "TorchVision", list(arguments)]]
        return {"nc": 1, "backbone": rows, "head": [[[0], 1, "Detect", ["nc"]]]}

    for weights in ("None", None):
        vet_architecture(having(768, "convnext_tiny", weights))
    for arguments in ((768, "convnext_tiny"), (768, "convnext_tiny", "DEFAULT", True), (768, "convnext_tiny", True)):
        with pytest.raises(UnsafeError, match=r"the layer TorchVision would fetch weights\. Fix: write None"):
            vet_architecture(having(*arguments))
    with pytest.raises(UnsafeError, match="'fasterrcnn_resnet50_fpn' is not a model that TorchVision may build"):
        vet_architecture(having(768, "fasterrcnn_resnet50_fpn", None))


# Mixed precision


def on(device: str, amp: Any) -> Any:
    return SimpleNamespace(args=SimpleNamespace(amp=amp), device=SimpleNamespace(type=device), amp=False, scaler="none")


@pytest.mark.parametrize(
    ("name", "works"),
    [("NVIDIA H200", True), ("NVIDIA GeForce GTX 1660 Ti", False), ("Quadro T1000", False), ("Tesla K40m", False)],
)
def test_cards_that_are_known_to_fail_train_without_it(monkeypatch: pytest.MonkeyPatch, name: str, works: bool) -> None:
    from trainer_host.engine.ultralytics.reimplemented.mixed_precision import skip_test

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    trainer = on("cuda", True)
    assert skip_test(trainer) is True
    assert trainer.args.amp == ("bf16" if works else False)


@pytest.mark.parametrize(("device", "amp"), [("cpu", True), ("mps", True), ("cuda", False), ("cuda", "bf16")])
def test_what_the_engine_does_not_test_is_left_to_it(device: str, amp: Any) -> None:
    from trainer_host.engine.ultralytics.reimplemented.mixed_precision import skip_test

    trainer = on(device, amp)
    assert (skip_test(trainer), trainer.args.amp) == (None, amp)


@pytest.mark.train
@pytest.mark.parametrize(("works", "amp"), [(True, True), (False, False)])
def test_set_up_decides_without_test_weights(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, works: bool, amp: bool
) -> None:
    from trainer_host.base.reporting import NullReporter
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.factory import default_engine
    from trainer_host.engine.live_run import load_plugins, run_of_chain
    from trainer_host.engine.process_state import preserved_state
    from trainer_host.engine.ultralytics import host_trainer as host
    from trainer_host.engine.ultralytics.reimplemented import mixed_precision
    from trainer_host.engine.ultralytics.training_engine import TrainingEngine
    from trainer_host.plugin.registry import Registry

    def skip_test(trainer: Any) -> Any:  # on a card that is not here
        return mixed_precision.skip_test(SimpleNamespace(args=trainer.args, device=SimpleNamespace(type="cuda")))  # type: ignore[arg-type]

    seen: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "skip_test", skip_test)
    monkeypatch.setattr(mixed_precision, "amp_works", lambda device: works)
    monkeypatch.setattr(mixed_precision, "grad_scaler", lambda device: "on")
    values = {"data": str(data), "model": "yolo11n-pose.yaml", "imgsz": 32, "amp": True, "plots": False, "batch": 2}
    run = run_of_chain(*load_plugins(Registry.installed(), "pose", (), {}), values)
    engine = TrainingEngine(run, tmp_path, NullReporter(), StopRequest())
    with preserved_state(default_engine):
        engine.prepare()
        trainer = engine.trainer
        assert trainer is not None
        trainer.add_callback("on_pretrain_routine_end", lambda made: seen.append((made.amp, made.args.amp)))
        trainer._setup_train()
    assert seen == [(amp, True)]
    assert (trainer.scaler == "on") is works
    assert works or not trainer.scaler.is_enabled()


@pytest.mark.parametrize("model", [[], ["model=yolo11n-pose.pt"], ["model=yolo11n-pose"]])
def test_errors_of_a_dataset_come_before_weights_are_fetched_for_it(
    trainer: Trainer, data: Path, model: list[str]
) -> None:
    run = ("run", "--task", "pose", *model, "--offline")
    shape = yaml.safe_load(data.read_text()) | {"path": str(data.parent), "kpt_shape": [4, 3]}
    Path("broken.yaml").write_text(yaml.safe_dump(shape))
    done = trainer(*run, "data=broken.yaml")
    assert (done.code, "kpt_shape [4, 3] needs 17" in done.err, "fetched" in done.err) == (4, True, False), done.err
    assert not Path("runs").exists()
    refused(trainer(*run, f"data={data}"), 6, "would have to be fetched")
