"""The benchmark of augmentation runs, in miniature, and prints both speeds with their ratio."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.command import ROOT

LINE = r"{} mosaic: stock \d+, ours \d+ images per second and core; [\d.]+ \[[\d.]+, [\d.]+\] times as fast"


def test_it_measures_with_and_without_mosaic() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.augmentation", "--images", "2", "--rounds", "1", "--imgsz", "64"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    for which in ("with", "without"):
        assert re.search(LINE.format(which), done.stdout)
