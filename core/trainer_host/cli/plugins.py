"""``trainer plugins``: what is installed, without importing any of it unless asked to."""

from __future__ import annotations

import click

from trainer_host.base.best_metric import BestMetric
from trainer_host.base.display import escaped
from trainer_host.cli.plugins_new import new
from trainer_host.cli.plugins_verify import verify
from trainer_host.plugin.discovery import FILE, PluginRecord
from trainer_host.plugin.registry import Registry


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option("--check", is_flag=True, help="Import each plugin in its own process, to find the broken ones.")
@click.option(
    "--no-plugin",
    "no_plugins",
    multiple=True,
    metavar="NAME",
    help="Switch off a plugin; also TRAINER_NO_PLUGIN.",
)
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, check: bool, no_plugins: tuple[str, ...]) -> None:
    """List the installed plugins; nothing is imported for it."""
    if ctx.invoked_subcommand is not None:
        return
    registry = Registry.installed(no_plugins)
    records = list(registry.records)
    if check:
        from trainer_host.plugin.import_check import check_all

        records = check_all(registry)
    if as_json:
        from trainer_host.cli.main import emit

        emit({"plugins": [r.as_json() for r in records]})
        return
    _print(records)


def _print(records: list[PluginRecord]) -> None:
    rows = [("NAME", "KIND", "STATE", "PACKAGE")]
    rows += [(escaped(r.name), r.kind, _state(r), escaped(r.origin)) for r in records]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row, record in zip(rows, [None, *records], strict=True):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())
        if record is not None and record.reason:
            click.echo(f"    {escaped(record.reason)}")
    click.echo("\nDetails: trainer plugins show NAME", err=True)


def _say(line: str) -> None:
    click.echo(escaped(line))


def _state(record: PluginRecord) -> str:
    return "always on" if record.always and record.state == "available" else record.state


def _kind(type_text: str, allowed: str) -> str:
    if type_text.startswith("Literal["):
        return f"one of {allowed}"
    return f"{type_text}: {allowed}" if allowed else type_text


@plugins.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def show(name: str, as_json: bool) -> None:
    """Show a plugin's package, chain, hooks and options.

    NAME is that of an installed plugin, of a package that brings one, or the path of an extension's file.
    """
    from trainer_host.plugin.import_check import describe

    found = describe(name, Registry.installed())
    if as_json:
        from trainer_host.cli.main import emit

        emit(found)
        return
    chain = " → ".join(found["chain"]) or "none: an extension works with every task"
    always = ", always on" if found["always"] else ""
    _say(f"{found['name']} ({found['kind']}{always})")
    if found["version"] == FILE:
        _say(f"  file     {found['distribution']}")
    else:
        _say(f"  package  {found['distribution']} {found['version']}")
        _say(f"  from     {found['target']}")
    if found["kind"] == "command":
        _say(f"  usage    trainer {found['name']} --help")
        return
    _say(f"  chain    {chain}")
    _say(f"  hooks    {', '.join(found['hooks']) or 'none'}")
    if about := found["defaults"]:
        _say(f"  model    {about['default_model'] or 'none'}, from scratch {about['scratch_model'] or 'none'}")
        best = BestMetric.parse(about["best_metric"])
        metrics = [*(m for m in about["metrics"] or () if m != best.name), f"{best.text} (selects best.pt)"]
        _say(f"  metrics  {', '.join(metrics) or 'none'}")
    _say("  options" + ("  none" if not found["options"] else ""))
    for option, about in found["options"].items():
        _say(f"    {found['name']}.{option}={about['default']}  ({_kind(about['type'], about['allowed'])})")
        if about["help"]:
            _say(f"        {about['help']}")


plugins.add_command(new)
plugins.add_command(verify)
