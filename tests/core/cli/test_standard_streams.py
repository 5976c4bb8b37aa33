"""Standard output and standard error that are closed, full, or read by nobody, and a working folder that is gone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.core.helpers import TRAINER, environment
from tests.support.figures import detect_dataset

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")

WORDS = ["--help", "run --help", "plugins --json", "check data.yaml --json"]


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    trainer = shlex.join(TRAINER)
    words = ["bash", "-o", "pipefail", "-c", line.replace("trainer", trainer)]
    return subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("data"), 2).parent


@pytest.mark.parametrize("words", [*WORDS, "nonsense --json"])
def test_a_full_disk_for_standard_output_is_one_line(folder: Path, words: str) -> None:
    done = shell(f"trainer {words} > /dev/full", folder)
    assert done.returncode == 9, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("trainer: cannot write to standard output")]
    assert len(said) == 1
    assert said[0].endswith("output: No space left on device. Fix: free space, or redirect it elsewhere")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_that_goes_away_is_not_worth_a_line(folder: Path, words: str) -> None:
    done = shell(f"trainer {words} | head -c 0", folder)
    assert done.returncode in {0, 9}  # 0 if all was written before the reader ended
    assert "Traceback" not in done.stderr
    assert "trainer:" not in done.stderr


@pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-"])
def test_what_people_would_read_is_not_needed(folder: Path, stream: str) -> None:
    done = shell(f"trainer check data.yaml --json {stream}", folder)
    assert done.returncode == 0
    assert json.loads(done.stdout)["counts"]["errors"] == 0


def test_a_closed_standard_output_is_no_matter(folder: Path) -> None:
    done = shell("trainer check data.yaml --json >&-", folder)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize("words", ["run", "val model=x.pt", "predict model=x.pt", "check x", "convert x y", "plugins"])
def test_a_working_folder_that_is_gone_is_one_line(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && trainer {words} --json", tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr == (
        "trainer: the working folder no longer exists (No such file or directory). "
        "Fix: change to a folder that exists\n"
    )
    assert json.loads(done.stdout)["error"] == "EnvironmentProblemError"


@pytest.mark.parametrize("words", ["--help", "run --help", "--version"])
def test_help_needs_no_working_folder(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && trainer {words}", tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert os.linesep in done.stdout
