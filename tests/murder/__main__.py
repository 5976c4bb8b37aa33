"""Kills trainings at random moments, resumes each, and prints how many end as if nothing had happened.

python -m tests.murder 200 [--seed 0] [--exact] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.murder.murder import WITHIN_EPOCHS, deaths, prepare, survives, undisturbed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.murder", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200, help="Trainings to kill")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the moments")
    parser.add_argument("--exact", action="store_true", help="Train with --exact")
    parser.add_argument("--folder", type=Path, help="Folder for the trainings; a temporary one by default")
    args = parser.parse_args()
    root = (args.folder or Path(tempfile.mkdtemp(prefix="murder-"))).resolve()
    prepare(root)
    # Every other training saves its state at the ends of epochs only.
    wholes = [undisturbed(root, {"exact": args.exact, **more}) for more in (WITHIN_EPOCHS, {})]
    for whole in wholes:
        print(f"undisturbed: {whole.seconds:.1f} s, {whole.steps} steps of writing", flush=True)
    killed: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    for number, death in enumerate(deaths(args.count, args.seed)):
        differing = survives(root, f"run{number}", wholes[number % 2], death)
        killed[death.kind] += 1
        equal[death.kind] += not differing
        if differing:
            print(f"{number}: {death}: {'; '.join(differing[:5])}", flush=True)
        else:
            shutil.rmtree(root / f"run{number}")
    print(f"{'death':<10}{'killed':>8}{'equal':>8}")
    for kind, count in killed.items():
        print(f"{kind:<10}{count:>8}{equal[kind]:>8}")
    print(f"{'all':<10}{killed.total():>8}{equal.total():>8}")
    if args.folder is None and killed == equal:
        shutil.rmtree(root)
    return int(killed != equal)


if __name__ == "__main__":
    sys.exit(main())
