"""All comparisons with the stock command, one after the other, as a Markdown document.

python -m tests.benchmarks [--rounds 5] [--only NAME]... > performance.md

It takes hours at five rounds. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

PARTS = {
    "start": ("startup", []),
    "runs-320": ("whole_runs", ["--ceiling"]),
    "runs-640": ("whole_runs", ["--imgsz", "640", "--epochs", "2", "--ceiling"]),
    "one-core": ("whole_runs", ["--cores", "1", "--epochs", "2"]),
    "augmentation": ("augmentation", []),
    "processes": ("processes", []),
    "long": ("whole_runs", ["--busy", "0", "--epochs", "30"]),
}
"""Names, modules and their words."""
PACKAGES = ("torch", "ultralytics", "numpy", "opencv-python")


def processor() -> str:
    """Return the name of the processor."""
    names = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Carry out all parts, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=PARTS)
    given = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}, {versions}\n")
    for name in given.only or PARTS:
        module, words = PARTS[name]
        command = ["-m", f"tests.benchmarks.{module}", *words, "--rounds", str(given.rounds)]
        print(f"## {name}\n\n    python {' '.join(command)}\n", flush=True)
        print("```text", flush=True)
        subprocess.run([sys.executable, *command], check=True)
        print("```\n", flush=True)


if __name__ == "__main__":
    main()
