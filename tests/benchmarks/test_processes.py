"""The benchmark of several processes reads whole epochs, and compares within rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.processes import (
    FOREIGN,
    LAUNCHED,
    ONE_OF_ONE,
    ONE_OF_TWO,
    PLAIN,
    TWO_OF_ONE,
    epoch_seconds,
    print_starts,
    print_trainings,
)


def test_the_first_epoch_does_not_count(tmp_path: Path) -> None:
    results = tmp_path / "results.csv"
    results.write_text("epoch,           time\n1,  90\n2,  92\n3,  96\n")
    assert epoch_seconds(results) == 3


def test_ratios_are_those_within_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    print_trainings({TWO_OF_ONE: [2, 4], ONE_OF_TWO: [3, 8], ONE_OF_ONE: [4, 8]}, images=6)
    print_starts({PLAIN: [4, 5], LAUNCHED: [8, 15], FOREIGN: [8, 10]})
    shown = capsys.readouterr().out.splitlines()
    assert f"{TWO_OF_ONE}: 2.0 images a second" in shown
    assert f"{TWO_OF_ONE}: 1.75 [1.50, 2.00] times as fast as {ONE_OF_TWO}" in shown
    assert f"{LAUNCHED}: +7.0 s [+4.0, +10.0] against {PLAIN}, 2.50 [2.00, 3.00] of its time" in shown
