"""Each example package in a run of two processes: what it adds is there once, and all processes have the same weights.

The packages, and what each brings, are read from their folder. All extensions are switched on together in one training,
and each task has one of its own.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.contract.conftest import PACKAGES, rows
from tests.support.command import Done, command
from tests.support.installed_library import install_albumentations
from tests.support.sample_datasets import detect_dataset, keep_first, pose_dataset
from tests.support.warm_processes import warm_command, warm_ranks
from tests.support.written_package import copy_package, project_of

pytestmark = pytest.mark.train

IMAGES = 6
SMALL = ("epochs=1", "imgsz=64", "workers=0", "warmup_epochs=0")
RECORDER = """
import hashlib, json, sys
from pathlib import Path
from trainer_host import hookimpl

EVENTS = {events}
seen = {{"events": [], "images": [], "weights": {{}}}}

def digest(model):
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()

@hookimpl(wrapper=True)
def preprocess_batch(ctx, batch):
    if seen["events"][-1] == "on_train_batch_start":
        seen["images"] += [Path(name).stem for name in batch.get("im_file") or batch.get("key") or ()]
    return (yield)

@hookimpl
def callbacks(ctx):
    def note(event):
        def noted(trainer):
            seen["events"].append(event)
            if event == "on_fit_epoch_end" and not seen["weights"]:
                seen["weights"] = {{"model": digest(trainer.model), "ema": digest(trainer.ema.ema)}}
                seen["rates"] = [group["lr"] for group in trainer.optimizer.param_groups]
            if event == "teardown":
                first = sys.modules.get("trainer_first_hooks")
                seen["hooks"] = sorted(first.TASK.hooks.called) if first else []
                seen["place"] = [ctx.rank, ctx.world_size]
                seen["folder"] = str(ctx.save_dir)
                Path(f"{folder}/seen-{{ctx.rank}}.json").write_text(json.dumps(seen))
        return noted
    return {{event: note(event) for event in EVENTS}}
"""
EVENTS = (
    *("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"),
    *("on_train_epoch_start", "on_train_batch_start", "on_train_batch_end", "on_train_epoch_end"),
    *("on_val_start", "on_val_batch_start", "on_val_batch_end", "on_val_end"),
    *("on_model_save", "on_fit_epoch_end", "on_train_end", "teardown"),
)


def entries(group: str) -> dict[str, str]:
    """Return what the packages bring for an entry point group: the package of each name."""
    found = {source.name: project_of(source)["entry-points"].get(group, {}) for source in sorted(PACKAGES.iterdir())}
    return {name: package for package, names in found.items() for name in names}


TASKS, EXTENSIONS = entries("trainer_host.tasks"), entries("trainer_host.plugins")
COMMANDS = entries("trainer_host.commands")


@dataclass(frozen=True)
class Place:
    """A folder in which runs are started, and where the packages are.

    Attributes:
        folder: The folder.
        path: Folders of the packages.
        without: Extensions that cannot be used here.
    """

    folder: Path
    path: tuple[Path, ...]
    without: Mapping[str, str]


@dataclass(frozen=True)
class Trained:
    """A training in two processes that ended.

    Attributes:
        run: The run folder.
        result: What it printed for programs.
        ranks: What the recorder saw in each process.
    """

    run: Path
    result: dict[str, Any]
    ranks: list[dict[str, Any]]

    @property
    def row(self) -> dict[str, float]:
        """The one row of results.csv."""
        (row,) = rows(self.run / "results.csv")
        return {name: float(value) for name, value in row.items()}

    @property
    def record(self) -> dict[str, Any]:
        """What the checkpoint says of the run."""
        record: dict[str, Any] = self.checkpoint["trainer_host"]
        return record

    @property
    def checkpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(self.run / "weights" / "best.pt", weights_only=False)
        return found

    @property
    def images(self) -> list[str]:
        """The images that all processes trained on."""
        return [image for rank in self.ranks for image in rank["images"]]


def recorder(folder: Path) -> tuple[str, str]:
    """Write a plugin file that notes what each process sees, and return the words that switch it on."""
    (folder / "recorder.py").write_text(RECORDER.format(events=EVENTS, folder=folder), "utf-8")
    return "--plugin", "./recorder.py"


def trained(folder: Path, out: str, task: str) -> Trained:
    """Return a training that was started in a folder, after a look at what every one of them leaves."""
    result = Done(0, out, "").json
    run = Path(result["save_dir"])
    ranks = [json.loads((folder / f"seen-{rank}.json").read_text("utf-8")) for rank in (0, 1)]
    found = Trained(run, result, ranks)
    content = yaml.safe_load((run / "run.yaml").read_text("utf-8"))
    assert (content["task"], content["processes"], content["record"]["status"]) == (task, 2, "done")
    names = {path.name for path in run.iterdir()}
    assert {"args.yaml", "results.csv", "run.yaml", "weights"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert {path.name for path in (run / "weights").iterdir()} == {"best.pt", "last.pt"}
    assert found.row["epoch"] == 1
    assert [rank["place"] for rank in ranks] == [[0, 2], [1, 2]]
    assert ranks[0]["folder"] == str(run)
    assert not Path(ranks[1]["folder"]).exists(), "the folder of another process is removed"
    for what in ("weights", "rates"):
        assert ranks[0][what] == ranks[1][what], what
    assert set(ranks[0]["weights"]) == {"model", "ema"}
    first, second = (Counter(rank["events"]) for rank in ranks)
    parts = {event: (first.pop(event, 0), second.pop(event, 0)) for event in ("on_val_batch_start", "on_val_batch_end")}
    assert first == second
    assert all(count >= other for count, other in parts.values()), "each evaluates every other batch"
    return found


def shown_once(err: str, *words: str) -> None:
    """Require that the row of the epoch, and lines with some words, are shown once."""
    for text in ("1/1 ", *words):
        assert sum(text in line for line in err.splitlines()) == 1, (text, err)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("packages")
    site, library = folder / "site", folder / "library"
    for source in sorted(PACKAGES.iterdir()):
        copy_package(source, site)
    problem = install_albumentations(library)
    return Place(folder, (site, library), {"albumentations": problem} if problem else {})


# Extensions

MODEL = """
nc: 1
kpt_shape: [9, 3]
scales:
  n: [0.50, 0.25, 1024]
backbone:
  - [-1, 1, SPDConv, [64]] # 0-P1/2
  - [-1, 1, Conv, [128, 3, 2]] # 1-P2/4
  - [-1, 2, MoEConv, [128, 3]] # 2
  - [-1, 1, Conv, [256, 3, 2]] # 3-P3/8
head:
  - [[2, 3], 1, Pose, [nc, kpt_shape]] # 4
"""
OPTIONS = (
    *("focal-loss.gamma=30", "experts.gain=0.5", "plateau.patience=1", "pck.threshold=0.5", "layer-rates.factor=0.5"),
    *(f"oks-sigmas.sigmas={[0.05] * 8 + [0.2]}", "point-table.every=2", "every-keypoint.least=0.1"),
)


def point_table(folder: Path) -> None:
    """Write the pose sample as a table of points."""
    data = pose_dataset(folder / "figures", 2 * IMAGES)
    points = [f"point{number}" for number in range(9)]
    lines = ["image,part,x,y"]
    for image in sorted((data.parent / "images" / "train").iterdir()):
        image.rename(folder / image.name)
        label = (data.parent / "labels" / "train" / f"{image.stem}.txt").read_text().split("\n")[0].split()
        values = [64 * float(value) for value in label[5:]]
        xy = zip(values[::3], values[1::3], strict=True)
        lines += [f"{image.name},{part},{x},{y}" for part, (x, y) in zip(points, xy, strict=True)]
    (folder / "points.csv").write_text("\n".join([*lines, ""]), "utf-8")


@pytest.fixture(scope="module")
def together(place: Place) -> tuple[Trained, str]:
    """All extensions in one training of the launcher of the host, and what it said."""
    folder = place.folder / "together"
    folder.mkdir()
    point_table(folder)
    (folder / "tiny.yaml").write_text(textwrap.dedent(MODEL), "utf-8")
    plugins = [word for name in EXTENSIONS if name not in place.without for word in ("--plugin", name)]
    words = [*plugins, *recorder(folder), *OPTIONS, f"json-log.file={folder / 'log.jsonl'}", *SMALL, "batch=4", "mosaic=0"]
    words = ["run", "--processes", "2", "data=points.csv", "model=tiny.yaml", *words, "--json"]
    done = command(*words, cwd=folder, path=place.path)
    assert done.code == 0, done.err
    return trained(folder, done.out, "pose"), done.err


def test_all_extensions_train_together_in_two_processes(place: Place, together: tuple[Trained, str]) -> None:
    run, said = together
    shown_once(said, "Training pose with")
    recorded = [plugin["name"] for plugin in run.record["plugins"] if plugin["kind"] == "extension"]
    assert set(recorded) >= EXTENSIONS.keys() - place.without.keys() - {"popen"}
    assert 0 <= run.row["metrics/PCK"] <= 1
    assert run.row["train/cls_loss"] < 0.01, "a focal loss looks at nothing that is not entirely wrong"
    assert 0.5 <= run.row["train/balance_loss"] <= 1
    assert 0.5 <= run.row["val/balance_loss"] <= 1
    assert {"trainer-experts", "trainer-spd-conv"} <= set(run.record["needs"])
    assert run.record["data"]["kpt_oks_sigmas"] == [0.05] * 8 + [0.2]
    assert run.record["plugin_states"]["plateau"]["best"] >= 0


def test_a_logger_of_a_package_writes_each_line_once(together: tuple[Trained, str]) -> None:
    run, _ = together
    lines = (run.run.parents[2] / "log.jsonl").read_text("utf-8").splitlines()
    first, epoch, last = map(json.loads, lines)
    assert first["settings"]["imgsz"] == "64"
    assert (epoch["epoch"], last["epoch"]) == (1, None)
    assert epoch["values"]["metrics/PCK"] == pytest.approx(run.row["metrics/PCK"], abs=1e-4)
    (rates,) = (json.loads(line) for line in (run.run / "layer-rates.jsonl").read_text("utf-8").splitlines())
    assert rates["rates"] == run.ranks[1]["rates"]
    assert min(rates["rates"]) == pytest.approx(max(rates["rates"]) / 2)


def test_a_sampler_of_a_package_chooses_for_both(together: tuple[Trained, str]) -> None:
    run, _ = together
    assert len(run.images) == IMAGES
    assert max(Counter(run.images).values()) > 1, "it draws images more than once"
    assert all(len(rank["images"]) == IMAGES / 2 for rank in run.ranks)


def test_albumentations_is_among_them(place: Place) -> None:
    for problem in place.without.values():
        pytest.skip(problem)


def test_a_command_of_a_package_reads_the_run(place: Place, together: tuple[Trained, str]) -> None:
    run, _ = together
    assert set(COMMANDS) == {"summary"}
    done = command("summary", run.run, "--json", cwd=place.folder, path=place.path)
    assert (done.code, done.json["status"], done.json["epochs"]) == (0, "done", 1), done.err


# Tasks


def data_of(task: str, folder: Path) -> tuple[str, ...]:
    """Write a small dataset for a task; return the words that train on it."""
    from trainer_detect.sample import corner_row, draw_sample, outline_row

    if task in {"heatmap", "shard-heatmap"}:
        return ()  # their sample
    if task == "class-keypoints":
        from trainer_class_keypoints.sample import draw_sample as draw_figures

        data = draw_figures(folder / "data")
        keep_first(data.parent, IMAGES)
        return f"data={data}", "model=yolo11n-pose.yaml", "batch=4"
    if task in {"segment", "ported-segment", "obb"}:
        data = draw_sample(folder / "data", corner_row if task == "obb" else outline_row)
        keep_first(data.parent, IMAGES)
        return f"data={data}", f"model=yolo26n-{'obb' if task == 'obb' else 'seg'}.yaml", "batch=4"
    if task == "first-hooks":
        return f"data={detect_dataset(folder / 'data', IMAGES)}", "model=yolo11n.yaml", "batch=4"
    return f"data={pose_dataset(folder / 'data', IMAGES)}", "model=yolo11n-pose.yaml", "batch=4"


def heat(run: Trained) -> None:
    assert run.row["train/heat_loss"] > 0
    errors = {row["point"]: float(row["error"]) for row in rows(run.run / "points.csv")} if run.images == [] else {}
    for name, error in errors.items():
        assert error == pytest.approx(run.result["metrics"][f"metrics/error_{name}"], abs=1e-5)


def boxes_at_angles(run: Trained) -> None:
    assert "train/angle_loss" in run.row


def masks(run: Trained) -> None:
    assert {"train/seg_loss", "metrics/mAP50(M)"} <= run.row.keys()


def careful(run: Trained) -> None:
    assert run.row["metrics/careful"] >= 0.5
    halves = [rank["images"] for rank in run.ranks]
    wanted = sorted(run.images)  # its loader does not shuffle: two images for each, then one for each
    assert halves == [[wanted[i] for i in (0, 1, 4)], [wanted[i] for i in (2, 3, 5)]]


def sets_of_keypoints(run: Trained) -> None:
    assert run.checkpoint["model"].kpt_sets == {0: [0, 1, 2], 1: [3, 4, 5, 6]}


def hands(run: Trained) -> None:
    assert all(name.startswith("left ") for name in run.checkpoint["model"].kpt_names[0])


def all_hooks(run: Trained) -> None:
    assert run.row["metrics/first"] == IMAGES
    assert run.row["train/first_loss"] == 0
    assert run.record["plugin_states"]["first-hooks"] == {"number": 1}


CHECKS: Mapping[str, Callable[[Trained], None]] = {
    "careful-pose": careful,
    "class-keypoints": sets_of_keypoints,
    "first-hooks": all_hooks,
    "hand-pose": hands,
    "heatmap": heat,
    "obb": boxes_at_angles,
    "ported-segment": masks,
    "segment": masks,
    "shard-heatmap": heat,
}
MORE = {"hand-pose": ("hand-pose.side=left",)}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_in_two_processes(task: str, place: Place, tmp_path: Path, monkeypatch: Any) -> None:
    if task == "shard-heatmap":
        pytest.importorskip("webdataset")
    monkeypatch.syspath_prepend(place.path[0])
    words = ["run", "--task", task, *data_of(task, tmp_path), *MORE.get(task, ()), *SMALL, *recorder(tmp_path)]
    first, second = warm_ranks(*words, "--json", cwd=tmp_path, path=place.path)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert second.out == ""
    run = trained(tmp_path, first.out, task)
    shown_once(first.err, f"Training {task}")
    assert "1/1 " not in second.err
    assert len(run.images) == len(set(run.images))
    assert len(run.images) == {"heatmap": 0, "shard-heatmap": 64}.get(task, IMAGES)
    CHECKS[task](run)
