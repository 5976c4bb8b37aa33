"""``trainer plugins new``: a package for a new plugin, whose tests pass at once."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from string import Template

import click

from trainer_host.base.display import escaped
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.plugin.discovery import normal
from trainer_host.plugin.registry import Registry
from trainer_host.version import ENGINE_WINDOW, __version__

TEMPLATES = Path(__file__).parents[1] / "templates"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
RENAMED = {"github": ".github", "gitignore": ".gitignore"}
"""Names that would have a meaning inside the host's package."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["task", "extension"]), required=True, help="Kind of plugin.")
@click.option("--base", metavar="TASK", help="Task to build on; by default the task has its own network and data.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder to write the package into; the working folder if omitted.",
)
def new(name: str, kind: str, base: str | None, folder: Path) -> None:
    """Write a package for a new plugin; nothing is overwritten or fetched."""
    registry = Registry.installed()
    name = plugin_name(name, registry)
    if base is not None:
        if kind == "extension":
            raise SettingsError(Problem("--base is for tasks only.", "remove --base, or add --kind task"))
        base = registry.select(base, "task").name
    package = folder / f"trainer-{name}"
    count = write_package(package, name, kind, base)
    task = next((r.name for r in registry.available("task")), "TASK")
    run = f"--task {name}" if kind == "task" else f"--task {task} --plugin {name}"
    shown = escaped(package)
    click.echo(f"Wrote {count} files in {shown}. Next:\n")
    click.echo(f'  pip install -e "{shown if package.is_absolute() else f"./{shown}"}[test]"')
    click.echo(f"  pytest {shown}")
    click.echo(f"  trainer run {run}")


def plugin_name(text: str, registry: Registry) -> str:
    """Return a plugin's name as packages are named, without the prefix of their distributions.

    Raises:
        SettingsError: If the name is invalid, or if an installed plugin has it.
    """
    name = normal(text).removeprefix("trainer-")
    if not NAME.fullmatch(name):
        fix = "write lower-case letters, digits and hyphens, such as my-task"
        raise SettingsError(Problem(f"{text!r} is not a valid plugin name.", fix))
    if name == "host":
        raise SettingsError(Problem("the name host is reserved.", "choose another name"))
    taken = next((r for r in registry.records if r.name == name), None)
    if taken is not None:
        what = f"{taken.kind} {name!r} already exists, from {taken.origin}."
        raise SettingsError(Problem(what, "choose another name: tasks, extensions and commands share one namespace"))
    return name


def write_package(package: Path, name: str, kind: str, base: str | None) -> int:
    """Write the package's files into a new folder and return how many there are.

    Raises:
        SettingsError: If the folder already exists.
        StorageError: If it cannot be written.
    """
    values = {
        "name": name,
        "kind": kind,
        "base": base or "",
        "distribution": f"trainer-{name}",
        "module": f"trainer_{name.replace('-', '_')}",
        "group": "tasks" if kind == "task" else "plugins",
        "attribute": "TASK" if kind == "task" else "EXTENSION",
        "engine": ENGINE_WINDOW.partition(",")[0].lstrip("><=~"),
        **host_versions(__version__),
    }
    files = {"LICENSE": metadata.distribution("trainer-host").read_text("licenses/LICENSE") or ""}
    for part in ("common", "task_with_base" if base else kind):
        for template in sorted((TEMPLATES / part).rglob("*.template")):
            place = [RENAMED.get(p, p) for p in template.relative_to(TEMPLATES / part).with_suffix("").parts]
            path = "/".join(values["module"] if p == "module" else p for p in place)
            files[path] = Template(template.read_text(encoding="utf-8")).substitute(values)
    try:
        package.mkdir(parents=True)
        for path, text in files.items():
            (package / path).parent.mkdir(parents=True, exist_ok=True)
            (package / path).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        what = f"{package} already exists."
        raise SettingsError(Problem(what, "choose another name, or give --folder DIR")) from error
    except OSError as error:
        raise StorageError(Problem(f"cannot write the package: {error.strerror}.", where=str(package))) from error
    return len(files)


def host_versions(version: str) -> dict[str, str]:
    """Return the releases of the host that a plugin written today can use, and the oldest of them.

    Public names are removed only in a major release, so the range ends there.
    """
    major, minor = version.split(".")[:2]
    return {"host": f">={major}.{minor},<{int(major) + 1}", "oldest": f"~={major}.{minor}.0"}
