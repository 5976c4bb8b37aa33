"""Checks of extensions among others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.chain import Member, hook_names
from trainer_host.plugin.markers import hookimpl
from trainer_host.plugin.plugin_spec import ExtensionSpec
from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, check

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainer_host.testing.bench import Bench

BESIDE = "does-nothing"


def _passing(_: object) -> Generator[None, Any, Any]:
    return (yield)


@check(
    "composes",
    why="People switch on several extensions at once.",
    mend="Build on the answer that comes out of yield, and rely on no place among the wrappers.",
    kinds=("extension",),
    needs=("trains", "same-seed", "two-runs-in-one-process"),
)
def composes(bench: Bench) -> str:
    """Whether the weights stay the same beside an extension that wraps the same hooks and does nothing."""
    subject = bench.subject
    names = hook_names(Member(subject.record, subject.spec))
    wrapper = type("DoesNothing", (), {name: hookimpl(wrapper=True)(_passing) for name in names})()
    beside = {BESIDE: ExtensionSpec(hooks=wrapper)}
    for where, plugins in (("before", [BESIDE, subject.name]), ("after", [subject.name, BESIDE])):
        try:
            seen = bench.training(where, stop_after=1, plugins=plugins, beside=beside).recording
        except Exception as error:
            raise CheckFailedError(f"with a wrapper that does nothing {where} it: {reason(error)}.") from error
        if seen.weights[0] != bench.first().recording.weights[0]:
            raise CheckFailedError(f"with a wrapper that does nothing {where} it, the weights are others.")
    return f"beside a wrapper of {', '.join(names)} the weights stay the same."


@check(
    "off-is-off",
    why="Who does not ask for an extension must not get it, also after a run of somebody who did.",
    mend="Change what hooks are given and return; assign to nothing of torch, the engine or the task.",
    kinds=("extension",),
    needs=("trains",),
)
def off_is_off(bench: Bench) -> str:
    """Whether a run without the extension gives the same after a run with it as before."""
    before = bench.before()
    after = bench.training("without-after", stop_after=1, plugins=()).recording.weights[0]
    if after != before.recording.weights[0]:
        raise CheckFailedError("a run without the extension gives other weights once one with it was made.")
    return "a run without it gives the same before and after one with it."
