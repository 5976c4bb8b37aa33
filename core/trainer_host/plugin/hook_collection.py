"""What single plugins answer to a hook that everybody answers; names that two of them claim are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pluggy import HookCaller

    from trainer_host.plugin.chain import HookManager


def implementers(manager: HookManager, hook: str) -> Iterator[tuple[str, HookCaller]]:
    """Yield each plugin that answers a hook, as kind and name (``extension:cbam``), and what asks it alone."""
    own = [i for i in getattr(manager.hook, hook).get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    for impl in reversed(own):  # the order in which pluggy calls them
        others = [i.plugin for i in own if i is not impl]
        yield impl.plugin_name, manager.subset_hook_caller(hook, others)


def answers(manager: HookManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
    """Yield the kind and name of each plugin that answers a hook, and what it answers."""
    for plugin, caller in implementers(manager, hook):
        yield from ((plugin, answer) for answer in caller(**arguments))


def mappings(manager: HookManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind and name of each plugin that answers a hook, and the mapping that it answers.

    Raises:
        PluginError: If one answers something else.
    """
    for plugin, answer in answers(manager, hook, **arguments):
        if not isinstance(answer, Mapping):
            what = f"{told(plugin)} answers the hook {hook!r} with a {type(answer).__name__}, not a mapping."
            raise PluginError(Problem(what, "Return a dict, by name."))
        yield plugin, answer


def told(plugin: str) -> str:
    """Return the kind and name under which a plugin is registered, for people."""
    kind, _, name = plugin.partition(":")
    return f"{kind} {name!r}"


def joined(manager: HookManager, hook: str, what: str, **arguments: Any) -> dict[str, Any]:
    """Return the mappings with which plugins answer a hook as one; see `claimed`."""
    return {name: value for name, (_, value) in claimed(manager, hook, what, **arguments).items()}


def claimed(manager: HookManager, hook: str, what: str, **arguments: Any) -> dict[str, tuple[str, Any]]:
    """Return the mappings with which plugins answer a hook as one: for each name the plugin, for people, and the value.

    Args:
        manager: The plugins.
        hook: The hook's name.
        what: What the names in the mappings stand for, for the message.
        arguments: What the hook is given.

    Raises:
        PluginError: If two plugins bring the same name, or one answers something else than a mapping.
    """
    found: dict[str, tuple[str, Any]] = {}
    for plugin, answer in mappings(manager, hook, **arguments):
        owner = told(plugin)
        for name, value in answer.items():
            if name in found:
                problem = f"{found[name][0]} and {owner} both bring the {what} {name!r}."
                raise PluginError(Problem(problem, "Leave one of them out."))
            found[name] = owner, value
    return found
