"""Running all checks of a plugin."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import SettingsError, unknown
from trainer_host.testing import checks as _checks  # noqa: F401 - registers the checks
from trainer_host.testing.bench import Bench
from trainer_host.testing.check_outcome import CHECKS, Check, CheckOutcome
from trainer_host.testing.plugin_under_test import given_subject, installed_subject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from trainer_host.plugin.discovery import Kind
    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec


class VerificationError(AssertionError):
    """A plugin does not pass some of the checks.

    Attributes:
        outcomes: The outcomes of all of them.
    """

    def __init__(self, outcomes: list[CheckOutcome]) -> None:
        self.outcomes = outcomes
        super().__init__("\n".join(str(o) for o in outcomes if o.state == "failed"))


def check_plugin(
    plugin: Any,
    *,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    data: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    others: Mapping[str, TaskSpec | ExtensionSpec] | None = None,
    checks: Collection[str] = (),
) -> list[CheckOutcome]:
    """Run all checks of a plugin.

    Args:
        plugin: The plugin (a `TaskSpec`, an `ExtensionSpec`, or an object with `hookimpl` methods), the name of an
            installed one, or the path of an extension's Python file.
        name: Its name; if omitted, that of the installed plugin, or of its module or class.
        task: The task that an extension is tried with; if omitted, the first installed one that has a sample and no
            base.
        data: A dataset to use instead of the task's sample.
        options: Values by plugin and option.
        settings: Engine keys that take precedence over those of the kit, such as ``model``. Paths are relative to the
            working folder.
        others: Further plugins by name, such as tasks that it builds on and that are not installed.
        checks: The checks to run; all if omitted.

    Returns:
        The outcomes; some checks may have been skipped.

    Raises:
        VerificationError: If one of them failed.
    """
    with workbench(plugin, name=name, task=task, data=data, options=options, settings=settings, others=others) as bench:
        return _raised(list(run_checks(bench, checks)))


@contextmanager
def workbench(
    plugin: Any,
    *,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    data: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    others: Mapping[str, TaskSpec | ExtensionSpec] | None = None,
) -> Iterator[Bench]:
    """Yield what the checks of a plugin share: its trainings, and a folder that is removed on leaving."""
    if isinstance(plugin, str) and plugin.endswith(".py"):
        subject = given_subject(Path(plugin).expanduser().resolve(), None, task, others)
    elif isinstance(plugin, str):
        subject = installed_subject(plugin, task if isinstance(task, str) else None)
    else:
        subject = given_subject(plugin, name, task, others)
    engine_keys = dict(settings or {})
    source = engine_keys.pop("data", None) if data is None else data
    source = str(Path(source).absolute()) if source is not None else None
    with closing(Bench(subject, source, options or {}, engine_keys)) as bench:
        yield bench


def checks_for(kind: Kind, names: Collection[str] = ()) -> list[Check]:
    """Return the checks of a kind of plugin, or those that are named.

    Raises:
        SettingsError: If a name is unknown.
    """
    if problems := [unknown("check", name, CHECKS) for name in names if name not in CHECKS]:
        raise SettingsError(*problems)
    return [c for c in CHECKS.values() if kind in c.kinds and (not names or c.name in names)]


def run_checks(bench: Bench, names: Collection[str] = ()) -> Iterator[CheckOutcome]:
    """Run checks and yield each outcome as soon as it is known."""
    for check in checks_for(bench.subject.record.kind, names):
        yield bench.outcome(check)


def _raised(outcomes: list[CheckOutcome]) -> list[CheckOutcome]:
    if any(o.state == "failed" for o in outcomes):
        raise VerificationError(outcomes)
    return outcomes
