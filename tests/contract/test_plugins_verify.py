"""An example package passes the checks of the kit, from its wheel; test_plugins_new.py has the other kinds."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Trainer

pytestmark = [pytest.mark.wheel, pytest.mark.train]


def test_an_example_passes(trainer: Trainer) -> None:
    checks = trainer("plugins", "verify", "heatmap", "--json").json["checks"]
    assert len(checks) == 18
    assert all(c["state"] == "ok" for c in checks)
