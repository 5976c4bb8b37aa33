"""One scan of a dataset in a process of its own; prints seconds and memory as JSON. See dataset_scan.

``scan`` is what it takes to have the labels of all images, ``total`` the datasets that the engine trains on.

python -m tests.benchmarks.scan_once engine|host|stat DATA.yaml CORES
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.benchmarks.scan_data import VAL, make

KEYS = {"names": {0: "mouse"}, "nc": 1, "kpt_shape": [4, 3], "flip_idx": [1, 0, 3, 2], "channels": 3}
T = TypeVar("T")


def settings() -> Any:
    from ultralytics.cfg import get_cfg

    return get_cfg(overrides={"task": "pose", "imgsz": 640})


class Stopwatch:
    """Adds up seconds.

    Attributes:
        seconds: The seconds so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        self.seconds += time.perf_counter() - began
        return result


def timed(base: type, watch: Stopwatch) -> type:
    """Return a dataset that times its listing and its labels; what else it prepares is the same in both."""

    class Timed(base):  # type: ignore[misc]
        def get_img_files(self, img_path: Any) -> list[str]:
            return watch.time(lambda: super(Timed, self).get_img_files(img_path))

        def get_labels(self) -> list[dict[str, Any]]:
            return watch.time(super().get_labels)

    return Timed


def options(args: Any, mode: str) -> dict[str, Any]:
    """Return what the engine's own `build_yolo_dataset` gives a dataset."""
    return {
        "imgsz": args.imgsz,
        "batch_size": 16,
        "augment": mode == "train",
        "hyp": args,
        "rect": mode == "val",
        "stride": 32,
        "pad": 0.0 if mode == "train" else 0.5,
        "task": args.task,
    }


def engine(data: Path, watch: Stopwatch) -> Callable[[], int]:
    """The engine's own datasets of both splits."""
    from ultralytics.data import YOLODataset

    args, kind = settings(), timed(YOLODataset, watch)

    def scan() -> int:
        folders = {mode: str(data.parent / "images" / mode) for mode in ("train", "val")}
        return sum(len(kind(img_path=f, data=dict(KEYS), **options(args, m))) for m, f in folders.items())

    return scan


def host(data: Path, watch: Stopwatch) -> Callable[[], int]:
    """What a run does: read and check both splits, and build the same datasets from what was read."""
    from trainer_detect.dataset import ParsedDataset
    from trainer_host import DataContext
    from trainer_host.data.check_runner import read_and_check
    from trainer_host.plugin.registry import Registry

    args, kind, chain = settings(), timed(ParsedDataset, watch), Registry.installed().chain("pose")
    ctx = DataContext(task="pose", engine_task="pose", args=args, source=str(data))

    def scan() -> int:
        found = watch.time(lambda: read_and_check(chain, ctx))
        errors = [f for f in found.findings if f.severity == "error"]
        if errors:
            raise SystemExit(str(errors[0]))
        return sum(
            len(kind(img_path=found[m], data=dict(found), split=found.splits[m], **options(args, m)))
            for m in ("train", "val")
        )

    return scan


def stat(data: Path, watch: Stopwatch) -> Callable[[], int]:
    """No more than asking the file system for every file."""
    folders = [data.parent / kind / split for kind in ("images", "labels") for split in ("train", "val")]
    return lambda: watch.time(lambda: sum(1 for f in folders for entry in os.scandir(f) if entry.stat()) // 2)


def memory(key: str) -> int:
    """Return a figure of this process in KiB: VmHWM, the most it ever had, or VmRSS, what it has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise LookupError(key)


def main() -> None:
    kind, data, cores = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    prepare = {"engine": engine, "host": host, "stat": stat}[kind]
    with tempfile.TemporaryDirectory() as folder:  # a first scan imports what is imported on the way
        prepare(make(Path(folder), VAL + 2), Stopwatch())()
    gc.collect()
    watch = Stopwatch()
    work = prepare(data, watch)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the imports does not count
    before = memory("VmRSS")
    began = time.perf_counter()
    images = work()
    total = time.perf_counter() - began
    peak = (memory("VmHWM") - before) / 1024
    print(json.dumps({"images": images, "scan": watch.seconds, "total": total, "mebibytes": peak}))


if __name__ == "__main__":
    main()
