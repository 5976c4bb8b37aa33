"""Small packages for tests, good and broken, written on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.5"
dependencies = ["{requires}"]

[project.entry-points."trainer_host.{group}"]
{name} = "{module}:PLUGIN"
"""

TASK = """\
from trainer_host import DatasetError, ExtensionSpec, Finding, Problem, TaskSpec, hookimpl

class Hooks:
{hooks}

PLUGIN = TaskSpec(hooks=Hooks(), base={base!r})
"""

READ = """
    @hookimpl
    def read_dataset(self, ctx):
        return {{"names": {{0: "a"}}, "train": "", "val": "", "channels": 3, "by": "{who}"}}
"""

CHECK = """
    @hookimpl
    def check_dataset(self, ctx):
        yield Finding("order", "checked by {who}, read by " + ctx.data["by"])
"""


def write_package(
    folder: Path, name: str, code: str, *, distribution: str = "", group: str = "tasks", requires: str = "trainer-host"
) -> Path:
    """Write a package with one plugin; return its folder."""
    distribution = distribution or f"trainer-{name}"
    module = distribution.replace("-", "_")
    package = folder / distribution
    (package / module).mkdir(parents=True)
    (package / module / "__init__.py").write_text(code, encoding="utf-8")
    fields = {"distribution": distribution, "requires": requires, "group": group, "name": name, "module": module}
    (package / "pyproject.toml").write_text(PYPROJECT.format(**fields), encoding="utf-8")
    return package


def task(*hooks: str, base: str | None = None) -> str:
    """Return the code of a task with these hooks."""
    return TASK.format(hooks="".join(hooks) or "    pass", base=base)


def extension(*hooks: str) -> str:
    """Return the code of an extension with these hooks."""
    return task(*hooks).replace("TaskSpec(hooks=Hooks(), base=None)", "ExtensionSpec(hooks=Hooks())")


def read(who: str) -> str:
    """Return a hook that reads any dataset, and says who did."""
    return READ.format(who=who)


def check(who: str) -> str:
    """Return a hook that finds fault with every dataset, and says who did."""
    return CHECK.format(who=who)


def chain_of_three(folder: Path) -> list[Path]:
    """Write tasks of depth one to three, each in a distribution of its own: leaf on middle on root."""
    return [
        write_package(folder, "root", task(read("root"), check("root"))),
        write_package(folder, "middle", task(read("middle"), check("middle"), base="root")),
        write_package(folder, "leaf", task(check("leaf"), base="middle")),
    ]


WRONG_SIGNATURE = """
    @hookimpl
    def callbacks(self, ctx, trainer):
        return {}
"""

UNKNOWN_HOOK = """
    @hookimpl
    def build_modell(self, ctx):
        return None
"""

ANSWERS_ITSELF = """
    @hookimpl
    def build_optimizer(self, ctx):
        return None
"""


def broken_packages(folder: Path) -> list[Path]:
    """Write a package for each way of being unusable."""
    plugins = {"group": "plugins"}
    return [
        write_package(folder, "no-module", "import a_module_that_is_not_there\n"),
        write_package(folder, "no-syntax", "def PLUGIN(:\n", **plugins),
        write_package(folder, "no-object", "PLUGIN = 'a text'\n"),
        write_package(folder, "leaves", "raise SystemExit(3)\n"),
        write_package(folder, "wrong-signature", extension(WRONG_SIGNATURE), **plugins),
        write_package(folder, "unknown-hook", task(read("it"), UNKNOWN_HOOK)),
        write_package(folder, "answers-itself", extension(ANSWERS_ITSELF), **plugins),
        write_package(folder, "no-base", task(base="nowhere")),
        write_package(folder, "future", task(read("it")), requires="trainer-host>=99"),
        write_package(folder, "twice", task(read("first"), check("first")), distribution="trainer-first"),
        write_package(folder, "twice", task(read("second"), check("second")), distribution="trainer-second"),
        write_package(folder, "pose", task(read("rival")), distribution="trainer-rival"),
    ]
