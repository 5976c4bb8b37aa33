"""Each example package in a run of two processes: what it adds is there once, and all processes have the same weights.

The packages, and what each brings, are read from their folder. All extensions are switched on together in one training,
and each task has one of its own.
"""

from __future__ import annotations

import functools
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.conftest import PACKAGES, rows
from tests.ranks.packages import EVENTS, Place, Trained, recorder, shown_once, trained
from tests.support.command import command
from tests.support.installed_library import install_albumentations
from tests.support.sample_datasets import detect_dataset, keep_first, pose_dataset
from tests.support.warm_processes import warm_ranks
from tests.support.written_package import project_of

pytestmark = pytest.mark.train

IMAGES = 6
SMALL = ("epochs=1", "imgsz=64", "workers=0", "warmup_epochs=0")


def entries(group: str) -> dict[str, str]:
    """Return what the packages bring for an entry point group: the package of each name."""
    found = {source.name: project_of(source)["entry-points"].get(group, {}) for source in sorted(PACKAGES.iterdir())}
    return {name: package for package, names in found.items() for name in names}


TASKS, EXTENSIONS = entries("trainer_host.tasks"), entries("trainer_host.plugins")
COMMANDS = entries("trainer_host.commands")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place.in_folder(tmp_path_factory.mktemp("packages"))
    library = place.folder / "library"
    problem = install_albumentations(library)
    return replace(place, path=(*place.path, library), without={"albumentations": problem} if problem else {})


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
    (folder / "points.csv").write_text(
        "\n".join([*lines, ""]), "utf-8"
    )  # half of it to evaluate: one batch, for one rank


@pytest.fixture(scope="module")
def together(place: Place) -> tuple[Trained, str]:
    """All extensions in one training of the launcher of the host, and what it said."""
    folder = place.folder / "together"
    folder.mkdir()
    point_table(folder)
    (folder / "tiny.yaml").write_text(textwrap.dedent(MODEL), "utf-8")
    plugins = [word for name in EXTENSIONS if name not in place.without for word in ("--plugin", name)]
    words = [
        *plugins,
        *recorder(folder),
        *OPTIONS,
        f"json-log.file={folder / 'log.jsonl'}",
        *SMALL,
        "batch=4",
        "mosaic=0",
    ]
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
        return f"data={detect_dataset(folder / 'data', IMAGES)}", "model=yolo11n.yaml", "batch=2"
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
MORE = {"hand-pose": ("hand-pose.side=left",), "first-hooks": ("--keep-state",)}


@pytest.fixture(scope="module")
def train(place: Place) -> Callable[[str], Trained]:
    """Train a task in two processes that something else has started, once."""

    @functools.cache
    def train(task: str) -> Trained:
        folder = place.folder / task
        folder.mkdir()
        words = ["run", "--task", task, *data_of(task, folder), *MORE.get(task, ()), *SMALL, *recorder(folder)]
        first, second = warm_ranks(*words, "--json", cwd=folder, path=place.path)
        assert (first.code, second.code) == (0, 0), first.err + second.err
        assert second.out == ""
        shown_once(first.err, f"Training {task}")
        assert "1/1 " not in second.err
        return trained(folder, first.out, task)

    return train


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_in_two_processes(
    task: str, place: Place, train: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    if task == "shard-heatmap":
        pytest.importorskip("webdataset")
    monkeypatch.syspath_prepend(place.path[0])  # of the functions that draw samples
    run = train(task)
    assert len(run.images) == len(set(run.images))
    assert len(run.images) == {"heatmap": 0, "shard-heatmap": 64}.get(task, IMAGES)
    CHECKS[task](run)


# What is called where

DOCUMENTED = Path(__file__).parents[2] / "docs" / "how-to" / "several-devices.md"


def hooks_of_the_first() -> set[str]:
    """Return the hooks and callbacks that are called on rank 0 only, according to the documentation."""
    (line,) = (line for line in DOCUMENTED.read_text("utf-8").splitlines() if line.endswith("| called | not called |"))
    return set(re.findall("`([a-z_]+)`", line))


def test_hooks_and_callbacks_are_called_on_the_ranks_that_the_documentation_says(
    place: Place, train: Callable[[str], Trained]
) -> None:
    run = train("first-hooks")
    folder = run.run.parents[2]
    first, second = run.ranks
    assert hooks_of_the_first() == set(first["hooks"]) - set(second["hooks"])
    assert set(second["hooks"]) < set(first["hooks"])
    assert set(first["events"]) == set(EVENTS)
    words = ["resume", run.run, "epochs=2", *recorder(folder), "--json"]
    for done in warm_ranks(*words, cwd=folder, path=place.path):
        assert done.code == 0, done.err
    for rank in (0, 1):
        called = json.loads((folder / f"seen-{rank}.json").read_text("utf-8"))["hooks"]
        assert "load_state_dict" in called
