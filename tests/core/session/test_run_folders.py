"""Where the folder of a run is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer_host import SettingsError
from trainer_host.session.run_folders import claim_folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with a home next to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return folder


@pytest.mark.parametrize(
    ("project", "folder"),
    [
        ("", "runs/any/train"),
        ("mice", "runs/any/mice/train"),
        (".mice", "runs/any/.mice/train"),
        ("./mice", "mice/train"),
        ("mice/", "mice/train"),
        ("mice/night", "mice/night/train"),
        ("runs/any", "runs/any/train"),
        (".", "train"),
        ("..", "../train"),
        ("../mice", "../mice/train"),
        ("~/mice", "../home/mice/train"),
    ],
)
def test_a_project_is_a_name_or_a_path(here: Path, project: str, folder: str) -> None:
    assert claim_folder("any", {"project": project}) == (here / folder).resolve()


def test_an_absolute_project_is_that_folder(here: Path, tmp_path: Path) -> None:
    project = str(tmp_path / "elsewhere")
    assert claim_folder("any", {"project": project, "name": "a"}) == tmp_path / "elsewhere" / "a"
    assert claim_folder("any", {"project": project, "name": "a"}) == tmp_path / "elsewhere" / "a2"


@pytest.mark.parametrize("name", ["val", "predict"])
def test_every_command_has_the_same_rule(here: Path, name: str) -> None:
    assert claim_folder("any", {"project": "./mice"}, name) == here / "mice" / name
    assert claim_folder("any", {"project": "mice"}, name) == here / "runs" / "any" / "mice" / name


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("./mice", "write project=. name=mice"),
        ("mice/night", "write project=./mice name=night"),
        ("mice/", "write name=mice"),
        ("../x", "write project=.. name=x"),
        ("/data/x", "write project=/data name=x"),
        ("~/runs/x", "write project=~/runs name=x"),
        ("..", "write project=DIR with the folder of your runs"),
    ],
)
def test_a_name_that_is_a_path_is_refused(here: Path, name: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        claim_folder("any", {"name": name})
    (problem,) = caught.value.problems
    assert (problem.message, problem.fix) == (f"name={name} is not a valid folder name.", fix)
    assert list(here.iterdir()) == []
