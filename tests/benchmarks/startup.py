"""How fast the command starts, next to the engine's own command and the bare imports of what it is made of.

python -m tests.benchmarks.startup [--rounds N]
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks.timing import in_turn, print_times, ratio, wall_time

FASTER_THAN_ENGINE = 15.0
SLOWER_THAN_IMPORTS = 2.5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    scripts = Path(sys.executable).parent
    bare = "python -c 'import click, pluggy, yaml'"
    commands = {
        "trainer --help": [str(scripts / "trainer"), "--help"],
        "trainer plugins": [str(scripts / "trainer"), "plugins"],
        "yolo help": [str(scripts / "yolo"), "help"],
        bare: [sys.executable, "-c", "import click, pluggy, yaml"],
    }
    times = in_turn({name: partial(wall_time, command) for name, command in commands.items()}, rounds)
    print_times(times)
    print()
    for name in ("trainer --help", "trainer plugins"):
        faster, slower = ratio(times["yolo help"], times[name]), ratio(times[name], times[bare])
        good = faster >= FASTER_THAN_ENGINE and slower <= SLOWER_THAN_IMPORTS
        print(
            f"{name:<16} {faster:5.1f}x faster than yolo help (aim: {FASTER_THAN_ENGINE:g}x),"
            f" {slower:4.2f}x the bare imports (aim: at most {SLOWER_THAN_IMPORTS:g}x): {'good' if good else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
