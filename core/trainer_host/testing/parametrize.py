"""Checks as tests of pytest, one each."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem
from trainer_host.plugin.plugin_objects import record_of_object
from trainer_host.plugin.plugin_spec import TaskSpec
from trainer_host.plugin.registry import Registry
from trainer_host.testing.check_outcome import Check, CheckFailedError
from trainer_host.testing.verification import checks_for, workbench

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pytest

    from trainer_host.plugin.discovery import Kind
    from trainer_host.plugin.plugin_spec import ExtensionSpec
    from trainer_host.testing.bench import Bench


@dataclass
class _Shared:
    """The bench of one plugin, made for its first check."""

    plugin: TaskSpec | ExtensionSpec | str
    given: dict[str, Any]
    bench: Bench | None = field(default=None)

    @property
    def kind(self) -> Kind:
        if isinstance(self.plugin, str):
            short = self.plugin.rpartition(":")[2]
            kinds = {r.kind for r in Registry.installed().records if r.name == short}
            return "extension" if kinds == {"extension"} else "task"
        return "task" if isinstance(self.plugin, TaskSpec) else "extension"

    def opened(self) -> Bench:
        if self.bench is None:
            stack = ExitStack()
            atexit.register(stack.close)  # the items of pytest have no common end
            self.bench = stack.enter_context(workbench(self.plugin, **self.given))
        return self.bench


@dataclass(frozen=True)
class PluginCheck:
    """A check of one plugin, for a test to call."""

    check: Check
    shared: _Shared = field(repr=False)

    def __call__(self) -> None:
        """Run the check; a check that cannot be run skips the test.

        Raises:
            CheckFailedError: If the plugin does not pass it.
        """
        import pytest

        outcome = self.shared.opened().outcome(self.check)
        if outcome.state == "skipped":
            pytest.skip(outcome.found)
        if outcome.state == "failed":
            raise CheckFailedError(str(Problem(outcome.found, outcome.fix)))


def parametrize_with_checks(
    plugins: Sequence[TaskSpec | ExtensionSpec | str], *, checks: Collection[str] = (), **given: Any
) -> pytest.MarkDecorator:
    """Return a decorator that parametrizes a test by ``check``, for each check of each plugin.

    Args:
        plugins: Tasks and extensions, or the names of installed ones.
        checks: The names of the checks to run; all if omitted.
        given: Further arguments of `check_plugin`: ``name``, ``task``, ``data``, ``options``,
            ``settings``, ``others``.
    """
    import pytest

    items = []
    for plugin in plugins:
        shared = _Shared(plugin, given)
        label = plugin if isinstance(plugin, str) else record_of_object(plugin, given.get("name")).name
        items += [
            pytest.param(PluginCheck(check, shared), id=f"{label}-{check.name}")
            for check in checks_for(shared.kind, checks)
        ]
    return pytest.mark.parametrize("check", items)
