"""``trainer doctor`` and `trainer_host.doctor`: the state of an installation."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.engine_copy import engine_copy
from tests.support.command import Done, command, python
from trainer_host import ExitCode, doctor
from trainer_host.base import machine
from trainer_host.base.errors import Problem
from trainer_host.session import diagnosis
from trainer_host.session.diagnosis import Diagnosis, diagnose

GIB = 1 << 30


def test_a_quick_look_imports_neither_torch_nor_plugins(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom trainer_host.cli.main import guarded\nassert guarded(['doctor', '--quick']) == 0\n"
        "print(sorted({'torch', 'ultralytics', 'cv2', 'trainer_detect', 'trainer_pose'} & set(sys.modules)))"
    )
    assert python(code, cwd=tmp_path).splitlines()[-1] == "[]"


def test_the_whole_look_has_devices_and_every_plugin(tmp_path: Path) -> None:
    done = command("doctor", "--json", cwd=tmp_path, OMP_NUM_THREADS="1", TRAINER_OFFLINE="1", TRAINER_TRACKER="mlflow")
    assert done.code == 0, done.out
    found = done.json
    assert {"trainer-host", "python", "torch", "ultralytics", "numpy", "pillow", "pluggy"} <= found["versions"].keys()
    assert (found["engine"]["release"], found["engine"]["state"]) == (found["versions"]["ultralytics"], "tested")
    assert found["devices"]["devices"][-1] == {"device": "cpu"}
    assert (found["devices"]["threads"], found["devices"]["failed"]) == (1, {})
    assert found["processors"]["count"] >= 1
    assert 0 < found["memory"]["available"] < found["memory"]["total"]
    assert found["disk"]["folder"] == str(tmp_path / "runs") and found["disk"]["free"] > 0
    assert {"detect", "pose"} <= {p["name"] for p in found["plugins"]}
    assert found["network"] == {"offline": True, "trackers": ["mlflow"], "proxies": []}
    assert found["problems"] == []
    assert not (tmp_path / "runs").exists()


def test_the_report_names_each_part_and_no_secret(
    trainer: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_API_KEY", "hidden-1")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hidden-2@proxy:8080")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("HOME_MADE", "unrelated")
    done = trainer("doctor", "--quick")
    assert done.code == 0
    for title in ("Versions", "Engine", "Devices", "Processors", "Memory", "Disk", "Plugins", "Environment", "Network"):
        assert f"{title}\n  " in done.out
    assert "hidden" not in done.out.replace("(not shown)", "") and "unrelated" not in done.out
    assert "http://(not shown)@proxy:8080" in done.out
    assert re.search(r"  OMP_NUM_THREADS +3\n", done.out)
    assert done.err == "No problems found.\n"


def test_a_broken_plugin_is_a_problem(trainer: Callable[..., Done], installed: Callable[..., Path]) -> None:
    folder = installed(
        "trainer-torn", tasks={"torn": "torn_module:TASK"}, modules={"torn_module": "import no_such_thing"}
    )
    assert trainer("doctor", "--quick").code == 0
    done = command("doctor", cwd=folder, path=[folder])
    assert done.code == 5
    assert "error: trainer-torn 1.0: task 'torn' is broken:" in done.out
    assert "no_such_thing" in done.out and done.err == "1 problem found.\n"


def test_two_packages_of_one_name_are_a_problem_without_an_import(installed: Callable[..., Path]) -> None:
    installed("trainer-one", tasks={"same": "one:TASK"})
    installed("trainer-two", tasks={"same": "two:TASK"})
    found = diagnose(quick=True)
    assert (found.exit_code, len(found.problems)) == (ExitCode.PLUGIN, 2)


def test_the_engine_is_looked_at(tmp_path: Path) -> None:
    engine_copy(tmp_path / "engine", {"nn/tasks.py": ("def yaml_model_load(path)", "def read_model_yaml(path)")})
    done = command("doctor", "--quick", "--json", cwd=tmp_path, path=[tmp_path / "engine"])
    assert (done.code, done.json["engine"]["state"]) == (3, "missing names")
    assert done.json["problems"][0]["message"].startswith(
        "ultralytics 8.4.191 lacks ultralytics.nn.tasks.yaml_model_load"
    )
    edit = ("acc0 = self.accumulate  #", "acc0 = self.accumulate + 1  #")
    engine_copy(tmp_path / "other", {"engine/trainer.py": edit})
    done = command("doctor", "--quick", "--json", cwd=tmp_path, path=[tmp_path / "other"])
    assert (done.code, done.json["engine"]["state"]) == (0, {"changed": ["BaseTrainer._do_train"]})
    assert len([one for one in done.json["warnings"] if "are free on the disk" not in one["message"]]) == 1


def test_an_environment_without_an_engine_is_reported(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['ultralytics'] = None\nfrom trainer_host import doctor\nfound = doctor(quick=True)\n"
        "print(int(found.exit_code), found.engine, found.problems[0])"
    )
    reported = "ultralytics is not installed. Fix: pip install"
    assert python(code, cwd=tmp_path).startswith(f"3 {{}} {reported}")


def test_a_requirement_that_is_not_met_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=99", "no-such-package>=1", "pillow>=1", 'h5py>=99; extra == "sleap"', "ultralytics<1"]
    monkeypatch.setattr(diagnosis.metadata, "requires", lambda name: lines)
    messages = [p.message for p in doctor(quick=True).problems]
    assert len(messages) == 2
    assert messages[0].startswith("numpy is ") and messages[0].endswith(", and trainer-host needs numpy>=99.")
    assert messages[1] == "no-such-package is not installed, and trainer-host needs no-such-package>=1."


def test_devices_that_fail_or_are_not_used_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(diagnosis, "GPU_DRIVER", driver)
    monkeypatch.setattr(
        diagnosis, "probe", lambda: {"devices": [{"device": "cpu"}], "threads": 8, "failed": {"cv2": "x"}}
    )
    monkeypatch.setattr(diagnosis, "check_all", lambda registry: [])
    monkeypatch.setattr(diagnosis, "processors", lambda: {"count": 8, "affinity": 8, "cgroup_limit": 2.0})
    monkeypatch.setattr(diagnosis, "free_space", lambda folder: 1 << 50)
    found = diagnose()
    assert found.problems == [Problem("cv2 cannot be imported: x.", "reinstall cv2")]
    assert [w.message for w in found.warnings] == [
        "an NVIDIA driver is installed, but torch cannot use a GPU.",
        "torch uses 8 threads, and the container is limited to 2 processors.",
    ]


def test_limits_of_containers_are_read(tmp_path: Path) -> None:
    assert (machine.processors(tmp_path)["cgroup_limit"], machine.memory(tmp_path)["cgroup_limit"]) == (None, None)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    assert (machine.processors(tmp_path)["cgroup_limit"], machine.memory(tmp_path)["cgroup_limit"]) == (1.5, 4 * GIB)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.processors(tmp_path)["cgroup_limit"], machine.memory(tmp_path)["cgroup_limit"]) == (None, None)
    older = tmp_path / "older"
    for file, text in (("cpu/cpu.cfs_quota_us", "200000"), ("cpu/cpu.cfs_period_us", "100000")):
        (older / file).parent.mkdir(parents=True, exist_ok=True)
        (older / file).write_text(text)
    assert machine.processors(older)["cgroup_limit"] == 2


def test_space_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    assert machine.free_space(tmp_path / "not" / "there") == pytest.approx(machine.free_space(tmp_path), rel=0.1)
    (tmp_path / "one").write_bytes(b"x" * 1000)
    assert machine.size_of(tmp_path) == 1000


def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "free_space", lambda folder: 1 << 20)
    found: Diagnosis = diagnose(quick=True)
    assert [w.message[:14] for w in found.warnings] == ["1 MiB are free"] * 2
    assert found.exit_code == ExitCode.DONE
