"""``trainer doctor``: the state of the installation, for people and for bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainer_host.base.display import escaped
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.session.diagnosis import Diagnosis


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Import neither torch nor plugins: metadata only, no devices.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def doctor(quick: bool, as_json: bool) -> int:
    """Show versions, devices, limits, plugins, and problems of the installation.

    Secrets in environment variables are not shown. The exit code is 3 for a problem of the environment, 5 if only
    plugins have problems, and 0 otherwise.
    """
    from trainer_host.session.diagnosis import diagnose

    found = diagnose(quick)
    if as_json:
        from trainer_host.cli.main import emit

        emit(found.as_json())
        return int(found.exit_code)
    for title, rows in sections(found).items():
        click.echo(title)
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            click.echo(escaped(f"  {name.ljust(width)}  {value}"))
    for kind, colour, problems in (("error", "red", found.problems), ("warning", "yellow", found.warnings)):
        for problem in problems:
            click.echo(f"{click.style(kind, fg=colour)}: {problem}")
    click.echo(f"{counted(len(found.problems), 'problem') if found.problems else 'No problems'} found.", err=True)
    return int(found.exit_code)


def sections(found: Diagnosis) -> dict[str, list[tuple[str, str]]]:
    """Return the lines to show, by title: a name and a value each."""
    processors = found.processors
    limit = processors["cgroup_limit"]
    usable = f"{processors['count']}, of which this process may use {processors['affinity'] or processors['count']}"
    devices = [(d["device"], _device(d)) for d in found.devices.get("devices", ())]
    return {
        "Versions": [(name, version) for name, version in found.versions.items() if version],
        "Engine": [("state", _state(found.engine)), ("tested", ", ".join(found.engine.get("tested", ())))],
        "Devices": devices or [("skipped", "run without --quick") if not found.devices else ("none", "torch failed")],
        "Processors": [
            ("processors", usable + (f"; limited to {limit:g} by the container" if limit else "")),
            *([("torch threads", str(found.devices["threads"]))] if "threads" in found.devices else []),
        ],
        "Memory": [(name.replace("_", " "), _size(value)) for name, value in found.memory.items() if value is not None],
        "Disk": [
            ("runs", f"{found.disk['folder']}, {_size(found.disk['free'])} free"),
            ("cache", f"{found.cache['folder']}, {_size(found.cache['size'])}, {_size(found.cache['free'])} free"),
        ],
        "Plugins": [(r.name, f"{r.kind}, {r.state}, {r.origin}") for r in found.plugins],
        "Environment": _pairs(found.environment),
        "Network": _network(found.network),
    }


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in values.items()] or [("none", "no variable with an effect is set")]


def _network(network: Mapping[str, Any]) -> list[tuple[str, str]]:
    fetching = "refused (TRAINER_OFFLINE)" if network["offline"] else "only what you ask for by name"
    return [("downloads", fetching), *((name, _joined(network[name])) for name in ("trackers", "proxies"))]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _state(engine: Mapping[str, Any]) -> str:
    if not engine:
        return "not installed"
    state = engine["state"]
    return state if isinstance(state, str) else f"changed: {', '.join(state['changed'])}"


def _device(device: Mapping[str, Any]) -> str:
    return f"{device['name']}, {_size(device['memory'])}" if "memory" in device else "available"


def _size(value: int | None) -> str:
    if value is None:
        return "unknown"
    return f"{value / (1 << 30):.1f} GiB" if value >= 1 << 28 else f"{value / (1 << 20):.1f} MiB"
