"""The example packages pass the kit's checks, from wheels."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Trainer

pytestmark = [pytest.mark.wheel, pytest.mark.train]


@pytest.mark.parametrize("name", ["heatmap", "hand-pose", "layer-rates"])
def test_an_example_passes(trainer: Trainer, name: str) -> None:
    with_heatmap = ["--task", "heatmap"] if name == "layer-rates" else []
    checks = trainer("plugins", "verify", name, *with_heatmap, "--json").json["checks"]
    assert len(checks) == (20 if name == "layer-rates" else 18)
    assert all(c["state"] == "ok" for c in checks)
