"""Commands that packages add to ``trainer``: found by metadata, imported when they are called, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import PACKAGES, Trainer, install
from tests.contract.templates import write_package
from tests.support.sample_datasets import pose_dataset
from trainer_host import ExitCode

pytestmark = pytest.mark.wheel

GREET = """
import click

@click.command()
@click.option("--code", default=0)
def PLUGIN(code):
    click.echo("from {who}")
    return code
"""
FAILS = """
import click

def divide():
    return 1 / 0

@click.command()
@click.option("--json", "as_json", is_flag=True)
def PLUGIN(as_json):
    divide()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")

    def write(name: str, code: str, **more: str) -> Path:
        return write_package(folder / "source", name, code, group="commands", **more)

    packages = [
        write("greet", GREET.format(who="greet")),
        write("fails", FAILS),
        write("no-command", "PLUGIN = 'a text'\n"),
        write("no-import", "raise AssertionError('imported')\n"),
        write("run", GREET.format(who="rival"), distribution="trainer-rival"),
        write("twice", GREET.format(who="first"), distribution="trainer-first"),
        write("twice", GREET.format(who="second"), distribution="trainer-second"),
        write("future", GREET.format(who="the future"), requires="trainer-host>=99"),
    ]
    return install([PACKAGES / "trainer-summary", *packages], folder)


@pytest.fixture
def command(tmp_path: Path, site: Path) -> Trainer:
    return Trainer(tmp_path, (site,))


def test_help_names_them_with_their_package_and_imports_none(command: Trainer) -> None:
    shown = command("--help").out.partition("Commands of plugins:\n")[2].split("\n")
    assert [line.split() for line in shown if line] == [
        ["fails", "from", "trainer-fails", "1.5"],
        ["greet", "from", "trainer-greet", "1.5"],
        ["no-command", "from", "trainer-no-command", "1.5"],
        ["no-import", "from", "trainer-no-import", "1.5"],
        ["summary", "from", "trainer-summary", "1.0"],
    ]


def test_one_is_called_like_the_hosts_own(command: Trainer) -> None:
    assert command("greet").out == "from greet\n"
    assert command("greet", "--code", 4, code=ExitCode.DATASET).out == "from greet\n"
    assert command("trainer-greet:greet").out == "from greet\n"
    assert "Usage: trainer greet [OPTIONS]" in command("greet", "--help").out
    assert "Did you mean 'greet'?" in command("gret", code=ExitCode.USAGE).err


def test_they_are_listed_as_other_plugins_are(command: Trainer) -> None:
    records = {(r["distribution"], r["name"]): r for r in command("plugins", "--check", "--json").json["plugins"]}
    assert {r["kind"] for (distribution, _), r in records.items() if distribution != "trainer-host"} == {"command"}
    assert {key[0]: r["state"] for key, r in records.items() if r["kind"] == "command"} == {
        "trainer-fails": "available",
        "trainer-first": "conflict",
        "trainer-future": "incompatible",
        "trainer-greet": "available",
        "trainer-no-command": "broken",
        "trainer-no-import": "broken",
        "trainer-rival": "conflict",
        "trainer-second": "conflict",
        "trainer-summary": "available",
    }
    said = "trainer-host has a command 'run'; call this one as trainer-rival:run."
    assert records["trainer-rival", "run"]["reason"] == said
    assert "is not a click command" in records["trainer-no-command", "no-command"]["reason"]
    assert "AssertionError: imported" in records["trainer-no-import", "no-import"]["reason"]
    assert command("plugins", "show", "summary").out == (
        "summary (command)\n  package  trainer-summary 1.0\n  from     trainer_summary:summary\n"
        "  usage    trainer summary --help\n"
    )


def test_no_package_takes_a_command_of_the_hosts(command: Trainer) -> None:
    assert "Train a model." in command("run", "--help").out
    assert command("trainer-rival:run").out == "from rival\n"


def test_one_that_cannot_be_used_says_why_in_a_line(command: Trainer) -> None:
    for name, said in {
        "twice": "Fix: write trainer trainer-first:twice, or switch the other off with TRAINER_NO_PLUGIN=DISTRIBUTION",
        "future": "requires trainer-host>=99",
        "no-command": "trainer_no_command:PLUGIN is not a click command.",
        "no-import": "command 'no-import' from trainer-no-import 1.5 is broken: AssertionError: imported.",
    }.items():
        done = command(name, code=ExitCode.PLUGIN)
        assert len(done.said) == 1
        assert said in done.said[0]
    assert command.having(TRAINER_NO_PLUGIN="trainer-first")("twice").out == "from second\n"
    off = command.having(TRAINER_NO_PLUGIN="greet")
    assert "switched off" in off("greet", code=ExitCode.PLUGIN).err
    assert "greet" not in off("--help").out


def test_an_error_in_one_names_its_package(command: Trainer) -> None:
    done = command.python("-m", "trainer_host", "fails", "--json")
    assert done.code == ExitCode.PLUGIN
    first, head, step, *_ = done.err.splitlines()
    said = "trainer: command 'fails' from trainer-fails 1.5 failed in its function PLUGIN: "
    assert first == f"{said}ZeroDivisionError: division by zero. Fix: report this to the maintainers of trainer-fails"
    assert head == "Traceback (most recent call last):"
    assert step.endswith('trainer_fails/__init__.py", line 10, in PLUGIN')
    assert '"plugin": "fails", "distribution": "trainer-fails", "hook": null' in done.out


@pytest.mark.train
def test_the_summary_of_a_run(command: Trainer) -> None:
    data = pose_dataset(command.folder / "figures", images=4)
    small = ["model=yolo11n-pose.yaml", "imgsz=32", "epochs=2", "batch=4", "plots=False"]
    folder = command("run", f"data={data}", *small, "--json").json["save_dir"]
    found = command("summary", folder, "--json").json
    assert (found["task"], found["status"], found["epochs"]) == ("pose", "done", 2)
    assert found["by"] == "metrics/mAP50-95(P)" in found["metrics"]
    assert f"epoch {found['best']} of 2 is the best by metrics/mAP50-95(P)" in command("summary", folder).out
    assert "It has metrics/precision(B)" in command("summary", folder, "--by", "x", code=ExitCode.SETTINGS).said[0]
    none = command("summary", "nowhere", "--json", code=ExitCode.SETTINGS)
    assert none.json["problems"][0]["fix"] == "give the folder of a run that trained an epoch"
