"""``trainer plugins new``: a package for a plugin of one's own, whose tests pass at once."""

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
from trainer_host.version import ENGINE_TESTED, __version__

TEMPLATES = Path(__file__).parents[1] / "templates"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
RENAMED = {"github": ".github", "gitignore": ".gitignore"}
"""Names that would have a meaning of their own inside of the host's package."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["task", "extension"]), required=True, help="What the plugin is.")
@click.option("--base", metavar="TASK", help="The task that a task builds on; without it the task is all its own.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the package's folder is made; the working folder if left out.",
)
def new(name: str, kind: str, base: str | None, folder: Path) -> None:
    """Write a package for a plugin; nothing is overwritten, and nothing fetched."""
    registry = Registry.installed()
    name = plugin_name(name, registry)
    if base is not None:
        if kind == "extension":
            raise SettingsError(Problem("an extension has no base.", "Leave out --base, or write --kind task."))
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
    """Return a plugin's name as packages are called, without the prefix that their distributions have.

    Raises:
        SettingsError: If no package can have the name, or if an installed plugin has it.
    """
    name = normal(text).removeprefix("trainer-")
    if not NAME.fullmatch(name):
        fix = "Write small letters, digits and hyphens, such as my-task."
        raise SettingsError(Problem(f"{text!r} cannot be the name of a plugin.", fix))
    if name == "host":
        raise SettingsError(Problem("trainer-host is the host itself.", "Choose another name."))
    taken = next((r for r in registry.records if r.name == name), None)
    if taken is not None:
        what = f"the {taken.kind} {name!r} is there already, from {taken.origin}."
        raise SettingsError(Problem(what, "Choose another name: plugins share one space of names."))
    return name


def write_package(package: Path, name: str, kind: str, base: str | None) -> int:
    """Write the package's files into a new folder and return how many there are.

    Raises:
        SettingsError: If the folder is there already.
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
        "engine": ENGINE_TESTED.partition(",")[0].lstrip("><=~"),
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
        what = f"{package} is there already, and nothing is overwritten."
        raise SettingsError(Problem(what, "Choose another name, or give --folder DIR.")) from error
    except OSError as error:
        raise StorageError(Problem(f"the package cannot be written: {error.strerror}.", where=str(package))) from error
    return len(files)


def host_versions(version: str) -> dict[str, str]:
    """Return which releases of the host a plugin that is written today can use, and the oldest of them.

    What is public goes only with the first number of the version, so that is where the range ends.
    """
    major, minor = version.split(".")[:2]
    return {"host": f">={major}.{minor},<{int(major) + 1}", "oldest": f"~={major}.{minor}.0"}
