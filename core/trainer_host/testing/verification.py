"""Making all checks of a plugin."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import SettingsError, unknown
from trainer_host.plugin.plugin_loading import load_file
from trainer_host.testing import checks as _checks  # noqa: F401 - registers the checks
from trainer_host.testing.bench import Bench
from trainer_host.testing.check_outcome import CHECKS, Check, Outcome
from trainer_host.testing.plugin_under_test import given_subject, installed_subject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from trainer_host.plugin.discovery import Kind
    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec


class VerificationError(AssertionError):
    """A plugin does not pass some of the checks.

    Attributes:
        outcomes: What all of them found.
    """

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes
        super().__init__("\n".join(str(o) for o in outcomes if o.state == "failed"))


def check_task(
    task: TaskSpec | str,
    *,
    name: str | None = None,
    data: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    beside: Mapping[str, TaskSpec | ExtensionSpec] | None = None,
    checks: Collection[str] = (),
) -> list[Outcome]:
    """Make all checks of a task.

    Args:
        task: The task, or the name of an installed one.
        name: Its name; the installed task's own, or that of its module without it.
        data: A dataset to use instead of the task's sample.
        options: Values by plugin and option.
        settings: Engine keys that go before those of the kit, such as ``model``. Paths start where the call is made.
        beside: Other plugins that are there, by name: such as tasks that it builds on and that are not installed.
        checks: The checks to make; all without it.

    Returns:
        What they found; some may have been skipped.

    Raises:
        VerificationError: If one of them failed.
    """
    with workbench(task, name=name, data=data, options=options, settings=settings, beside=beside) as bench:
        return _raised(made(bench, checks))


def check_extension(
    extension: ExtensionSpec | str,
    *,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    data: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    beside: Mapping[str, TaskSpec | ExtensionSpec] | None = None,
    checks: Collection[str] = (),
) -> list[Outcome]:
    """Make all checks of an extension, with a task.

    Args:
        extension: The extension, the name of an installed one, or the path of a Python file.
        name: Its name; the installed extension's own, or that of its module without it.
        task: The task that it is tried with; without it the first installed one that has a sample and no base.
        data: A dataset to use instead of the task's sample.
        options: Values by plugin and option.
        settings: Engine keys that go before those of the kit, such as ``model``. Paths start where the call is made.
        beside: Other plugins that are there, by name.
        checks: The checks to make; all without it.

    Returns:
        What they found; some may have been skipped.

    Raises:
        VerificationError: If one of them failed.
    """
    with workbench(
        extension, name=name, task=task, data=data, options=options, settings=settings, beside=beside
    ) as bench:
        return _raised(made(bench, checks))


@contextmanager
def workbench(
    plugin: TaskSpec | ExtensionSpec | str,
    *,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    data: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    beside: Mapping[str, TaskSpec | ExtensionSpec] | None = None,
) -> Iterator[Bench]:
    """Yield what the checks of a plugin share: its trainings, and a folder that is removed on leaving."""
    with ExitStack() as stack:
        if isinstance(plugin, str) and plugin.endswith(".py"):
            file = Path(plugin).expanduser().resolve()
            record, spec = load_file(file)
            subject = stack.enter_context(given_subject(spec, record.name, task, beside, file))
        elif isinstance(plugin, str):
            subject = installed_subject(plugin, task if isinstance(task, str) else None)
        else:
            subject = stack.enter_context(given_subject(plugin, name, task, beside))
        engine_keys = dict(settings or {})
        source = engine_keys.pop("data", None) if data is None else data
        source = str(Path(source).absolute()) if source is not None else None
        yield stack.enter_context(closing(Bench(subject, source, options or {}, engine_keys)))


def checks_for(kind: Kind, names: Collection[str] = ()) -> list[Check]:
    """Return the checks of a kind of plugin, or those that are named.

    Raises:
        SettingsError: If there is no check of a name.
    """
    if problems := [unknown("check", name, CHECKS) for name in names if name not in CHECKS]:
        raise SettingsError(*problems)
    return [c for c in CHECKS.values() if kind in c.kinds and (not names or c.name in names)]


def made(bench: Bench, names: Collection[str] = ()) -> list[Outcome]:
    """Make checks and return what they found."""
    return list(making(bench, names))


def making(bench: Bench, names: Collection[str] = ()) -> Iterator[Outcome]:
    """Make checks and yield what each found as soon as it is known."""
    for check in checks_for(bench.subject.record.kind, names):
        yield bench.outcome(check)


def _raised(outcomes: list[Outcome]) -> list[Outcome]:
    if any(o.state == "failed" for o in outcomes):
        raise VerificationError(outcomes)
    return outcomes
