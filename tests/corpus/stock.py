"""What the stock engine does with each dataset, next to what `trainer check` says: writes the page in docs.

    python -m tests.corpus.stock [CASE ...]

The stock pose trainer is set up and given its first batches, in a process of its own for each dataset. With names of
cases the results are printed, and the page stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.corpus import CASES
from tests.corpus.check import Report, check, check_apart, tree
from tests.corpus.generator import Case

SECONDS = 30
MEMORY = 6 << 30
TELLING = re.compile(r"WARNING|ERROR|ignoring corrupt|duplicate labels|restored|renaming")
"""What marks a line of the log that says something of the data."""
SETTINGS = "engine/trainer:"
"""What marks the line with all settings, which has the names of folders."""


@dataclass
class Outcome:
    """What the stock trainer did with a dataset.

    Attributes:
        ended: ``ready`` for the first epoch, ``raised``, ``hung``, or ``killed``.
        error: What it raised.
        log: What it wrote of the data.
        lost: Images that it left out, by split.
        images: Images that it listed, by split.
        changed: Files of the dataset that it changed, removed or added.
        ran_code: Whether code in the dataset was run.
        seconds: How long it took.
    """

    ended: str = "ready"
    error: str = ""
    log: str = ""
    lost: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    ran_code: bool = False
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """Return the worst that happened, in a word."""
        if self.ran_code:
            return "ran code"
        if self.ended != "ready":
            return self.ended
        if any(self.lost.values()):
            return "lost images"
        return "warned" if self.log else "silent"

    @property
    def said(self) -> str:
        return f"{self.error}\n{self.log}"


def prepare(folder: Path) -> None:
    """Keep the engine off the network and the user's settings, and import it."""
    os.environ.update(YOLO_CONFIG_DIR=str(folder), YOLO_OFFLINE="1", YOLO_AUTOINSTALL="false", WANDB_MODE="disabled")
    os.environ.update(OMP_NUM_THREADS="1", MARK=str(folder / "mark"))
    import matplotlib.font_manager
    import torch
    from ultralytics.models.yolo.pose import PoseTrainer  # noqa: F401
    from ultralytics.utils import USER_CONFIG_DIR

    torch.set_num_threads(1)
    font = Path(matplotlib.font_manager.findfont("DejaVu Sans")).read_bytes()
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):  # else it is fetched
        (USER_CONFIG_DIR / name).write_bytes(font)


def set_up(data: Path, runs: Path) -> dict[str, Any]:
    """Do what the stock trainer does before and with its first batch; return how many images it used."""
    from ultralytics.models.yolo.pose import PoseTrainer

    settings = {"model": "yolo11n-pose.yaml", "data": str(data), "imgsz": 32, "batch": 16, "epochs": 1, "plots": False}
    trainer = PoseTrainer(overrides={**settings, "project": str(runs), "device": "cpu", "workers": 0, "amp": False})
    trainer._setup_train()
    batch = trainer.preprocess_batch(next(iter(trainer.train_loader)))
    trainer.model(batch)
    next(iter(trainer.test_loader))
    trainer.validator.data = trainer.data
    trainer.validator.init_metrics(trainer.model)
    sets = {"train": trainer.train_loader.dataset, "val": trainer.test_loader.dataset}
    return {
        "images": {name: len(one.label_files) for name, one in sets.items()},
        "lost": {name: len(one.label_files) - len(one.labels) for name, one in sets.items()},
    }


def child(data: Path, folder: Path) -> None:
    """Set up the trainer, and leave the result in a file; this process ends here."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(folder)
    try:
        result = {"ended": "ready", **set_up(data, folder / "runs")}
    except BaseException as error:
        traceback.print_exc()
        result = {"ended": "raised", "error": f"{type(error).__name__}: {error}"}
    (folder / "result.json").write_text(json.dumps(result))
    os._exit(0)


def stock(case: Case, data: Path, folder: Path) -> Outcome:
    """Give a dataset to the stock trainer."""
    folder.mkdir()
    before, began = tree(data.parent), time.perf_counter()
    process = os.fork()
    if not process:
        child(data, folder)
    _, status = os.waitpid(process, 0)
    outcome = Outcome(seconds=time.perf_counter() - began)
    if os.WIFSIGNALED(status):
        outcome.ended = "hung" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
    else:
        for name, value in json.loads((folder / "result.json").read_text()).items():
            setattr(outcome, name, value)
    lines = (folder / "log").read_text(errors="replace").splitlines()
    outcome.log = "\n".join(line for line in lines if TELLING.search(line) and SETTINGS not in line)
    after = tree(data.parent)
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    outcome.changed = sorted(name for name in changed if _is_file(before, after, name))
    mark = Path(os.environ["MARK"])
    outcome.ran_code = mark.exists()
    mark.unlink(missing_ok=True)
    return outcome


def _is_file(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    return len(after.get(name, before.get(name))) == 4


def main(names: Sequence[str]) -> None:
    """Run the cases and write the page, or print the cases that are named."""
    from tests.corpus.page import write_page

    cases = [c for c in CASES if not names or c.name in names]
    results: dict[str, tuple[Outcome, Report]] = {}
    with TemporaryDirectory() as temporary:
        top = Path(temporary)
        (top / "config").mkdir()
        os.environ["TRAINER_CACHE_DIR"] = str(top / "cache")
        prepare(top / "config")
        for case in cases:
            if case.needs_user and not os.geteuid():
                continue
            data = case.make(top / case.name)
            ours = check_apart(case, data)[0] if case.heavy else check(case, data)
            results[case.name] = stock(case, data, top / f"{case.name}-run"), ours
            if names:
                print(json.dumps({**asdict(results[case.name][0]), "kind": results[case.name][0].kind}, indent=1))
                print(json.dumps([f"{f['code']} {f['file']}:{f['line']}" for f in ours.findings], indent=1))
    if not names:
        write_page(results)


if __name__ == "__main__":
    main(sys.argv[1:])
