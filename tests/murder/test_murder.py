"""Twenty deaths of a training, at random moments and between the steps of its writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.murder.murder import WITHIN_EPOCHS, deaths, prepare, survives, undisturbed


@pytest.mark.train
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("settings", "seed"), [(WITHIN_EPOCHS, 0), ({}, 1), ({**WITHIN_EPOCHS, "exact": True}, 2)])
def test_killed_trainings_end_with_the_same_bits(tmp_path: Path, settings: dict[str, Any], seed: int) -> None:
    prepare(tmp_path)
    whole = undisturbed(tmp_path, settings)
    for number, death in enumerate(deaths(7, seed)):
        assert survives(tmp_path, f"run{number}", whole, death) == []
