"""What plugins bring by name, joined; two that claim the same name are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pluggy


def joined(caller: pluggy.HookCaller, what: str, **arguments: Any) -> dict[str, Any]:
    """Return the mappings with which plugins answer a hook as one.

    Args:
        caller: The hook.
        what: What its names stand for, for the message.
        arguments: What the hook is given.

    Raises:
        PluginError: If two plugins bring the same name.
    """
    found: dict[str, Any] = {}
    for answer in caller(**arguments):
        for name in answer or ():
            if name in found:
                who = " and ".join(claimants(caller, name, arguments))
                raise PluginError(Problem(f"{who} both bring the {what} {name!r}.", "Leave one of them out."))
            found[name] = answer[name]
    return found


def claimants(caller: pluggy.HookCaller, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the plugins whose answer to a hook has a name, for people."""
    for impl in caller.get_hookimpls():
        if impl.wrapper or impl.hookwrapper:
            continue
        answer: Any = impl.function(*(arguments[a] for a in impl.argnames))
        if name in (answer or ()):
            kind, _, plugin = impl.plugin_name.partition(":")
            yield f"{kind} {plugin!r}"
