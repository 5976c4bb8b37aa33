"""Layers of third parties in model YAMLs, and weights whose pickles name a class of a fork."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.contract.conftest import Trainer, rows
from tests.support.sample_datasets import pose_dataset
from trainer_host import ExitCode
from trainer_host.engine.checkpoint.record import RECORD, STATE
from trainer_host.engine.ultralytics.checkpoints import foreign_names

pytestmark = [pytest.mark.wheel, pytest.mark.train]

SPD = """
nc: 1
kpt_shape: [9, 3]
scales:
  n: [0.50, 0.25, 1024]
backbone:
  - [-1, 1, SPDConv, [64]] # 0-P1/2
  - [-1, 1, SPDConv, [128]] # 1-P2/4
  - [-1, 2, C3k2, [128, False, 0.25]] # 2
  - [-1, 1, Conv, [256, 3, 2]] # 3-P3/8
head:
  - [[2, 3], 1, Pose, [nc, kpt_shape]] # 4
"""
MOE = SPD.replace("SPDConv, [64]", "Conv, [64, 3, 2]").replace("SPDConv, [128]", "Conv, [128, 3, 2]")
MOE = MOE.replace("2, C3k2, [128, False, 0.25]", "4, MoEConv, [128, 3]")
SETTINGS = ("imgsz=64", "epochs=1", "batch=4", "plots=False")
FORK = """
    import sys
    import torch
    from ultralytics.nn import tasks
    from ultralytics.nn.modules import conv

    class SPDConv(torch.nn.Module):
        def __init__(self, c1, c2):
            super().__init__()
            self.conv = torch.nn.Conv2d(4 * c1, c2, 3, padding=1, bias=False)
            self.bn = torch.nn.BatchNorm2d(c2)
            self.act = torch.nn.SiLU()

    SPDConv.__module__, SPDConv.__qualname__ = conv.__name__, "SPDConv"
    conv.SPDConv = SPDConv
    cfg = tasks.yaml_model_load(sys.argv[1])
    stock = {**cfg, "backbone": [[-1, 1, "Conv", [*row[3], 3, 2]] if row[2] == "SPDConv" else row
                                 for row in cfg["backbone"]]}
    model = tasks.PoseModel(stock, nc=1, verbose=False)
    for i, channels in ((0, (3, 16)), (1, (16, 32))):
        layer = SPDConv(*channels)
        layer.i, layer.f, layer.type, layer.np = i, -1, "SPDConv", 0
        model.model[i] = layer
    model.yaml |= {"backbone": cfg["backbone"]}
    torch.save(model.half().state_dict(), "state.pt")
    torch.save({"model": model, "train_args": {"task": "pose", "imgsz": 64, "data": sys.argv[2]}}, "old.pt")
"""


@dataclass(frozen=True)
class Workshop:
    """A folder with a dataset and two architectures, and the command with and without the packages."""

    trainer: Trainer
    bare: Trainer

    @property
    def folder(self) -> Path:
        return self.trainer.folder

    def best(self, run: str) -> Path:
        return self.folder / "runs" / "pose" / run / "weights" / "best.pt"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    pose_dataset(folder / "data", images=4)
    (folder / "tiny-spd.yaml").write_text(SPD, encoding="utf-8")
    (folder / "tiny-moe.yaml").write_text(MOE, encoding="utf-8")
    return Workshop(Trainer(folder, (site,)), Trainer(folder))


@pytest.fixture(scope="session")
def trained(workshop: Workshop) -> Path:
    """A model with layers of a plugin, trained by the command."""
    words = ["model=tiny-spd.yaml", "data=data/data.yaml", "name=spd", *SETTINGS]
    workshop.trainer("run", "--task", "pose", "--plugin", "spd-conv", *words)
    return workshop.best("spd")


def plain_content(path: Path) -> dict:
    """Return a checkpoint that names no class of others."""
    assert foreign_names(path) == set()
    return torch.load(path, weights_only=False)


def test_the_file_is_plain_and_says_what_it_needs(trained: Path) -> None:
    content = plain_content(trained)
    record = content[RECORD]
    assert record["needs"] == ["trainer-spd-conv"]
    assert record["cfg"]["backbone"][0] == [-1, 1, "SPDConv", [64]]
    assert record[STATE]["model.0.conv.weight"].shape == (16, 12, 3, 3)
    assert isinstance(content["model"], torch.nn.Identity)
    assert "pip install trainer-host trainer-spd-conv" in content["model"].task


def test_the_model_is_measured_and_used(trained: Path, workshop: Workshop) -> None:
    measured = workshop.trainer("val", f"model={trained}", "plots=False", "--json").json
    assert measured["metrics"].keys() >= {"metrics/mAP50(B)", "metrics/mAP50(P)"}
    done = workshop.trainer("predict", f"model={trained}", "source=data/images/val", "--no-pictures")
    assert any(line.endswith("in 4 images.") for line in done.said)


def test_without_the_plugin_it_says_what_to_do(trained: Path, workshop: Workshop) -> None:
    done = workshop.bare("predict", f"model={trained}", "source=data/images/val", code=ExitCode.PLUGIN)
    assert "unknown layer 'SPDConv'." in done.err
    assert done.said[-1].endswith(f"{trained}: cannot build the model. The file needs: trainer-spd-conv")


def test_a_loss_of_a_layer_has_a_column(workshop: Workshop) -> None:
    words = ["model=tiny-moe.yaml", "data=data/data.yaml", "name=moe", *SETTINGS]
    options = ["experts.experts=3", "experts.gain=0.5"]
    workshop.trainer("run", "--task", "pose", "--plugin", "experts", *options, *words)
    row = rows(workshop.best("moe").parents[1] / "results.csv")[-1]
    # Two blocks; each has at least 1 where its experts are used alike, and at most 3 / 2.
    assert 1 <= float(row["train/balance_loss"]) <= 1.5
    assert 1 <= float(row["val/balance_loss"]) <= 1.5
    record = plain_content(workshop.best("moe"))[RECORD]
    assert record["needs"] == ["trainer-experts"], "found by layers within a sequence of the engine"
    assert record[STATE]["model.2.1.router.weight"].shape == (3, 32)


@pytest.fixture(scope="session")
def old(workshop: Workshop) -> Path:
    """Weights that were trained with a fork, which had the layer among the engine's own."""
    (workshop.folder / "fork.py").write_text(textwrap.dedent(FORK), encoding="utf-8")
    done = workshop.bare.python("fork.py", "tiny-spd.yaml", "data/data.yaml")
    assert done.code == 0, done.err
    return workshop.folder / "old.pt"


def test_weights_of_a_fork_are_refused_without_the_plugin(old: Path, workshop: Workshop) -> None:
    done = workshop.trainer("predict", f"model={old}", "source=data/images/val", code=ExitCode.SETTINGS)
    assert "old.pt: unknown layer 'SPDConv'." in done.said[-1]
    assert done.said[-1].endswith("Fix: if a plugin adds it, switch it on: --plugin NAME")


def test_weights_of_a_fork_are_used_with_the_plugin(old: Path, workshop: Workshop) -> None:
    plugin = ["--plugin", "spd-conv", f"model={old}"]
    done = workshop.trainer("predict", *plugin, "source=data/images/val", "--no-pictures")
    assert done.said[0] == f"Task: pose (inferred from {old})"
    assert workshop.trainer("val", *plugin, "plots=False", "--json").json["task"] == "pose"


def test_weights_of_a_fork_are_trained_on_and_written_as_plain_data(old: Path, workshop: Workshop) -> None:
    words = [f"model={old}", "data=data/data.yaml", "name=on", "lr0=0", "optimizer=SGD", "warmup_epochs=0", *SETTINGS]
    workshop.trainer("run", "--plugin", "spd-conv", *words)
    record = plain_content(workshop.best("on"))[RECORD]
    assert record["needs"] == ["trainer-spd-conv"]
    before = torch.load(workshop.folder / "state.pt")["model.0.conv.weight"].float()
    torch.testing.assert_close(record[STATE]["model.0.conv.weight"], before, msg="without a learning rate they stay")
