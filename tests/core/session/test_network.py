"""A run makes no request that nobody asked for: no telemetry, look-ups, fonts, test weights or trackers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.audited_command import Watched, can_be_alone, files_below, stub_packages, trainer, watched
from tests.support.sample_datasets import pose_dataset

PROGRAMS = {"ldconfig", "fc-list"}
"""Programs that Python starts to find libraries, and matplotlib to find fonts."""
WRITTEN = [
    r"/dev/null",
    r"tmp/[^/]*",
    r"home/\.config/Ultralytics/settings\.json",
    r"home/\.cache/matplotlib/fontlist-[^/]*",
    r"home/\.cache/trainer-host/fonts/\.?Arial(\.Unicode)?\.ttf[^/]*",
    r"home/\.cache/trainer-host/datasets/\.?\w+\.npz[^/]*",
    r"runs/pose/(train|val|predict)/\.in-use",
    r"runs/pose/(train|val)/\.?(run|args|dataset)\.yaml[^/]*",
    r"runs/pose/train/weights/\.?(last|best)\.pt[^/]*",
    r"runs/pose/train/weights/\.?state-\d{4}-\d{6}\.pt[^/]*",
    r"runs/pose/train/results\.(csv|png)",
    r"runs/pose/train/(labels|train_batch\d)\.jpg",
    r"runs/pose/train/\.?predictions\.jpg[^/]*",
    r"runs/pose/(train|val)/((Box|Pose)(PR|F1|P|R)_curve|confusion_matrix(_normalized)?)\.png",
    r"runs/pose/(train|val)/val_batch\d_(labels|pred)\.jpg",
    r"runs/pose/predict/\.?\w+\.jpg[^/]*",
]
"""Files that train, val and predict may write, relative to the working folder."""
RUN = ("run", "--task", "pose", "data=data/data.yaml", "model=yolo11n-pose.yaml", "imgsz=32", "epochs=1")
BEST = "model=runs/pose/train/weights/best.pt"


def require_silence(done: Watched, folder: Path, *also: str) -> None:
    assert done.code == 0, done.err
    assert done.requests == []
    assert done.processes <= PROGRAMS
    assert strange(done.written(folder)) <= set(also)


def strange(files: set[str]) -> set[str]:
    return {f for f in files if not any(re.fullmatch(pattern, f) for pattern in WRITTEN)}


@pytest.mark.train
@pytest.mark.parametrize("alone", [False, True], ids=["guarded", "without-interfaces"])
@pytest.mark.parametrize("option", [[], ["--offline"]], ids=["default", "offline"])
def test_train_val_and_predict_ask_nobody(tmp_path: Path, option: list[str], alone: bool) -> None:
    if alone and not can_be_alone():
        pytest.skip("the kernel lets this user make no network namespace")
    pose_dataset(tmp_path / "data", images=4)
    before = files_below(tmp_path / "data")
    trackers = stub_packages(tmp_path / "packages")
    (tmp_path / "yolo26n.pt").write_bytes(b"no weights")
    for words in ((*RUN, "plots=True"), ("val", BEST), ("predict", BEST, "source=data/images/val")):
        done = watched(trainer(*words, *option, alone=alone), tmp_path, trackers)
        require_silence(done, tmp_path)
        assert done.tracked == []
    assert files_below(tmp_path / "data") == before
    known = {*files_below(tmp_path)} - {*files_below(tmp_path / "packages"), "guard.log", "yolo26n.pt"}
    own = {f for f in known if not f.startswith(("data/", "packages/"))}
    assert strange(own) == set()
    assert {"runs/pose/train/train_batch0.jpg", "runs/pose/val/BoxPR_curve.png", "runs/pose/predict/0001.jpg"} <= own


@pytest.mark.train
def test_a_tracker_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    pose_dataset(tmp_path / "data", images=2)
    trackers = stub_packages(tmp_path / "packages")
    done = watched(trainer(*RUN, "plots=False", "--tracker", "mlflow", "--offline"), tmp_path, trackers)
    require_silence(done, tmp_path, "tracked.log")
    assert {line.split()[0] for line in done.tracked} == {"mlflow"}
    assert {"mlflow start_run", "mlflow log_metrics", "mlflow end_run"} <= set(done.tracked)
    assert "trackers:\n- mlflow\n" in (tmp_path / "runs/pose/train/run.yaml").read_text()


def test_the_engine_is_imported_without_a_look_up(tmp_path: Path) -> None:
    code = """
import os
before = dict(os.environ)
from trainer_host.engine.ultralytics.engine_import import import_engine
import_engine()
from ultralytics.utils import AUTOINSTALL, ONLINE, TESTS_RUNNING
from ultralytics.utils.events import events
assert not (AUTOINSTALL or ONLINE or TESTS_RUNNING or events.enabled)
changed = {k for k in {*before, *os.environ} if before.get(k) != os.environ.get(k)}
assert not [k for k in changed if k.startswith("YOLO")], changed
"""
    done = watched([sys.executable, "-c", code], tmp_path)
    assert (done.code, done.requests) == (0, []), done.err


@pytest.mark.parametrize("call", ["val('no.pt')", "predict('no.pt', 'no.jpg')", "run('detect', data='no.yaml')"])
def test_a_first_call_that_is_refused_looks_nothing_up(tmp_path: Path, call: str) -> None:
    code = f"""
import trainer_host
try:
    trainer_host.{call}
except trainer_host.TrainerError:
    pass
from ultralytics.utils import AUTOINSTALL, ONLINE
assert not (AUTOINSTALL or ONLINE)
"""
    done = watched([sys.executable, "-c", code], tmp_path)
    assert (done.code, done.requests) == (0, []), done.err


def test_a_plugin_that_imports_the_engine_makes_no_look_up_in_a_check(tmp_path: Path) -> None:
    pose_dataset(tmp_path / "data", images=2)
    hook = "@hookimpl\ndef callbacks(ctx):\n    return {}\n"
    (tmp_path / "early.py").write_text(f"import ultralytics\nfrom trainer_host import hookimpl\n\n{hook}")
    done = watched(trainer("check", "data/data.yaml", "--plugin", "./early.py"), tmp_path)
    require_silence(done, tmp_path)


def test_fonts_of_plots_are_found_here(tmp_path: Path) -> None:
    code = """
from trainer_host.engine.ultralytics.engine_import import import_engine
import_engine()
from trainer_host.engine.ultralytics.fonts import provide_fonts
provide_fonts()
import os
import numpy as np
from matplotlib import font_manager
from ultralytics.utils.plotting import Annotator
assert not [f for f in font_manager.fontManager.ttflist if "trainer-host" in f.fname]
for name in ("nose", "\u043d\u043e\u0441"):
    made = Annotator(np.zeros((64, 64, 3), np.uint8), pil=True, example=name)
    made.text([1, 30], name)
    assert os.path.isfile(made.font.path), made.font.path
"""
    done = watched([sys.executable, "-c", code], tmp_path)
    assert (done.code, done.requests) == (0, []), done.err
    (tmp_path / "file").touch()  # a cache folder that cannot be
    done = watched([sys.executable, "-c", code], tmp_path, TRAINER_CACHE_DIR=str(tmp_path / "file"))
    assert (done.code, done.requests) == (0, []), done.err


@pytest.mark.train
def test_an_engine_that_was_imported_before_sends_no_events(tmp_path: Path) -> None:
    pose_dataset(tmp_path / "data", images=2)
    trackers = stub_packages(tmp_path / "packages")
    code = """
import socket
socket.getaddrinfo = lambda *args, **kwargs: []  # the engine takes itself for online
import ultralytics
from ultralytics.utils.events import events
assert events.enabled
import trainer_host
done = trainer_host.run("pose", data="data/data.yaml", model="yolo11n-pose.yaml", imgsz=32, epochs=1)
trainer_host.val(done.best)
assert len(trainer_host.predict(done.best, "data/images/val").predictions) == 2
assert (events.events, events.t) == ([], 0)
"""
    done = watched([sys.executable, "-c", code], tmp_path, trackers)
    require_silence(done, tmp_path)
    assert done.tracked == []
