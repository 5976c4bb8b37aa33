"""Files that disappear in mid-training end a run with the documented error, its place, and a record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import command
from tests.support.sample_datasets import pose_dataset

pytestmark = pytest.mark.train

PLUGIN = """
import shutil
from pathlib import Path
from trainer_host import hookimpl

def act(trainer):
    if trainer.epoch == {epoch}:
        {action}

@hookimpl
def callbacks(ctx):
    return {{"on_train_epoch_start": act}}
"""
SETTINGS: dict[str, Any] = {"model": "yolo11n-pose.yaml", "imgsz": 32, "epochs": 3, "batch": 4}


def plugin(folder: Path, action: str, epoch: int = 1) -> Path:
    path = folder / "act.py"
    path.write_text(PLUGIN.format(action=action, epoch=epoch))
    return path


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))["record"]
    return found


def test_images_that_disappear_through_the_command(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=8)
    act = plugin(tmp_path, f"shutil.rmtree({str(tmp_path / 'data' / 'images' / 'train')!r})", epoch=0)
    words = [f"{k}={v}" for k, v in SETTINGS.items()]
    done = command("run", "--task", "pose", f"data={data}", *words, "--plugin", str(act), "--json", cwd=tmp_path)
    assert done.code == 4, done.err
    assert "Traceback" not in done.err
    problem = done.json["problems"][0]
    assert Path(problem["where"]).parent == tmp_path / "data" / "images" / "train"
    assert "disappeared during the run" in problem["message"]
    record = record_of(tmp_path / "runs" / "pose" / "train")  # it had begun to train, so its folder stays
    assert record["status"] == "failed"
    assert "disappeared during the run" in record["error"]


def test_a_folder_of_a_run_that_disappears_stays_away(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=8)
    folder = tmp_path / "runs" / "train"
    # Moved first: a state may be on its way to the disk, and rmtree fails in a folder that gets new files.
    gone = str(tmp_path / "gone")
    act = plugin(tmp_path, f"shutil.move({str(folder)!r}, {gone!r}); shutil.rmtree({gone!r}, ignore_errors=True)")
    with pytest.raises(trainer_host.StorageError, match="the run's folder disappeared") as caught:
        trainer_host.run("pose", data=data, project=tmp_path / "runs", plugins=[act], **SETTINGS)
    assert caught.value.problems[0].where == str(folder)
    assert not folder.exists()


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=8)
    folder = tmp_path / "runs" / "train"
    table = folder / "results.csv"
    act = plugin(tmp_path, f"Path({str(table)!r}).unlink(); Path({str(table)!r}).mkdir()")
    with pytest.raises(trainer_host.StorageError) as caught:
        trainer_host.run("pose", data=data, project=tmp_path / "runs", plugins=[act], **SETTINGS)
    assert caught.value.problems[0].where == str(table)
    assert record_of(folder)["status"] == "failed"
    assert (folder / "weights" / "last.pt").is_file()
    shutil.rmtree(folder)


def test_a_second_run_is_kept_out_of_a_folder(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=8)
    text = [
        "import subprocess, sys",
        "from trainer_host.base.child_process import module_command",
        f"words = ['run', 'data={data}', 'model=yolo11n-pose.yaml', 'project={tmp_path / 'runs'}', 'exist_ok=True']",
        "done = subprocess.run(module_command('trainer_host', *words), capture_output=True, text=True)",
        f"Path({str(tmp_path / 'said')!r}).write_text(f'{{done.returncode}} {{done.stderr}}')",
    ]
    act = plugin(tmp_path, "\n        ".join(text), epoch=0)
    result = trainer_host.run(
        "pose", data=data, project=tmp_path / "runs", exist_ok=True, plugins=[act], **{**SETTINGS, "epochs": 1}
    )
    said = (tmp_path / "said").read_text()
    assert said.startswith("9 "), said
    assert f"{result.save_dir}: the folder is in use by another run (process " in said
    assert (result.save_dir / "results.csv").read_text().count("\n") == 2
    assert not (result.save_dir / ".in-use").exists()
