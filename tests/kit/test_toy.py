"""The kit on a task and an extension that keep to everything."""

from __future__ import annotations

import pytest

from tests.kit.toy import TASK
from trainer_host import ExtensionSpec, hookimpl
from trainer_host.testing import CHECKS, check_extension, check_task

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


def test_a_sound_extension_passes() -> None:
    outcomes = check_extension(EXTENSION, task=TASK)
    assert {o.check for o in outcomes} == set(CHECKS)
    assert {o.check for o in outcomes if o.state != "ok"} == NOT_INSTALLED
