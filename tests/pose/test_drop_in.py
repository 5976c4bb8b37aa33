"""The drop-in classes: constructed, called and subclassed as the engine's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_datasets import pose_dataset
from trainer_host import DatasetError, SettingsError

TINY = {
    "imgsz": 32,
    "batch": 4,
    "epochs": 1,
    "workers": 0,
    "plots": False,
    "optimizer": "SGD",
    "model": "yolo11n-pose.yaml",
}
OVERRIDE_POINTS = [
    "get_dataset",
    "build_dataset",
    "get_dataloader",
    "preprocess_batch",
    "get_model",
    "set_model_attributes",
    "set_model_names_for_load",
    "build_optimizer",
    "get_validator",
    "get_class_counts",
    "compute_class_weights",
    "set_class_weights",
    "progress_string",
    "plot_training_samples",
    "plot_training_labels",
    "auto_batch",
    "save_model",
    "final_eval",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("data"), images=8)


def overrides(data: Path, folder: Path, **more: Any) -> dict[str, Any]:
    return {**TINY, "data": str(data), "project": str(folder), "name": "run", **more}


@pytest.mark.train
def test_the_task_is_always_pose_and_losses_have_the_engines_names(data: Path, tmp_path: Path) -> None:
    from ultralytics.models.yolo.detect import DetectionTrainer as StockDetect
    from ultralytics.models.yolo.pose import PoseTrainer as StockPose

    from trainer_pose import PoseTrainer

    trainer = PoseTrainer(overrides=overrides(data, tmp_path, task="detect", model="yolo26n-pose.yaml"))
    trainer.train()
    assert trainer.args.task == "pose"
    # Heads without a distribution over distances have l1 where others have dfl.
    assert trainer.loss_names == ("box_loss", "pose_loss", "kobj_loss", "cls_loss", "l1_loss", "rle_loss")
    assert isinstance(trainer, (StockPose, StockDetect))
    assert trainer.host_run.options.exact
    model = trainer.ema.ema
    assert model.kpt_shape == trainer.data["kpt_shape"]
    assert model.kpt_names == trainer.data["kpt_names"]
    assert model.kpt_oks_sigmas == trainer.data.get("kpt_oks_sigmas")


@pytest.mark.train
def test_yolo_trains_with_it_and_subclasses_are_asked(data: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO

    from trainer_pose import PoseTrainer

    asked: list[str] = []

    def asking(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(name)
            return getattr(super(Asking, self), name)(*args, **kwargs)

        return method

    class Asking(PoseTrainer):
        pass

    for name in OVERRIDE_POINTS:
        setattr(Asking, name, asking(name))
    model = YOLO("yolo11n-pose.yaml")
    wanted = overrides(data, tmp_path, cls_pw=0.5, plots=True)
    wanted.pop("model")
    metrics = model.train(trainer=Asking.configured(), **wanted)
    assert metrics is not None
    assert model.task == "pose"
    assert set(OVERRIDE_POINTS) - set(asked) == {"auto_batch"}  # asked only for batch=-1


def test_every_override_point_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "drop-in.md").read_text(encoding="utf-8")
    assert [name for name in OVERRIDE_POINTS if f"`{name}" not in page] == []


def test_a_missing_kpt_shape_says_what_to_write(data: Path, tmp_path: Path) -> None:
    from trainer_pose import PoseTrainer

    text = "".join(x for x in data.read_text().splitlines(keepends=True) if not x.startswith("kpt_shape"))
    broken = data.with_name("broken.yaml")
    broken.write_text("\n".join(line for line in _without(text, "kpt_shape")))
    with pytest.raises(KeyError, match=r"kpt_shape: \[9, 3\]") as caught:
        PoseTrainer(overrides=overrides(broken, tmp_path))
    assert isinstance(caught.value, DatasetError)
    assert str(broken) in str(caught.value)


def _without(text: str, key: str) -> list[str]:
    """Return the lines of a YAML without a top-level key and what belongs to it."""
    kept, skipping = [], False
    for line in text.splitlines():
        top = bool(line) and line[0] not in " -#"
        skipping = line.startswith(f"{key}:") or (skipping and not top)
        if not skipping:
            kept.append(line)
    return kept


def test_several_devices_are_refused(data: Path, tmp_path: Path) -> None:
    from trainer_pose import PoseTrainer

    for device in ("0,1", [0, 1]):
        with pytest.raises(SettingsError, match="several devices"):
            PoseTrainer(overrides=overrides(data, tmp_path, device=device))


def test_fake_quantization_is_refused(data: Path, tmp_path: Path) -> None:
    from trainer_pose import PoseTrainer

    with pytest.raises(SettingsError, match="quantize=8 is not supported in training"):
        PoseTrainer(overrides=overrides(data, tmp_path, quantize=8))


@pytest.mark.train
def test_configured_gives_plugins_and_refuses_unknown_options(data: Path, tmp_path: Path) -> None:
    from trainer_pose import PoseTrainer

    extension = tmp_path / "halve.py"
    extension.write_text(
        "from dataclasses import dataclass\n"
        "from trainer_host import ExtensionSpec, hookimpl\n"
        "@dataclass(frozen=True)\n"
        "class Options:\n"
        "    factor: float = 0.5\n"
        "class Hooks:\n"
        "    @hookimpl(wrapper=True)\n"
        "    def build_optimizer(self, ctx):\n"
        "        optimizer = yield\n"
        "        for group in optimizer.param_groups:\n"
        "            group['lr'] *= ctx.options_for(Options).factor\n"
        "        return optimizer\n"
        "EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)\n"
    )
    with pytest.raises(SettingsError, match=r"'factr'.*Did you mean 'factor'"):
        PoseTrainer.configured(plugins=[str(extension)], options={"halve": {"factr": 1}})(
            overrides=overrides(data, tmp_path)
        )
    kind = PoseTrainer.configured(plugins=[str(extension)], options={"halve": {"factor": 0.25}})
    trainer = kind(overrides=overrides(data, tmp_path, lr0=0.04, warmup_epochs=0))
    trainer.train()
    assert {g["initial_lr"] for g in trainer.optimizer.param_groups} == {0.01}
    assert [p["name"] for p in _record(trainer.best)["plugins"]] == ["detect", "pose", "halve"]


def _record(path: Path) -> dict[str, Any]:
    import torch

    record: dict[str, Any] = torch.load(path, weights_only=False)["trainer_host"]
    return record


COUNTING = """
from trainer_host import ExtensionSpec, hookimpl

class Counting:
    def __init__(self):
        self.epochs = 0

    @hookimpl
    def log_metrics(self, ctx):
        self.epochs += ctx.epoch is not None

    @hookimpl(wrapper=True)
    def build_loss(self, ctx):
        loss = yield
        ctx.model.reported = loss is not None
        return loss

    @hookimpl
    def state_dict(self):
        return {"epochs": self.epochs}

    @hookimpl
    def load_state_dict(self, ctx, state):
        self.epochs = state["epochs"]

EXTENSION = ExtensionSpec(hooks=Counting)
"""


@pytest.mark.train
def test_a_resumed_training_gives_plugins_their_state_back(data: Path, tmp_path: Path) -> None:
    import torch

    from trainer_pose import PoseTrainer

    (tmp_path / "counting.py").write_text(COUNTING)
    trainer_class = PoseTrainer.configured(plugins=[str(tmp_path / "counting.py")])

    def stop(trainer: Any) -> None:
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    first = trainer_class(overrides=overrides(data, tmp_path, epochs=3))
    first.add_callback("on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    assert torch.load(first.last, weights_only=False)["trainer_host"]["plugin_states"] == {"counting": {"epochs": 1}}
    assert list(first.wdir.glob("state-*.pt")) and (first.wdir / "states.json").exists()
    resumed = trainer_class(overrides={"model": str(first.last), "resume": str(first.last)})
    resumed.train()
    assert resumed.model.reported
    assert torch.load(resumed.last, weights_only=False)["trainer_host"]["plugin_states"] == {"counting": {"epochs": 3}}
    assert [file.name for file in sorted(resumed.wdir.iterdir())] == ["best.pt", "last.pt"]
