"""Each broken plugin is caught by the check that is about it, and by no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit import broken, toy
from trainer_host import TaskSpec
from trainer_host.testing import VerificationError, check_plugin

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Undo what the plugins leave behind."""
    yield
    broken.ENDED.set()
    broken.ENDED.clear()
    broken.BATCHES.clear()
    toy.ToyHooks.network = toy.Network


@pytest.mark.parametrize("check", broken.BROKEN)
def test_the_one_check_finds_it(check: str) -> None:
    plugin = broken.BROKEN[check]
    with pytest.raises(VerificationError) as caught:
        if isinstance(plugin, TaskSpec):
            check_plugin(plugin)
        else:
            check_plugin(plugin, task=toy.TASK)
    failed = [o for o in caught.value.outcomes if o.state == "failed"]
    assert [o.check for o in failed] == [check], "\n".join(map(str, caught.value.outcomes))
    assert failed[0].found.endswith(".") and failed[0].fix and not failed[0].fix.endswith(".")
