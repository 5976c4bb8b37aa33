"""The command: its help, its exit codes, and what it says when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import Done, command
from tests.support.sample_datasets import pose_dataset
from tests.support.written_package import write_package
from trainer_host.version import __version__

Trainer = Callable[..., Done]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("dataset"), images=2)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.sprung), "w")


@pytest.fixture
def files(data: Path, tmp_path: Path, engine: None) -> Path:
    """Fill the working folder with files that have something wrong with them."""
    import torch

    images = {"path": str(data.parent), "train": "images/train", "val": "images/val", "names": {0: "figure"}}
    missing = {"train": "images/nowhere", "val": "images/val", "kpt_shape": [9, 3], "names": {0: "figure"}}
    sprung = tmp_path / "sprung"
    contents: dict[str, Any] = {
        "plain.yaml": images,
        "shape.yaml": {**images, "kpt_shape": [9, 4]},
        "missing.yaml": missing,
        "download.yaml": {**missing, "download": f"import os\nopen({str(sprung)!r}, 'w')\n"},
        "shell.yaml": {**missing, "download": f"bash touch {sprung}"},
        "list.yaml": ["train"],
        "empty.yaml": None,
        "nothing.yaml": {},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text("" if content is None else yaml.safe_dump(content))
    (tmp_path / "syntax.yaml").write_text("train: images\nval: [a, b\nnames: {0: x}\n")
    (tmp_path / "latin.yaml").write_bytes("names: {0: caf\xe9}\n".encode("latin-1"))
    (tmp_path / "date.yaml").write_text("train: 2020-99-99\n")
    torch.save({"model": Trap(sprung)}, tmp_path / "trap.pt")
    torch.save({"model": Trap(sprung)}, tmp_path / "old-trap.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 1}, tmp_path / "no-model.pt")
    (tmp_path / "damaged.pt").write_bytes(b"this is no checkpoint")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "trap.pt").read_bytes()[:200])
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.pt").mkdir()
    return tmp_path


def refused(done: Done, code: int, *said: str, problems: int = 1) -> None:
    """Check an expected error: its exit code, one line for each problem, no traceback."""
    assert done.code == code, done.err
    assert len(done.problems) == problems, done.err
    for text in said:
        assert text in done.err
    assert "Traceback" not in done.err
    assert not CONTROL.search(done.err)
    assert done.out == ""


# Help


def test_the_help_lists_the_commands(trainer: Trainer) -> None:
    done = trainer("--help")
    assert (done.code, done.err) == (0, "")
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", done.out, re.MULTILINE)
    assert {"run", "val", "predict", "plugins"} <= set(listed)
    for name in listed:
        help_of_it = trainer(name, "--help")
        assert help_of_it.code == 0
        assert f"Usage: trainer {name}" in help_of_it.out
    assert trainer("-h").out == done.out


def test_without_words_the_help_is_shown(trainer: Trainer) -> None:
    done = trainer()
    assert "Commands:" in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "pose"], "'pose' is not a setting. Fix: write --task pose"),
        (["run", "train"], "'train' is not a setting. Fix: remove it"),
        (["val", "detect", "model=best.pt"], "'detect' is not a setting. Fix: write --task detect"),
        (["predict", "train"], "'train' is not a setting. Fix: remove it, or write trainer run"),
        (["check", "pose", "my.yaml"], "'pose' is not a setting. Fix: write --task pose"),
    ],
)
def test_names_of_tasks_and_commands_as_settings(trainer: Trainer, words: list[str], said: str) -> None:
    done = trainer(*words)
    assert (done.code, done.problems) == (3, [said])


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(trainer: Trainer, option: str) -> None:
    assert trainer(option) == Done(0, f"trainer {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rum"], "unknown command 'rum'. Did you mean 'run'?"),
        (["xyzzy"], "unknown command 'xyzzy'. Commands: run, resume, val, predict"),
        (["best.pt"], "unknown command 'best.pt'. Commands: run, resume, val, predict"),
        (["train", "data=x.yaml", "epochs=3"], "unknown command 'train'. Fix: trainer run data=x.yaml epochs=3"),
        (["pose", "train", "data=x.yaml"], "unknown command 'pose'. Fix: trainer run --task pose data=x.yaml"),
        (["train", "pose"], "unknown command 'train'. Fix: trainer run --task pose"),
        (["yolo", "detect", "predict", "source=a b"], "Fix: trainer predict --task detect 'source=a b'"),
        (["segment", "val"], "unknown command 'segment'. Fix: trainer val --task segment"),
        (["pose"], "unknown command 'pose'. Fix: trainer run --task pose"),
        (["data=my.yaml"], "unknown command 'data=my.yaml'. Fix: trainer run data=my.yaml"),
        (["my.yaml", "epochs=3"], "unknown command 'my.yaml'. Fix: trainer run data=my.yaml epochs=3"),
        (["help"], "unknown command 'help'. Fix: trainer --help"),
        (["export", "model=best.pt"], "It is not supported; use the engine's own command: yolo export model=best.pt"),
        (["run", "--epoch", "3"], "--epoch"),
        (["run", "a.yaml", "b.yml"], "only one settings file can be given, not a.yaml, b.yml."),
        (["plugins", "shw"], "shw"),
        (["predict", "--output"], "--output"),
    ],
)
def test_usage_errors(trainer: Trainer, words: list[str], said: str) -> None:
    done = trainer(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_usage_error_as_json(trainer: Trainer) -> None:
    done = trainer("run", "a.yaml", "b.yml", "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    assert done.json["status"] == "error"
    assert done.json["retryable"] is False
    assert "only one settings file" in done.json["problems"][0]["message"]


def test_as_a_command_of_its_own(tmp_path: Path) -> None:
    assert command("--version", cwd=tmp_path).out == f"trainer {__version__}\n"
    assert command("rum", cwd=tmp_path).code == 2
    done = command("run", "--task", "posee", cwd=tmp_path)
    refused(done, 5, "trainer-posee")


# Settings

FINE = ("--task", "pose", "model=yolo11n-pose.yaml")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--task", "posee"], 5, ["unknown task 'posee'. Did you mean 'pose'?", "trainer-posee"]),
        (["--task", "juggling"], 5, ["unknown task 'juggling'.", "its package is trainer-juggling"]),
        ([*FINE, "epoch=3"], 3, ["unknown setting 'epoch'. Did you mean 'epochs'?"]),
        ([*FINE, "epochs=three"], 3, ["epochs=three"]),
        ([*FINE, "pose.gain=3"], 3, ["unknown option of plugin 'pose': 'gain'."]),
        ([*FINE, "cbam.gain=3"], 3, ["'cbam'", "not part of this run", "--plugin cbam"]),
        ([*FINE, "epochs"], 3, ["'epochs' is not a setting. Fix: write key=value"]),
        ([*FINE, "epochs="], 3, ["epochs= has no value."]),
        ([*FINE, "device=0,1"], 3, ["device=0,1: CUDA finds no GPU. Fix: remove it, or write device=cpu"]),
        ([*FINE, "device=[0,1]"], 3, ["device=0,1: CUDA finds no GPU."]),
        ([*FINE, "sync_bn=True"], 3, ["Batch norms are synchronized where the device can"]),
        ([*FINE, "resume=True"], 3, ["no run to resume in runs/pose. Fix: give the run's folder: resume=DIR"]),
        ([*FINE, "name=../x"], 3, ["name=../x is not a valid folder name"]),
        ([*FINE, "name=a/b"], 3, ["name=a/b is not a valid folder name"]),
        ([*FINE, "name=a/"], 3, ["name=a/ is not a valid folder name. Fix: write name=a"]),
        ([*FINE, "project=~no-such-user"], 3, ["unknown user 'no-such-user'", "write project=~/runs"]),
        ([*FINE, "best.pt"], 3, ["'best.pt' is not a setting. Fix: write model=best.pt"]),
        (["resume=runs/last.pt"], 3, ["run runs/last.pt not found. Fix: give the folder of a run"]),
        (["cfg=exp.yaml"], 3, ["Fix: name the settings file itself: trainer run exp.yaml"]),
        ([*FINE, "batch=auto"], 3, ["batch=auto is not valid. Fix: write a number of images such as batch=16"]),
        ([*FINE, "lr0=fast"], 3, ["lr0=fast is not valid. Fix: write a number, such as lr0=0.01"]),
        ([*FINE, "time=-1"], 3, ["time=-1 is not valid. Fix: write hours, such as time=1.5"]),
        ([*FINE, "scale=['a','b']"], 3, ["scale=['a', 'b'] is not valid. Fix: write the smallest"]),
        ([*FINE, "pretrained=yolo11n.yaml"], 3, ["write pretrained=FILE.pt"]),
        (["--task", "pose", "model=folder.pt"], 3, ["model=folder.pt is a folder."]),
        ([*FINE, "name=.."], 3, ["name=.. is not a valid folder name"]),
        ([*FINE, "optimizer=Addam"], 3, ["optimizer", "Adam"]),
        ([*FINE, "batch=0"], 3, ["batch=0"]),
        ([*FINE, "imgsz=big"], 3, ["imgsz=big"]),
        ([*FINE, "--plugin", "cbam"], 5, ["unknown extension 'cbam'"]),
        ([*FINE, "--plugin", "./none.py"], 5, ["plugin file", "none.py not found"]),
        ([*FINE, "--no-plugin", "pose"], 5, ["'pose'", "switched off", "--no-plugin"]),
        ([*FINE, "--no-plugin", "detect"], 5, ["'detect'", "switched off"]),
        (["none.yaml"], 3, ["settings file none.yaml not found"]),
        (["syntax.yaml"], 3, ["syntax.yaml:2: YAML syntax"]),
        (["list.yaml"], 3, ["list.yaml: the settings file is not a mapping"]),
        (["plain.yaml"], 3, ["this is a dataset", "data=plain.yaml"]),
    ],
)
def test_settings_that_are_wrong(
    trainer: Trainer, files: Path, data: Path, words: list[str], code: int, said: list[str]
) -> None:
    refused(trainer("run", f"data={data}", *words), code, *said)


CHECKPOINTS = [
    ("none.pt", 3, "not found"),
    ("damaged.pt", 3, "damaged.pt: cannot read the checkpoint: it is not a checkpoint, or the file is corrupted."),
    ("cut.pt", 3, "cut.pt: cannot read the checkpoint: the file is corrupted."),
    ("no-model.pt", 3, "no-model.pt: cannot read the checkpoint: it contains no model."),
    ("trap.pt", 6, "trap.pt: refused: loading it in full could execute arbitrary code"),
    ("old-trap.pt", 3, "old-trap.pt: cannot read the checkpoint: it has the format of torch before 1.6"),
]


@pytest.mark.parametrize(("file", "code", "said"), CHECKPOINTS)
@pytest.mark.parametrize("start", ["model=", "model=yolo11n-pose.yaml pretrained="])
def test_checkpoints_that_are_wrong(
    trainer: Trainer, files: Path, data: Path, start: str, file: str, code: int, said: str
) -> None:
    done = trainer("run", "--task", "pose", f"data={data}", *f"{start}{file}".split(), "imgsz=32")
    refused(done, code, file, said)
    assert not (files / "sprung").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("none.yaml", "model none.yaml not found"),
        ("nothing.yaml", "nothing.yaml: the architecture has no backbone"),
        ("plain.yaml", "model=plain.yaml is a dataset YAML"),
        ("5", "model 5"),
        ("yolo11n-pse", "model yolo11n-pse"),
        ("syntax.yaml", "syntax.yaml"),
        ("list.yaml", "list.yaml"),
    ],
)
def test_architectures_that_are_wrong(trainer: Trainer, files: Path, data: Path, model: str, said: str) -> None:
    refused(trainer("run", "--task", "pose", f"data={data}", f"model={model}", "imgsz=32"), 3, said)


@pytest.mark.parametrize("word", ["run", "val", "predict"])
@pytest.mark.parametrize(("model", "code"), [("trap.pt", 6), ("old-trap.pt", 3), ("damaged.pt", 3), ("none.pt", 3)])
def test_no_command_runs_what_a_model_brings(
    trainer: Trainer, files: Path, data: Path, word: str, model: str, code: int
) -> None:
    more = ["source=."] if word == "predict" else [f"data={data}"]
    refused(trainer(word, f"model={model}", *more), code, model)
    assert not (files / "sprung").exists()


@pytest.mark.parametrize(
    ("task", "model", "head"),
    [
        *[
            ("pose", model, head)
            for model, head in (
                ("rtdetr-l.yaml", "RTDETRDecoder"),
                ("yolov8s-world.yaml", "WorldDetect"),
                ("yoloe-11s.yaml", "YOLOEDetect"),
                ("yolo11n-seg.yaml", "Segment"),
                ("yolo11n.yaml", "Detect"),
            )
        ],
        ("detect", "rtdetr-l.yaml", "RTDETRDecoder"),
        ("detect", "yolo11n-pose.yaml", "Pose"),
        ("detect", "yolo11n-obb.yaml", "OBB"),
    ],
)
def test_models_of_another_family(trainer: Trainer, data: Path, task: str, model: str, head: str) -> None:
    done = trainer("run", "--task", task, f"data={data}", f"model={model}", "imgsz=32")
    refused(done, 3, f"task {task!r} cannot train", model, f"its head is {head}")


def test_all_problems_are_reported_together(trainer: Trainer, data: Path) -> None:
    wrong = ["epoch=3", "imgsx=64", "epochs=abc", "device=0,1", "pose.x=1", "pose.y=1", "cfg=x.yaml"]
    done = trainer("run", *FINE, f"data={data}", *wrong)
    refused(done, 3, problems=7)
    for text in ("'epoch'", "'imgsx'", "epochs=abc", "device=0,1", "'x'", "'y'", "cfg="):
        assert any(text in problem for problem in done.problems)


def test_problems_of_a_settings_file_name_the_line(trainer: Trainer, tmp_path: Path, data: Path) -> None:
    (tmp_path / "exp.yaml").write_text(f"task: pose\ndata: {data}\nepoch: 3\n")
    refused(trainer("run", "exp.yaml", "model=yolo11n-pose.yaml"), 3, "exp.yaml:3: unknown setting 'epoch'")


# Datasets


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none.yaml", ["dataset none.yaml not found", "data=my.yaml"]),
        ("syntax.yaml", ["syntax.yaml:2: YAML syntax"]),
        ("latin.yaml", ["latin.yaml:1: the file is not UTF-8 text"]),
        ("date.yaml", ["date.yaml:1: YAML value"]),
        ("empty.yaml", ["empty.yaml:1: the file is empty"]),
        ("list.yaml", ["list.yaml:1: the file is a list"]),
        ("nothing.yaml", ["nothing.yaml"]),
        ("file", ["file"]),
        ("plain.yaml", ["plain.yaml", "'kpt_shape' is missing", "write kpt_shape: [9, 3]"]),
        ("shape.yaml", ["shape.yaml", "[9, 4]", "write kpt_shape: [9, 3]"]),
        ("missing.yaml", ["missing.yaml:", "train: no images found at", "nowhere"]),
        ("download.yaml", ["download.yaml:", "no images found at", "never run"]),
        ("shell.yaml", ["shell.yaml:", "no images found at", "never run"]),
    ],
)
def test_datasets_that_are_wrong(trainer: Trainer, files: Path, source: str, said: list[str]) -> None:
    done = trainer("run", *FINE, f"data={source}", "imgsz=32")
    refused(done, 4, *said, problems=len(done.problems))
    assert not (files / "sprung").exists()


def test_a_dataset_on_a_server_is_not_fetched_offline(trainer: Trainer) -> None:
    refused(trainer("run", *FINE, "data=https://example.invalid/data.zip", "--offline"), 6, "offline")


@pytest.mark.parametrize("project", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(trainer: Trainer, files: Path, data: Path, project: str) -> None:
    done = trainer("run", *FINE, f"data={data}", f"project={files / project}", "--json")
    assert (done.code, done.json["exit_code"], done.json["retryable"]) == (9, 9, True)
    assert "project=DIR" in done.problems[0]
    refused(trainer("run", *FINE, f"data={data}", "save_dir=file"), 9, "folder is a file")


def test_nothing_is_left_of_a_run_with_wrong_settings(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    trainer("run", *FINE, f"data={data}", "epoch=3")
    trainer("run", *FINE, f"data={data}", "name=../x")
    assert list(tmp_path.iterdir()) == []


# JSON


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        ([*FINE, "data=none.yaml"], 4, "DatasetError"),
        ([*FINE, "data=plain.yaml"], 4, "DatasetKeyError"),
        ([*FINE, "epoch=3", "imgsx=2"], 3, "SettingsError"),
        (["--task", "none-such"], 5, "PluginError"),
        (["model=trap.pt"], 6, "UnsafeError"),
        (["a=1", "b"], 3, "SettingsError"),
    ],
)
def test_an_error_as_json_is_one_object(trainer: Trainer, files: Path, words: list[str], code: int, kind: str) -> None:
    done = trainer("run", *words, "--json")
    reported = done.json
    assert (reported["status"], reported["error"], reported["exit_code"], reported["retryable"]) == (
        "error",
        kind,
        code,
        False,
    )
    assert done.code == code
    assert len(reported["problems"]) == len(done.problems) >= 1
    for problem, line in zip(reported["problems"], done.problems, strict=True):
        assert set(problem) == {"message", "fix", "hint", "where"}
        assert problem["message"] in line


def test_json_stands_alone_on_standard_output(tmp_path: Path, data: Path) -> None:
    # A folder without the engine's settings makes it greet its user when it is imported.
    words = ("run", f"data={data}", "model=yolo11n-pose.yaml", "--dry-run", "--json")
    done = command(*words, cwd=tmp_path, YOLO_CONFIG_DIR=str(tmp_path / "config"))
    assert done.code == 0, done.err
    assert done.json["task"] == "pose"


def test_what_a_model_lacks_is_refused_before_the_dataset_is_read(trainer: Trainer) -> None:
    Path("data.yaml").write_text("train: gone\nval: gone\nnames: {0: a}\nkpt_shape: [3, 3]\n")
    refused(trainer("run", *FINE, "data=data.yaml", "freeze=99"), 3, "freeze=99 leaves nothing to train", "0 to 23")
    refused(trainer("run", *FINE[:2], "data=data.yaml", "model=none.yaml"), 3, "model none.yaml not found")


# What a run would do


@pytest.mark.parametrize(
    "words",
    [
        [
            "lr0=1e-3",
            "optimizer=AdamW",
            "name=007",
            "project=1e3",
            "classes=0,1",
            "cache=none",
            "imgsz=64",
            "amp=false",
        ],
        ["--plugin", "rates", "rates.gain=0.5", "rates.kind='5'", "epochs=3"],
        ["--plugin", "./mine.py", "mine.rate=2"],
        [],
    ],
)
def test_the_dry_run_is_a_settings_file_for_the_same_run(
    trainer: Trainer, installed: Callable[..., Path], tmp_path: Path, data: Path, words: list[str]
) -> None:
    code = (
        "from dataclasses import dataclass\nfrom trainer_host import ExtensionSpec, hookimpl\n"
        "@dataclass\nclass Options:\n    {}\n"
        "class Hooks:\n    @hookimpl\n    def log_metrics(self, ctx):\n        pass\n"
        "SPEC = ExtensionSpec(hooks=Hooks(), options=Options)\n"
    )
    rates = code.format("gain: float = 1.0\n    kind: str = 'x'")
    installed("trainer-rates", extensions={"rates": "rates_module:SPEC"}, modules={"rates_module": rates})
    (tmp_path / "mine.py").write_text(code.format("rate: int = 1"))
    first = trainer("run", f"data={data}", "model=yolo11n-pose.yaml", *words, "--dry-run")
    assert first.code == 0, first.err
    assert yaml.safe_load(first.out)["task"] == "pose"
    (tmp_path / "exp.yaml").write_text(first.out)
    files = ["--plugin", "./mine.py"] if "./mine.py" in words else []  # which a settings file alone cannot run
    again = trainer("run", "exp.yaml", *files, "--dry-run")
    assert (again.code, again.out) == (0, first.out)
    as_json = trainer("run", "exp.yaml", *files, "--dry-run", "--json")
    assert as_json.json == yaml.safe_load(first.out)
    assert [f.name for f in tmp_path.iterdir() if f.name == "runs"] == []


def test_the_command_goes_before_the_file_and_the_environment_below_it(
    trainer: Trainer, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exp.yaml").write_text(f"task: pose\ndata: {data}\nmodel: yolo11n-pose.yaml\nepochs: 3\nimgsz: 64\n")
    shown = yaml.safe_load(trainer("run", "exp.yaml", "epochs=5", "--dry-run").out)
    assert (shown["epochs"], shown["imgsz"], shown["task"]) == (5, 64, "pose")
    monkeypatch.setenv("TRAINER_TASK", "detect")
    assert yaml.safe_load(trainer("run", f"data={data}", "model=yolo11n.yaml", "--dry-run").out)["task"] == "detect"
    assert trainer("run", "--task", "pose", f"data={data}", *FINE[2:], "--dry-run").out.startswith("task: pose\n")


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (
            ["lr0=0.1"],
            "lr0=0.1 has no effect: optimizer=auto chooses its own. Fix: write optimizer=SGD",
        ),
        (["lr0=0.1", "momentum=0.8"], "lr0=0.1 and momentum=0.8 have no effect"),
        (["lr0=0.001", "momentum=0.8"], "Fix: write optimizer=AdamW"),
        (
            ["lr0=0.001", "warmup_momentum=0.5"],
            "lr0=0.001 has no effect: optimizer=auto chooses its own. Fix: write optimizer=SGD",
        ),
        (["lr0=0.1", "optimizer=auto"], "lr0=0.1 has no effect"),
        (["lr0=0.01"], "lr0=0.01 has no effect"),
        (["lr0=0.1", "optimizer=SGD"], None),
        (["epochs=3"], None),
    ],
)
def test_a_learning_rate_that_has_no_effect_is_reported(
    trainer: Trainer, data: Path, words: list[str], warned: str | None
) -> None:
    done = trainer("run", *FINE, f"data={data}", *words, "--dry-run")
    warnings = [line for line in done.err.splitlines() if line.startswith("Warning: ")]
    assert done.code == 0
    assert [warned in line for line in warnings] == ([True] if warned else [])
    for line in warnings:
        fix = line.rpartition("Fix: write ")[2]
        again = trainer("run", *FINE, f"data={data}", *(w for w in words if w != "optimizer=auto"), fix, "--dry-run")
        assert (again.code, "Warning: " in again.err) == (0, False), again.err


def test_a_file_with_all_settings_of_another_run_stays_usable(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    (tmp_path / "exp.yaml").write_text("task: pose\nmodel: yolo11n-pose.yaml\nlr0: 0.01\nmomentum: 0.937\n")
    assert "Warning: " not in trainer("run", "exp.yaml", f"data={data}", "--dry-run").err


def test_the_task_is_inferred_from_the_model(trainer: Trainer, data: Path) -> None:
    done = trainer("run", f"data={data}", "model=yolo11n.yaml", "--dry-run")
    assert done.out.startswith("task: detect\n")
    assert "Task: detect (inferred from the model yolo11n.yaml)" in done.err


def test_the_task_is_inferred_from_the_dataset(trainer: Trainer, files: Path, data: Path) -> None:
    done = trainer("run", f"data={data}", "model=rtdetr-l.yaml", "--dry-run")
    assert done.out.startswith("task: pose\n")
    assert f"Task: pose (inferred from the dataset {data})" in done.err
    assert trainer("run", "data=plain.yaml", "model=rtdetr-l.yaml", "--dry-run").out.startswith("task: detect\n")


def test_nothing_tells_the_task(trainer: Trainer, files: Path) -> None:
    refused(trainer("run"), 3, "no task given", "--task NAME")
    refused(
        trainer("run", "data=nothing.yaml"), 3, "cannot infer the task from the model or the dataset", "--task NAME"
    )
    refused(trainer("run", "model=yolo11n-seg.yaml"), 5, "'segment'", "not installed")
    refused(trainer("run", "model=syntax.yaml"), 3, "cannot infer the task from the model or the dataset")


def test_weights_are_not_fetched_offline(trainer: Trainer, data: Path) -> None:
    done = trainer("run", f"data={data}", "--offline")
    refused(done, 6, "yolo26n-pose.pt", "offline", "model=yolo26n-pose.yaml")
    done = trainer("run", f"data={data}", "model=yolo11n-pose", "--offline")
    assert "Task: pose (inferred from the model yolo11n-pose)" in done.err
    refused(done, 6, "the weights yolo11n-pose.pt would have to be fetched, but the run is offline")


def test_a_broken_plugin_is_in_nobodys_way(trainer: Trainer, installed: Callable[..., Path], data: Path) -> None:
    installed(
        "bad", tasks={"bad": "bad_module:T"}, extensions={"worse": "bad_module:E"}, modules={"bad_module": "1 / 0"}
    )
    done = trainer("run", f"data={data}", "model=rtdetr-l.yaml", "--dry-run")
    assert (done.code, done.out.splitlines()[0]) == (0, "task: pose")
    refused(trainer("run", *FINE, f"data={data}", "--plugin", "worse"), 5, "bad 1.0", "ZeroDivisionError")


# Finished models


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["val"], ["no model given. Fix: write model=best.pt"]),
        (["val", "model=yolo11n.yaml"], ["yolo11n.yaml is not a .pt file."]),
        (["val", "model=damaged.pt", "imgzs=3"], ["unknown setting 'imgzs'. Did you mean 'imgsz'?"]),
        (["predict", "model=damaged.pt"], ["no source given."]),
        (["predict", "model=damaged.pt", "source=nowhere"], ["file or folder nowhere not found."]),
        (["predict", "model=damaged.pt", "source=file", "--output", "x.txt"], ["x.txt is neither .json nor .csv."]),
    ],
)
def test_finished_models_with_wrong_settings(trainer: Trainer, files: Path, words: list[str], said: list[str]) -> None:
    refused(trainer(*words), 3, *said)
    assert not (files / "runs").exists()


def test_a_run_folder_in_place_of_its_checkpoint(trainer: Trainer, files: Path) -> None:
    (files / "train" / "weights").mkdir(parents=True)
    (files / "train" / "weights" / "best.pt").touch()
    refused(trainer("val", "model=train"), 3, "train is a folder. Fix: write model=train/weights/best.pt")


@pytest.mark.parametrize("number", ["0", "x", "-1", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setenv("TRAINER_THREADS", number)
    refused(trainer("run", *FINE, "--dry-run"), 3, f"TRAINER_THREADS={number} is not a number of threads.")


def test_values_of_numpy_and_torch_are_those_of_python() -> None:
    import numpy as np
    import torch

    from trainer_host.base.plain_setting import plain_setting

    given = [np.int64(3), np.float32(0.5), np.array([1, 2]), torch.tensor(2), torch.device("cpu"), {2, 1}, range(2)]
    assert [plain_setting("imgsz", value) for value in given] == [3, 0.5, [1, 2], 2, "cpu", [1, 2], [0, 1]]
    assert all(type(plain_setting("imgsz", value)).__module__ == "builtins" for value in given)


@pytest.mark.parametrize("wrong", [{"task": 3}, {"best_metric": 3}, {"bad": 0.1}])
def test_what_is_not_text_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        trainer_host.SettingsError, match=r"=\d\S* is not (a name|valid)\. Fix: write (task|best_metric|bad)='"
    ):
        trainer_host.run(**{"task": "pose", **wrong})


def test_a_single_plugin_may_be_given_as_text() -> None:
    with pytest.raises(trainer_host.PluginError, match="unknown extension 'cbam'"):
        trainer_host.run("pose", model="yolo11n-pose.yaml", plugins="cbam")


def test_a_checkpoint_that_is_missing_is_not_to_be_trained(trainer: Trainer) -> None:
    done = trainer("val", "model=none.pt")
    refused(done, 3, "none.pt")
    assert "scratch" not in done.err


GHOST = {
    "nc": 1,
    "kpt_shape": [17, 3],
    "backbone": [[-1, 1, "Ghost", [16]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[0, 1], 1, "Pose", ["nc", "kpt_shape"]]],
}


def test_a_model_with_layers_of_a_plugin_file_names_the_file(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    import torch

    from trainer_host.engine.ultralytics.checkpoints import make_record
    from trainer_host.plugin.registry import Registry

    file = tmp_path / "ghost.py"
    file.write_text("from trainer_host import hookimpl\n@hookimpl\ndef log_metrics(ctx):\n    pass\n")
    record = make_record(
        Registry.installed().chain("pose", [str(file)]), {"nc": 1, "names": {0: "figure"}, "kpt_shape": [17, 3]}
    )
    record |= {"state_dict": {}, "cfg": GHOST, "needs": [str(file)]}
    torch.save({"model": torch.nn.Identity(), "trainer_host": record, "train_args": {"imgsz": 64}}, tmp_path / "own.pt")
    done = trainer("val", "model=own.pt", f"data={data}")
    said = f"own.pt: cannot build the model: unknown layer 'Ghost'. Fix: give it: --plugin {file}"
    assert (done.code, done.problems) == (5, [said])
    assert "continuing without it" not in done.err


# Bugs


def failing(tmp_path: Path, data: Path, function: str) -> Done:
    """Return a run with an extension in a file, whose callback fails."""
    code = (
        "from operator import attrgetter\n"
        "from trainer_host import hookimpl\n"
        "def fail(trainer):\n    raise ZeroDivisionError('on purpose')\n"
        f"@hookimpl\ndef callbacks(ctx):\n    return {{'on_pretrain_routine_start': {function}}}\n"
    )
    (tmp_path / "bug.py").write_text(code)
    done = command("run", *FINE, f"data={data}", "--json", "--plugin", "./bug.py", cwd=tmp_path)
    record = yaml.safe_load((tmp_path / "runs" / "pose" / "train" / "run.yaml").read_text())["record"]
    assert record["status"] == "failed"
    return done


def test_an_unexpected_error_keeps_its_traceback(tmp_path: Path, data: Path) -> None:
    done = failing(tmp_path, data, "attrgetter('nothing')")  # which has no code of the plugin's
    assert done.code == 1
    assert "Traceback" in done.err
    assert "run_callbacks" in done.err


def test_an_error_in_a_plugins_code_names_it(tmp_path: Path, data: Path) -> None:
    done = failing(tmp_path, data, "fail")
    file = tmp_path / "bug.py"
    assert done.code == 5
    said = (
        f"extension 'bug' from {file} failed in its function fail: ZeroDivisionError: on purpose. Fix: correct the file"
    )
    assert done.problems == [said]
    trace = done.err.splitlines()
    start = trace.index("Traceback (most recent call last):")
    assert trace[start + 1] == f'  File "{file}", line 4, in fail'
    reported = {k: done.json[k] for k in ("error", "exit_code", "plugin", "distribution", "hook", "retryable")}
    assert reported == {
        "error": "PluginCrashError",
        "exit_code": 5,
        "plugin": "bug",
        "distribution": str(file),
        "hook": None,
        "retryable": False,
    }


def test_a_plugin_of_another_package_is_offered_by_completion(tmp_path: Path) -> None:
    write_package(tmp_path, "trainer-hand", tasks={"hand": "hand:T"})
    variables = {"_TRAINER_HOST_COMPLETE": "bash_complete", "_TRAINER_COMPLETE": "bash_complete"}
    done = command(cwd=tmp_path, path=[tmp_path], COMP_WORDS="trainer run --task h", COMP_CWORD="3", **variables)
    assert "hand" in done.out


def test_a_task_brings_settings_that_suit_it(trainer: Trainer, data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    task = "from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object(), base='pose', settings={})\n"
    modules = {"small": task.format({"imgsz": 96, "epochs": 7}), "wrong": task.format({"imgz": 96})}
    write_package(
        tmp_path / "site", "trainer-small", tasks={"small": "small:TASK", "wrong": "wrong:TASK"}, modules=modules
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    words = (f"data={data}", "model=yolo11n-pose.yaml", "epochs=2", "--dry-run", "--json")
    settings = trainer("run", "--task", "small", *words).json
    assert (settings["imgsz"], settings["epochs"]) == (96, 2)
    said = "task 'wrong' from trainer-small 1.0 has wrong settings: unknown setting 'imgz'."
    refused(trainer("run", "--task", "wrong", *words[:-1]), 5, said, "'imgsz'")
