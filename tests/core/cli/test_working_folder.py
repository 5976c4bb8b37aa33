"""Python files that lie in the working folder: none stands in for a module, however the command is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT, TRAINER, Done, command, environment, process
from tests.support.sample_datasets import detect_dataset
from trainer_host._working_folder import leave
from trainer_host.base.child_process import code_command, module_command

MODULES = [
    "click",
    "json",
    "typing",
    "re",
    "pathlib",
    "yaml",
    "torch",
    "numpy",
    "__future__",
    "traceback",
    "abc",
    "runpy",
    "ast",
    "dataclasses",
    "enum",
    "inspect",
    "logging",
    "importlib_metadata",
    "pluggy",
    "rich",
    "PIL",
    "cv2",
    "ultralytics",
    "trainer_detect",
    "pip",
]
SCRIPT = "import sys; sys.argv[0] = 'trainer'; from trainer_host.cli.main import main; main()"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Return a working folder with a dataset, and modules of many names that say when they are run."""
    folder = tmp_path / "data"
    detect_dataset(folder, 2)
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__ + '\\n')\n")
    (folder / "evil-1.0.dist-info").mkdir()
    (folder / "evil-1.0.dist-info" / "METADATA").write_text("Name: evil\nVersion: 1.0\n")
    (folder / "evil-1.0.dist-info" / "entry_points.txt").write_text("[trainer_host.always]\nevil = pip\n")
    return folder


def start(trap: Path, *words: str) -> Done:
    done = process(*words, cwd=trap)
    ran = trap.parent / "ran"
    assert not ran.exists(), ran.read_text()
    return done


@pytest.mark.parametrize("words", ["--help", "plugins", "plugins --check", "check data.yaml"])
@pytest.mark.parametrize("way", ["script", *(pytest.param(w, marks=pytest.mark.slow) for w in ("module", "attached"))])
def test_no_file_of_the_working_folder_is_imported(trap: Path, way: str, words: str) -> None:
    script = trap.parent / "trainer"  # as an installer writes it
    script.write_text(SCRIPT)
    begin = {"module": ["-m", "trainer_host"], "attached": ["-mtrainer_host"], "script": [str(script)]}[way]
    done = start(trap, sys.executable, *begin, *words.split())
    assert done.code == 0, done.err
    assert "evil" not in done.out


def test_a_module_of_the_package_is_as_safe(trap: Path) -> None:
    assert start(trap, sys.executable, "-m", "trainer_host.plugin.import_check", "task", "detect").code == 0


def test_the_hosts_own_processes_are_safe(trap: Path) -> None:
    assert start(trap, *module_command("trainer_host", "plugins")).code == 0
    assert start(trap, *module_command("trainer_host.plugin.import_check", "task", "detect")).code == 0
    assert "pip" in start(trap, *module_command("pip", "--version")).out
    assert start(trap, *code_command("import json, re, typing; print(sys.argv[1])", "word")).out == "word\n"


def test_every_process_of_the_host_is_started_so() -> None:
    sources = [p for p in (ROOT / "core").rglob("*.py") if "sys.executable" in p.read_text(encoding="utf-8")]
    assert {p.name for p in sources} == {
        "child_process.py",
        "contract_checks.py",
        "diagnosis.py",  # whose code does the same
        "slurm.py",  # whose jobs set PYTHONSAFEPATH
    }


def test_what_python_imports_before_is_reported(tmp_path: Path) -> None:
    code = f"import sys; sys.path.remove({str(tmp_path)!r}); del sys.modules['contextlib']; from contextlib import *"
    (tmp_path / "contextlib.py").write_text(
        f"{code}\nfrom contextlib import contextmanager, suppress\n"
        "import contextlib as real\n__all__ = real.__all__\n"
        "sys.modules['contextlib'] = sys.modules['zz'] = real\n"
        f"real.__file__ = {str(tmp_path / 'contextlib.py')!r}\nsys.path.insert(0, {str(tmp_path)!r})\n"
    )
    done = command("--help", cwd=tmp_path)
    assert (done.code, done.out) == (6, ""), done.err
    assert "contextlib.py was run in place of Python's own module. Fix: call trainer" in done.err


@pytest.mark.parametrize("folder", [Path(os.__file__).parent, Path(os.__file__).parents[1]])
def test_pythons_own_folder_is_no_matter(folder: Path) -> None:
    done = command("--version", cwd=folder)
    assert done.code == 0, done.err


def test_a_checkout_is_put_last() -> None:
    path = ["/src", "/lib"]
    leave(path, "/src", "/src/trainer_host")
    assert path == ["/lib", "/src"]
    leave(path, "/src", "/src/trainer_host")
    assert path == ["/lib", "/src"]
    leave(path, "/lib", "/site/trainer_host")
    assert path == ["/src"]


def test_the_package_is_found_where_it_is_the_working_folders(tmp_path: Path) -> None:
    variables = {k: v for k, v in environment().items() if k != "PYTHONPATH"}
    done = process(*TRAINER, "--version", cwd=ROOT / "core", env=variables)
    assert done.code == 0, done.err
