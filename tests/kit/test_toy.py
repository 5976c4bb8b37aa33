"""The kit on a task and an extension that keep to everything."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.kit.toy import TASK
from trainer_host import ExtensionSpec, hookimpl
from trainer_host.testing import CHECKS, VerificationError, check_extension, check_task

pytestmark = pytest.mark.train
NOT_INSTALLED = {"host-version", "listing-imports-nothing"}


class Halving:
    @hookimpl(wrapper=True)
    def build_optimizer(self, ctx):
        optimizer = yield
        for group in optimizer.param_groups:
            group["lr"] /= 2
        return optimizer


EXTENSION = ExtensionSpec(hooks=Halving())


def test_a_sound_task_passes() -> None:
    outcomes = check_task(TASK)
    assert {o.check for o in outcomes} == {c.name for c in CHECKS.values() if "task" in c.kinds}
    assert {o.check for o in outcomes if o.state != "ok"} == NOT_INSTALLED


@dataclass(frozen=True)
class Undefined:
    gain: Nowhere = 1.0  # type: ignore[name-defined]  # noqa: F821


def test_an_error_that_nobody_looks_for_is_that_of_the_check() -> None:
    with pytest.raises(VerificationError, match=r"options: Pydantic.* is not fully defined"):
        check_task(replace(TASK, options=Undefined), checks=["options"])


def test_a_sound_extension_passes() -> None:
    outcomes = check_extension(EXTENSION, task=TASK)
    assert {o.check for o in outcomes} == set(CHECKS)
    assert {o.check for o in outcomes if o.state != "ok"} == NOT_INSTALLED
