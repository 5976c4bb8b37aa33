"""Checks that train nothing: hooks, options, and the package's metadata."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError
from trainer_host.base.wording import counted
from trainer_host.plugin.chain import Member, hook_names
from trainer_host.plugin.discovery import HOST, normal
from trainer_host.plugin.hookspecs import HOOKS
from trainer_host.plugin.plugin_options import Option, describe_options, options_as_data, parse_options
from trainer_host.testing.check_outcome import CheckFailedError, CheckSkippedError, check
from trainer_host.version import __version__

if TYPE_CHECKING:
    from trainer_host.testing.bench import Bench

WRONG = ({"not": "valid"}, ["not", "valid"], "not valid", -1.5)
"""Values that no sensible option accepts all of."""
LISTING = """\
import sys
sys.path[:] = filter(None, sys.path)
from trainer_host.plugin.registry import Registry
found = [r.name for r in Registry.installed().records]
print(*(n for n in ({package!r}, "torch", {engine!r}) if n in sys.modules))
sys.exit({name!r} not in found)
"""


@check(
    "hooks",
    why="A hook of another name is never called, and one with other arguments cannot be.",
    fix="compare with docs/reference/hooks.md, and put @hookimpl on each",
    needs=(),
)
def hooks(bench: Bench) -> str:
    """Names and arguments of the hooks, and their markers."""
    member = Member(bench.subject.record, bench.subject.spec)
    try:
        found = hook_names(member)
    except PluginError as error:
        problem = error.problems[0]
        raise CheckFailedError(problem.message, problem.fix or "") from error
    unmarked = sorted(
        n for n in HOOKS.keys() - set(found) if _takes_a_context(getattr(bench.subject.spec.hooks, n, None))
    )
    if unmarked:
        names = ", ".join(unmarked)
        raise CheckFailedError(f"{names}: not marked as a hook, so never called.", "put @hookimpl above it")
    if not found:
        raise CheckFailedError("the plugin implements no hooks.", "give an object with @hookimpl methods")
    return f"{counted(len(found), 'hook')}: {', '.join(found)}."


def _takes_a_context(attribute: object) -> bool:
    return callable(attribute) and "ctx" in getattr(getattr(attribute, "__code__", None), "co_varnames", ())


@check(
    "host-version",
    why="Without a lower bound, pip installs the plugin next to a host that is too old for it.",
    fix='require the release that you test with: dependencies = ["trainer-host>=X"]',
    needs=(),
)
def host_version(bench: Bench) -> str:
    """The host's version that the package requires."""
    from importlib import metadata

    from packaging.requirements import Requirement

    if not bench.subject.installed:
        raise CheckSkippedError("the plugin is not installed from a package.")
    distribution = bench.subject.record.distribution
    if normal(distribution) == HOST:
        return "the plugin is part of the host."
    lines = [Requirement(line) for line in metadata.requires(distribution) or []]
    ours = [r for r in lines if normal(r.name) == HOST]
    if not ours:
        raise CheckFailedError(f"{distribution} does not require {HOST}.")
    for requirement in ours:
        if not any(s.operator in {">=", ">", "==", "~=", "==="} for s in requirement.specifier):
            raise CheckFailedError(f"{distribution} requires {requirement}, without a lower bound.")
        if not requirement.specifier.contains(__version__, prereleases=True):
            raise CheckFailedError(f"{distribution} requires {requirement}, but {__version__} is installed.")
    return f"{distribution} requires {ours[0]}."


@check(
    "options",
    why="A wrong value that is not refused before a run fails hours later, or never.",
    fix="give every option a default, and annotate its type",
)
def options(bench: Bench) -> str:
    """Options: defaults, values of a wrong type, and unknown names."""
    name, declared = bench.subject.name, bench.subject.spec.options
    if declared is None:
        return "the plugin has no options."
    if not (dataclasses.is_dataclass(declared) or hasattr(declared, "model_fields")):
        raise CheckFailedError(f"{declared.__name__} is neither a dataclass nor a pydantic model.")
    defaults, problems = parse_options(name, declared, {})
    if problems:
        raise CheckFailedError(f"without any option given: {problems[0]}")
    kept = options_as_data(defaults)
    again, problems = parse_options(name, declared, kept)
    if problems or again != defaults:
        reason = problems[0] if problems else f"{kept} is read back as {again}."
        raise CheckFailedError(f"the defaults cannot be stored with the run: {reason}")
    described = describe_options(declared)
    if loose := [o.name for o in described if not _refuses(name, declared, o)]:
        raise CheckFailedError(f"{', '.join(loose)}: accepts any value.")
    if not parse_options(name, declared, {"no_such_option_1": 1})[1]:
        raise CheckFailedError("an unknown option is not refused.")
    return f"{counted(len(described), 'option')}: defaults are valid, wrong values are refused."


def _refuses(name: str, declared: type[Any], option: Option) -> bool:
    return any(parse_options(name, declared, {option.name: value})[1] for value in WRONG)


@check(
    "listing-imports-nothing",
    why="Every command lists plugins; a slow or broken import would affect all of them.",
    fix="do not import the plugin when Python starts: no .pth file, no sitecustomize",
    needs=(),
)
def listing_imports_nothing(bench: Bench) -> str:
    """Imports of the plugin, torch or the engine while plugins are listed."""
    if not bench.subject.installed:
        raise CheckSkippedError("the plugin is not installed from a package.")
    code = LISTING.format(package=bench.subject.package, engine=bench.subject.engine.name, name=bench.subject.name)
    environment = {**os.environ, "PYTHONPATH": _path()}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    if done.returncode:
        raise CheckFailedError(f"listing fails: {(done.stderr.strip() or 'the plugin is not listed').splitlines()[-1]}")
    if imported := done.stdout.split():
        raise CheckFailedError(f"listing imports {', '.join(imported)}.")
    return "listing plugins reads metadata only."


def _path() -> str:
    return os.pathsep.join(p for p in sys.path if p)
