"""What the order of samples does to accuracy: pose trainings in the stock order and in the seeded one, for many seeds.

python -m tests.benchmarks.orders DATA.yaml [KEY=VALUE ...] [--seeds 16] [--first 0] [--width 0.25] [--csv FILE]

KEY=VALUE are settings of the engine, such as epochs=40 nbs=8. The modes take turns. Each training is a line of the
CSV file, and what is in the file is not trained again, so that seeds can be added. The table has the means of both
modes with their standard deviations, the difference with its standard error, and how many standard errors that is:
Welch's t, and the paired t, as trainings of one seed share their initial weights.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml

import trainer_host

MODES = ("exact", "seeded")
SETTINGS = {
    "imgsz": 128,
    "batch": 8,
    "nbs": 8,
    "epochs": 40,
    "workers": 0,
    "plots": False,
    "val": False,  # except for the last epoch
    "save": False,  # likewise
}
COLUMNS = {
    "box mAP50-95": "metrics/mAP50-95(B)",
    "pose mAP50-95": "metrics/mAP50-95(P)",
    "pose mAP50": "metrics/mAP50(P)",
    "val box loss": "val/box_loss",
    "val pose loss": "val/pose_loss",
    "val kobj loss": "val/kobj_loss",
    "train pose loss": "train/pose_loss",
}
ERRORS = ("keypoint error", "median error")
NAMES = (*COLUMNS, *ERRORS)
UNMATCHED = 1.0
"""Error of the keypoints of an object that was not found, as a fraction of its size."""


def measured(data: Path, mode: str, seed: int, settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a training after its last epoch."""
    with TemporaryDirectory() as folder:
        result = trainer_host.run(
            "pose", exact=mode == "exact", data=str(data), seed=seed, project=folder, name="run", **settings
        )
        with (result.save_dir / "results.csv").open(newline="") as file:
            last = [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(file)][-1]
        found = {name: float(last[column]) for name, column in COLUMNS.items()}
        errors = keypoint_errors(result.last or result.best, data, int(settings["imgsz"]))
    return {**found, ERRORS[0]: float(np.mean(errors)), ERRORS[1]: float(np.median(errors))}


@torch.no_grad()
def keypoint_errors(weights: Any, data: Path, imgsz: int) -> list[float]:
    """Return the distances of held-out keypoints from the predicted ones, as fractions of the square root of the box.

    Of the predictions with a confidence of 0.05 or more, an object's is the one whose box overlaps most.
    """
    from ultralytics import YOLO
    from ultralytics.utils.metrics import box_iou
    from ultralytics.utils.ops import xywh2xyxy

    description = yaml.safe_load(data.read_text())
    images = sorted((data.parent / description["val"]).glob("*"))
    results = YOLO(weights).predict([str(i) for i in images], imgsz=imgsz, conf=0.05, device="cpu", verbose=False)
    errors: list[float] = []
    for image, result in zip(images, results, strict=True):
        label = data.parent / "labels" / Path(description["val"]).name / f"{image.stem}.txt"
        for row in np.loadtxt(label, ndmin=2):
            box = xywh2xyxy(torch.tensor(row[None, 1:5])).float()
            true = torch.tensor(row[5:].reshape(-1, 3))
            visible, scale = true[:, 2] > 0, torch.tensor(result.orig_shape[::-1])
            size = float((row[3:5] * scale.numpy()).prod() ** 0.5)
            overlap = box_iou(box, result.boxes.xyxyn) if len(result.boxes) else torch.zeros(1, 1)
            if float(overlap.max()) < 0.1:
                errors += [UNMATCHED] * int(visible.sum())
                continue
            points = result.keypoints.xyn[int(overlap.argmax())]
            distance = ((points - true[:, :2]) * scale).norm(dim=1) / size
            errors += distance[visible].tolist()
    return errors


def model_of(width: float, folder: Path) -> Path:
    """Write a YOLO11 pose model whose layers are as wide as wanted; the smallest one of the engine has 0.25."""
    from ultralytics.utils import ROOT

    content = yaml.safe_load((ROOT / "cfg/models/11/yolo11-pose.yaml").read_text())
    content["scales"]["n"][1] = width
    file = folder / "yolo11n-pose.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def trained(file: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Return the trainings that a file holds."""
    if not file.exists():
        return {}
    with file.open(newline="") as opened:
        return {(r["mode"], int(r["seed"])): {n: float(r[n]) for n in NAMES} for r in csv.DictReader(opened)}


def append(file: Path, mode: str, seed: int, values: Mapping[str, float]) -> None:
    """Append a training to a file."""
    new = not file.exists()
    with file.open("a", newline="") as opened:
        writer = csv.writer(opened)
        if new:
            writer.writerow(["mode", "seed", *NAMES])
        writer.writerow([mode, seed, *(f"{values[n]:.6g}" for n in NAMES)])


def t_of(exact: Sequence[float], seeded: Sequence[float]) -> tuple[float, float, float]:
    """Return the standard error of the difference of means, Welch's t and the paired t."""
    difference = statistics.mean(seeded) - statistics.mean(exact)
    error = math.sqrt(statistics.variance(exact) / len(exact) + statistics.variance(seeded) / len(seeded))
    pairs = [s - e for e, s in zip(exact, seeded, strict=True)]
    return error, difference / error, difference / (statistics.stdev(pairs) / math.sqrt(len(pairs)))


def table(found: Mapping[tuple[str, int], Mapping[str, float]]) -> list[str]:
    """Return the comparison of the seeds that both modes were trained with."""
    seeds = sorted(seed for mode, seed in found if mode == "exact" and ("seeded", seed) in found)
    if len(seeds) < 2:
        return [f"{len(seeds)} seeds: too few to compare"]
    lines = [f"| {len(seeds)} seeds | exact | seeded | difference | t | paired t |", "| --- " * 6 + "|"]
    for name in NAMES:
        exact, seeded = ([found[mode, seed][name] for seed in seeds] for mode in MODES)
        error, t, paired = t_of(exact, seeded)
        means = [f"{statistics.mean(v):.3f} ({statistics.stdev(v):.3f})" for v in (exact, seeded)]
        difference = f"{statistics.mean(seeded) - statistics.mean(exact):+.3f} ± {error:.3f}"
        lines.append(f"| {name} | {means[0]} | {means[1]} | {difference} | {t:+.1f} | {paired:+.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("settings", nargs="*", help="settings of the engine, as KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--csv", type=Path, default=Path("orders.csv"))
    wanted = parser.parse_intermixed_args()
    given = {key: yaml.safe_load(value) for key, _, value in (s.partition("=") for s in wanted.settings)}
    with TemporaryDirectory() as folder:
        settings = {"model": str(model_of(wanted.width, Path(folder))), **SETTINGS, **given}
        for seed in range(wanted.first, wanted.first + wanted.seeds):
            for mode in MODES:
                if (mode, seed) in trained(wanted.csv):
                    continue
                began = time.process_time()
                values = measured(wanted.data.resolve(), mode, seed, settings)
                append(wanted.csv, mode, seed, values)
                took = time.process_time() - began
                print(f"{mode:<7} {seed:<3} {took:4.0f} s ", *(f"{n} {v:.3f}" for n, v in values.items()), flush=True)
    print(*table(trained(wanted.csv)), sep="\n")


if __name__ == "__main__":
    main()
