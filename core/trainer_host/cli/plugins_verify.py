"""``trainer plugins verify``: the checks of a plugin, one line each."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import click

from trainer_host.base.child_process import module_command
from trainer_host.base.display import escaped
from trainer_host.base.errors import ExitCode
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from trainer_host.testing import CheckOutcome

WORDS = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}


@click.command()
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--task", metavar="NAME", help="Task to try an extension with.")
@click.option("--data", metavar="FILE", type=click.Path(exists=True), help="Dataset instead of the task's sample.")
@click.option("--check", "names", multiple=True, metavar="CHECK", help="Run only this check; repeatable.")
@click.option("--engine", metavar="VERSION", help="Release of the engine to check with.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def verify(
    name: str,
    settings: tuple[str, ...],
    task: str | None,
    data: str | None,
    names: tuple[str, ...],
    engine: str | None,
    as_json: bool,
) -> int:
    """Check that a plugin keeps its contract, with short trainings on a tiny dataset.

    NAME is an installed plugin, a package that brings one, or a Python file. Options of plugins and engine keys are
    written as for a run.
    """
    if engine is not None:
        return _with_engine(engine, [name, *settings], task, data, names, as_json)
    from trainer_host.base.request import from_command
    from trainer_host.testing.verification import checks_for, run_checks, workbench

    outcomes: list[CheckOutcome] = []
    given = from_command("run", settings, {})
    with workbench(name, task=task, data=data, options=given.plugin_options, settings=given.values) as bench:
        checks_for(bench.subject.record.kind, names)
        used = bench.subject.engine
        used.load()
        for outcome in run_checks(bench, names):
            outcomes.append(outcome)
            if not as_json:
                _print(outcome)
    failed = [o for o in outcomes if o.state == "failed"]
    if as_json:
        _emit(name, used.version(), outcomes)
    else:
        click.echo(f"{escaped(name)}: {counted(len(outcomes), 'check')}, {len(failed)} failed.", err=True)
    return int(ExitCode.PLUGIN if failed else ExitCode.DONE)


def _print(outcome: CheckOutcome) -> None:
    click.echo(f"{WORDS[outcome.state]:<8} {outcome.check:<27} {escaped(outcome.found)}")
    if outcome.fix:
        click.echo(f"{'':<8} {'':<27} Fix: {escaped(outcome.fix)}")


def _emit(name: str, release: str, outcomes: list[CheckOutcome]) -> None:
    from trainer_host.cli.main import emit

    found: dict[str, Any] = {"plugin": name, "engine": release}
    emit({**found, "ok": all(o.state != "failed" for o in outcomes), "checks": [o.as_json() for o in outcomes]})


def _with_engine(
    version: str, given: list[str], task: str | None, data: str | None, names: tuple[str, ...], as_json: bool
) -> int:
    """Run the command in a process that imports another release of the engine."""
    from trainer_host.engine.factory import default_engine
    from trainer_host.testing.engine_overlay import engine_overlay, environment_with

    words = [*given, *(f"--check={n}" for n in names)]
    words += [f"--{option}={value}" for option, value in (("task", task), ("data", data)) if value]
    command = module_command("trainer_host", "plugins", "verify", *words, *(["--json"] if as_json else []))
    click.echo(f"With {default_engine().name} {escaped(version)}:", err=True)
    done = subprocess.run(command, check=False, env=environment_with(engine_overlay(version)))  # noqa: S603
    return done.returncode
