"""Twenty deaths of a training, at random moments and between the steps of its writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.murder.murder import deaths, prepare, survives, undisturbed


@pytest.mark.train
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("exact", [False, True])
def test_killed_trainings_end_with_the_same_bits(tmp_path: Path, exact: bool) -> None:
    prepare(tmp_path)
    whole = undisturbed(tmp_path, {"exact": exact})
    for number, death in enumerate(deaths(10, seed=int(exact))):
        assert survives(tmp_path, f"run{number}", whole, death) == []
