"""Tests the host with releases of the engine.

    python -m tests.engines 8.4.180 8.4.185 8.4.190 [--folder DIR] [--quick]
    python -m tests.engines --write 8.4.180 8.4.185 8.4.190 [--folder DIR]

Each release is installed into a folder of its own; with ``--folder DIR`` it is expected in ``DIR/VERSION``. The second
form writes the hashes of the tested releases into the package.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.support.command import ROOT
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.release_window import engine_version
from trainer_host.testing.engine_overlay import engine_overlay, environment_with

PARITY = "tests/pose/test_parity.py"
CHECKS: dict[str, list[str]] = {
    "names": ["-m", "tests.engines.check", "names", "{release}"],
    "hashes": ["-m", "tests.engines.check", "hashes", "{release}"],
    "parity": ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not parity", PARITY],
    "verify": ["-m", "trainer_host", "plugins", "verify", "pose"],
}
"""Arguments of Python for each check, which runs in a process of its own; training takes most of the time."""
QUICK = ("names", "hashes")


def main() -> int:
    """Check each release, and return 1 if any check fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__.splitlines()[0])
    parser.add_argument("releases", nargs="+", metavar="VERSION")
    parser.add_argument("--folder", type=Path, help="folder with a folder for each release")
    parser.add_argument("--quick", action="store_true", help="look up names and hashes, and train nothing")
    parser.add_argument("--write", action="store_true", help="write the hashes of these releases into the package")
    given = parser.parse_args()
    overlays = {release: overlay(release, given.folder) for release in given.releases}
    if given.write:
        from tests.engines.known_sources import write

        write({release: folder / "ultralytics" if folder else engine_folder() for release, folder in overlays.items()})
        return 0
    wanted = QUICK if given.quick else tuple(CHECKS)
    print(f"{'release':<10}" + "".join(f"{name:>16}" for name in wanted))
    failed = False
    for release, folder in overlays.items():
        cells, reports = [], []
        for name in wanted:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, *(word.format(release=release) for word in CHECKS[name])],
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=environment_with(folder) if folder else None,
                check=False,
            )
            cells.append(f"{'ok' if done.returncode == 0 else 'FAILED'} {time.perf_counter() - began:.0f} s")
            reports += [f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}"] if done.returncode else []
        print(f"{release:<10}" + "".join(f"{cell:>16}" for cell in cells), *reports, sep="\n", flush=True)
        failed |= bool(reports)
    return int(failed)


def overlay(release: str, folder: Path | None) -> Path | None:
    """Return the folder to import a release from; None if it is the installed one."""
    if folder is not None and (folder / release / "ultralytics").is_dir():
        return folder / release
    return None if release == engine_version() else engine_overlay(release)


if __name__ == "__main__":
    sys.exit(main())
