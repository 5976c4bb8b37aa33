"""What comes in by other doors than a sound YAML: plugins that change what was read, runs into strange folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.command import Done
from tests.support.sample_datasets import detect_dataset

Trainer = Callable[..., Done]
RUN = ("run", "--task", "detect", "model=yolo11n.yaml", "imgsz=32", "epochs=1")

RENAMES = """
from trainer_host import hookimpl

@hookimpl(wrapper=True)
def read_dataset(ctx):
    data = yield
    return {**data, "names": {0: "renamed"}}
"""
ONE_FINDING = """
from trainer_host import Finding, hookimpl

@hookimpl
def check_dataset(ctx):
    return Finding("mine", "this is mine.", "ask me", image="images/train/elsewhere.jpg", split="train")
"""


@pytest.fixture
def data(tmp_path: Path, engine: None) -> Path:
    return detect_dataset(tmp_path / "data", 4)


def test_a_wrapper_that_returns_keys_alone_switches_no_check_off(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    (tmp_path / "renames.py").write_text(RENAMES)
    label = next((data.parent / "labels" / "train").iterdir())
    label.write_text("7 0.5 0.5 5 -1\n")
    done = trainer("check", str(data), "--task", "detect", "--plugin", "./renames.py", "--json")
    assert done.code == 4
    assert {"class-range", "box-negative"} <= set(done.json["counts"]["codes"])


def test_skipping_leaves_no_error_behind_that_names_no_image(trainer: Trainer, data: Path, tmp_path: Path) -> None:
    (tmp_path / "one_finding.py").write_text(ONE_FINDING)
    words = (*RUN, f"data={data}", "--plugin", "./one_finding.py")
    for option in ((), ("--bad=skip:50%",)):
        done = trainer(*words, *option)
        assert (done.code, done.problems) == (4, ["this is mine. Fix: ask me"])


def test_a_refused_run_leaves_the_files_of_others_alone(trainer: Trainer, data: Path) -> None:
    for name in ("dataset.yaml", "train.txt", "args.yaml"):
        (data.parent / name).write_text("mine\n")
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**content, "names": []}))
    assert trainer(*RUN, f"data={data}", f"save_dir={data.parent}").code == 4
    assert (data.parent / "dataset.yaml").read_text() == (data.parent / "train.txt").read_text() == "mine\n"
    data.write_text(yaml.safe_dump(content))
    done = trainer(*RUN, f"data={data}", f"save_dir={data.parent}")
    assert (done.code, "the run folder is the dataset's folder" in done.err) == (3, True)
    assert (data.parent / "dataset.yaml").read_text() == "mine\n"
    other = data.parent.parent / "other.yaml"
    other.write_text(yaml.safe_dump({**content, "path": str(data.parent)}))
    done = trainer(*RUN, f"data={other}", f"save_dir={data.parent}")
    assert (done.code, "the run folder is the dataset's folder" in done.err) == (3, True)


@pytest.mark.parametrize("source", ["http://127.0.0.1:9/x.ndjson", "coco.yaml", "/tmp/x.tar"])
def test_a_dataset_cannot_send_the_host_elsewhere(trainer: Trainer, data: Path, source: str) -> None:
    content = {**yaml.safe_load(data.read_text()), "trainer_source": source}
    other = data.with_name("dataset.yaml")
    other.write_text(yaml.safe_dump(content))
    done = trainer("check", str(other), "--task", "detect", "--json")
    assert done.code == 0, done.err
    assert done.json["counts"]["splits"]["train"]["images"] == 4
    assert "unknown-key" in done.json["counts"]["codes"]


def test_settings_that_a_check_looks_at(trainer: Trainer, data: Path) -> None:
    for word in ("fliplr=abc", "single_cls=maybe", "split=foo"):
        assert trainer("check", str(data), word).code == 3


def test_what_a_mapping_says_itself_goes_before_what_is_merged(trainer: Trainer, data: Path) -> None:
    content = yaml.safe_load(data.read_text())
    text = "info: &base {author: me, year: 1}\n" + yaml.safe_dump(content) + "version: {<<: *base, year: 2}\n"
    data.write_text(text)
    done = trainer("check", str(data), "--json")
    assert (done.code, done.json["counts"]["codes"]) == (0, {})


def test_folders_that_link_to_each_other_are_walked_once(trainer: Trainer, data: Path) -> None:
    folders = [data.parent / "images" / "train" / f"part{i}" for i in range(12)]
    for folder in folders:
        folder.mkdir()
    for folder in folders:
        for other in folders:
            if other != folder:
                (folder / other.name).symlink_to(other)
    done = trainer("check", str(data), "--json")
    assert set(done.json["counts"]["codes"]) <= {"image-duplicate", "link-loop"}
    assert done.json["counts"]["warnings"] + done.json["counts"]["errors"] < 200
