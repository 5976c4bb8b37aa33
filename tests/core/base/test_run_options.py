"""Options of the host: each is declared once, and every door has what the declaration says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import trainer_host
from tests.support.command import Done
from trainer_host import SettingsError
from trainer_host.base import run_options
from trainer_host.base.option_declaration import COMMANDS, TEXT, Door, option
from trainer_host.base.request import Request, from_environment, from_file
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import KEPT, RunOptions, declared
from trainer_host.session import opening


def test_every_declaration_is_complete() -> None:
    options = declared().values()
    flags = [name for one in options for name in (one.flag, one.short) if name]
    assert len(flags) == len(set(flags))
    for one in options:
        assert one.help.endswith(".") and len(one.help) < 160, one.name
        assert set(one.environment_of) <= set(one.commands) <= set(COMMANDS), one.name
        assert one.keyword or not one.recorded, one.name
        assert Door.FILE in one.doors or not one.recorded, f"{one.name}: a run that is recorded is read from a file"
        assert Door.VARIABLE in one.doors or Door.VARIABLE_OF_CALLS not in one.doors, one.name
        assert one.example or not one.doors & (Door.VARIABLE | Door.FILE), one.name


@pytest.mark.parametrize("name", [name for name, one in declared().items() if one.recorded])
def test_a_recorded_value_is_read_back(name: str) -> None:
    one = declared()[name]
    value = one.value_of([one.example] if one.repeatable else one.example, "command")
    assert one.value_of(one.as_data(value), "file") == value


@pytest.mark.parametrize("command", COMMANDS)
def test_the_python_api_has_the_options_of_the_command(command: str) -> None:
    function = getattr(trainer_host, command)
    parameters = inspect.signature(function).parameters
    known = declared(command)
    keywords = {name for name, one in known.items() if one.keyword}
    assert keywords == {name for name in parameters if name in declared()}
    entries = re.findall(r"^        (\w+): (.*?)(?=^        \w+: |\Z)", _args(function), re.MULTILINE | re.DOTALL)
    documented = {name: " ".join(text.split()) for name, text in entries}
    assert documented.keys() == parameters.keys()
    for name in keywords:
        assert documented[name].startswith(known[name].help), name
        default = parameters[name].default
        assert default in (known[name].default, None) or not (default or known[name].default), name
        assert default is None or not known[name].is_switch, f"{name}=False would be the same as nothing"


def _args(function: Any) -> str:
    text = function.__doc__.partition("    Args:\n")[2]
    return re.split(r"^    (?=\w)", text, flags=re.M)[0]


@dataclass(frozen=True, kw_only=True)
class MoreOptions(RunOptions):
    """The options with one more, as a contributor would add it."""

    colour: str | None = option(
        None,
        "Colour of the run.",
        TEXT,
        KEPT,
        commands=("run", "check"),
        metavar="NAME",
    )


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_options, "DECLARED", MoreOptions)


def test_an_option_is_added_by_its_declaration(
    colour: None, trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.docs.options import table
    from trainer_host.session import training

    (tmp_path / "data.yaml").write_text("train: train\nval: val\nnames: {0: a}\n")
    words = ("run", "--task", "detect", "data=data.yaml", "model=yolo26n.yaml", "--dry-run")
    assert "--colour NAME" in trainer("run", "--help").out and "Colour of the run." in trainer("check", "--help").out
    assert "--colour" not in trainer("val", "--help").out

    def colour_of(done: Done) -> list[str]:
        return [line for line in done.out.splitlines() if line.startswith("colour")]

    assert colour_of(trainer(*words)) == []
    given = trainer(*words, "--colour", "red")
    assert colour_of(given) == ["colour: red"]
    monkeypatch.setenv("TRAINER_COLOUR", "blue")
    assert colour_of(trainer(*words)) == ["colour: blue"]
    assert colour_of(trainer(*words, "--colour", "red")) == ["colour: red"]
    monkeypatch.delenv("TRAINER_COLOUR")
    (tmp_path / "exp.yaml").write_text(given.out)
    assert trainer("run", "exp.yaml", "--dry-run").out == given.out
    (tmp_path / "exp.yaml").write_text("colour: 5\n")
    problem = trainer("run", "exp.yaml", "--dry-run").problems[0]
    assert problem == "exp.yaml:1: colour: 5 is not a name. Fix: write colour: NAME"

    runs: list[ResolvedRun] = []
    monkeypatch.setattr(training, "begin", lambda run, *_: runs.append(run.resolved))
    settings: dict[str, Any] = {"data": "data.yaml", "model": "yolo26n.yaml"}
    trainer_host.run("detect", colour="green", **settings)
    (resolved,) = runs
    resolved.write(tmp_path / "run.yaml")
    anchored = {"settings": {**resolved.settings, "data": str(tmp_path / "data.yaml")}}
    assert ResolvedRun.read(tmp_path / "run.yaml") == resolved.model_copy(update=anchored)
    assert resolved.options == MoreOptions(colour="green")
    assert from_file(tmp_path / "run.yaml").given["colour"].origin == "file"
    assert "| `--colour NAME` | `TRAINER_COLOUR` | Colour of the run. |" in table("run")


SWITCHES = [(command, name) for command in COMMANDS for name, one in declared(command).items() if one.off_flag]


@pytest.mark.parametrize(("command", "name"), SWITCHES)
def test_what_a_weaker_source_switches_on_is_switched_off(
    command: str, name: str, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, seen = declared(command)[name], []

    def note(given: Request, door: str, *_: Any) -> Any:
        seen.append(getattr(given.over(from_environment(command)).over(weaker).options, name))
        raise SettingsError("stop")

    weaker = Request.of(command, origin="file", **{name: True})
    monkeypatch.setattr(opening, "open_request", note)
    words = {"convert": ("data.yaml", "new"), "resume": ("runs/pose/a",)}.get(command, ())
    monkeypatch.setenv(one.environment, "1")
    trainer(command, *words, one.off_flag)
    trainer(command, *words)
    monkeypatch.setenv(one.environment, "0")
    trainer(command, *words)
    trainer(command, *words, one.flag)
    assert seen == [False, True, False, True]
    if one.keyword:
        places = {
            "val": ("m.pt",),
            "resume": ("runs/pose/a",),
            "predict": ("m.pt", "a"),
            "check": ("d",),
            "convert": ("d", "new"),
        }
        with pytest.raises(SettingsError, match="stop"):
            getattr(trainer_host, command)(*places.get(command, ()), **{name: False})
        assert seen[4:] == [False]


def test_problems_of_several_doors_are_reported_together(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("exp.yaml").write_text("best_metric: [a]\nthreads: 0\nepoch: 3\n")
    monkeypatch.setenv("TRAINER_OFFLINE", "maybe")
    assert trainer("run", "exp.yaml", "--task", "pose", "--bad=some", "lr0=-1", "--dry-run").problems == [
        "exp.yaml:1: best_metric: [a] is not a name. Fix: write best_metric: NAME",
        "exp.yaml:2: threads: 0 is not a number of threads. Fix: write threads: 4",
        "TRAINER_OFFLINE=maybe is neither true nor false. Fix: write TRAINER_OFFLINE=true",
        "--bad=some is not valid. Fix: write --bad=fail, --bad=skip, or --bad=skip:1%",
        "exp.yaml:3: unknown setting 'epoch'. Did you mean 'epochs'?",
        "lr0=-1 is not valid. Fix: write a number from 0 to 1, such as lr0=0.01",
    ]


def test_a_call_names_its_argument() -> None:
    with pytest.raises(trainer_host.SettingsError) as caught:
        trainer_host.convert("data.yaml", "new", task="pose", bad=5, offline="maybe")  # type: ignore[arg-type]
    assert [str(p) for p in caught.value.problems] == [
        "bad=5 is not valid. Fix: write bad='fail', bad='skip', or bad='skip:1%'",
        "offline='maybe' is neither true nor false. Fix: write offline='true'",
    ]
    assert Request.of("run", bad="skip").options.bad.share == 0.1


@pytest.mark.parametrize("name", ["dry_run", "strict", "json"])
def test_an_option_of_the_command_alone_is_not_a_keyword_of_the_api(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting '{name}'"):
        trainer_host.run("detect", **{name: True})


def test_a_task_that_is_given_twice_is_an_error(trainer: Callable[..., Done]) -> None:
    done = trainer("run", "task=detect", "--task", "pose", "--dry-run")
    assert (done.code, done.problems) == (
        3,
        ["task is given twice: task=detect and --task pose. Fix: remove one of the two"],
    )


def test_a_record_that_somebody_edited_is_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("task: detect\nrecord: {objects: {x: 5}}\n")
    assert from_file(file).objects == {"x": "5"}


def test_a_wrong_value_of_a_settings_file_has_its_place(trainer: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "exp.yaml").write_text("task: detect\nepochs: -1\n")
    (problem,) = trainer("run", "exp.yaml", "--dry-run").problems
    assert problem == (
        "exp.yaml:2: epochs=-1 is not valid. Fix: write a whole number of at least 1, such as epochs=100"
    )
