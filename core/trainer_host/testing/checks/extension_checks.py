"""Checks of extensions next to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.chain import Member, hook_names
from trainer_host.plugin.markers import hookimpl
from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, check

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainer_host.testing.bench import Bench

OTHER = "does-nothing"


def _passing(_: object) -> Generator[None, Any, Any]:
    return (yield)


@check(
    "composes",
    why="Users switch on several extensions at once.",
    fix="build on the answer that yield returns, and do not rely on a position among the wrappers",
    kinds=("extension",),
    needs=("trains", "same-seed", "two-runs-in-one-process"),
)
def composes(bench: Bench) -> str:
    """Weights next to an extension that wraps the same hooks and does nothing."""
    subject = bench.subject
    names = hook_names(Member(subject.record, subject.spec))
    wrapper = type("DoesNothing", (), {name: hookimpl(wrapper=True)(_passing) for name in names})()
    others = {OTHER: wrapper}
    for where, plugins in (("before", [OTHER, subject.name]), ("after", [subject.name, OTHER])):
        try:
            seen = bench.training(where, stop_after=1, plugins=plugins, others=others).recording
        except Exception as error:
            raise CheckFailedError(f"with a wrapper that does nothing {where} it: {reason(error)}.") from error
        if seen.weights[0] != bench.first().recording.weights[0]:
            raise CheckFailedError(f"with a wrapper that does nothing {where} it, the weights differ.")
    return f"the same weights next to a wrapper of {', '.join(names)}."


@check(
    "off-is-off",
    why="An extension that is not switched on must have no effect, also after a run with it.",
    fix="change only what hooks get and return; never assign to a name of torch, the engine or the task",
    kinds=("extension",),
    needs=("trains",),
)
def off_is_off(bench: Bench) -> str:
    """Runs without the extension, before and after one with it."""
    before = bench.before()
    after = bench.training("without-after", stop_after=1, plugins=()).recording.weights[0]
    if after != before.recording.weights[0]:
        raise CheckFailedError("a run without the extension gives other weights after one with it.")
    return "a run without it gives the same weights before and after one with it."
