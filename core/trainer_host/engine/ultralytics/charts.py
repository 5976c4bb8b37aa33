"""Charts of an evaluation and of a training, in files of the engine's names, drawn in less than half of its time.

The engine has matplotlib draw each figure twice and spends as long on compressing it.
"""

from __future__ import annotations

import csv
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ultralytics.utils import plt_settings
from ultralytics.utils.metrics import smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from trainer_host.base.type_aliases import Array

    OnPlot = Callable[..., None]

MOST_NAMED = 20
"""Classes that have curves and names of their own."""
EVALUATION_DPI, TRAINING_DPI = 250, 200
MOST_CELLS, MOST_TICKS = 30, 60
"""Classes of a confusion matrix up to which it has numbers, and of which it shows the names."""
LABEL_INCHES, TITLE_INCHES = 0.8, 0.55
"""Room next to and above each of the curves of a training."""
SPREAD = 3
"""Epochs over which the curves of a training are smoothed: the standard deviation of the weights."""


def draw_evaluation(metric: Any, prefix: str, names: Mapping[int, str], folder: Path, on_plot: OnPlot) -> None:
    """Draw precision by recall, and F1, precision and recall by confidence.

    Args:
        metric: The engine's metric, which has the curves.
        prefix: Beginning of the files' names.
        names: Names of all classes by number.
        folder: Folder of the files.
        on_plot: Registers a file with its values.
    """
    if not len(metric.ap_class_index):
        return  # nothing is labelled
    labels = [names.get(int(c), str(c)) for c in metric.ap_class_index]
    x, rows, ap = metric.px, np.asarray(metric.prec_values), np.asarray(metric.all_ap)[:, 0]
    mean = f"all classes {ap.mean():.3f} mAP@0.5"
    named = [f"{label} {value:.3f}" for label, value in zip(labels, ap, strict=True)]
    path = folder / f"{prefix}PR_curve.png"
    _draw_curves(path, x, rows, named, (rows.mean(0), mean), ("Recall", "Precision", "Precision-Recall Curve"))
    on_plot(path, {"type": "pr_curve", "x": x.tolist(), "y": rows.tolist(), "ap": np.asarray(metric.all_ap).tolist()})
    for kind, title in (("f1", "F1"), ("p", "Precision"), ("r", "Recall")):
        rows = np.asarray(getattr(metric, f"{kind}_curve"))
        middle = smooth(rows.mean(0), 0.1)
        mean = f"all classes {middle.max():.2f} at {x[middle.argmax()]:.3f}"
        path = folder / f"{prefix}{kind.upper()}_curve.png"
        _draw_curves(path, x, rows, labels, (middle, mean), ("Confidence", title, f"{title}-Confidence Curve"))
        on_plot(path, {"type": f"{title.lower()}_curve", "x": x.tolist(), "y": rows.tolist()})


@plt_settings()  # type: ignore[untyped-decorator]
def _draw_curves(
    path: Path,
    x: Array,
    rows: Array,
    labels: Sequence[str],
    mean: tuple[Array, str],
    titles: tuple[str, str, str],
) -> None:
    figure = Figure(figsize=(9, 6), layout="tight")
    axes: Any = figure.add_subplot()
    if len(labels) <= MOST_NAMED:
        for row, label in zip(rows, labels, strict=True):
            axes.plot(x, row, linewidth=1, label=label)
    else:
        axes.plot(x, rows.T, linewidth=1, color="gray")
    axes.plot(x, mean[0], linewidth=3, color="blue", label=mean[1])
    axes.set(xlabel=titles[0], ylabel=titles[1], title=titles[2], xlim=(0, 1), ylim=(0, 1))
    axes.legend(bbox_to_anchor=(1.04, 1), loc="upper left")
    _save(figure, path, EVALUATION_DPI)


@plt_settings()  # type: ignore[untyped-decorator]
def draw_confusion(confusion: Any, normalised: bool, folder: Path, on_plot: OnPlot) -> None:
    """Draw how often each class was found as which.

    Args:
        confusion: The engine's confusion matrix; its last row and column are the background.
        normalised: Whether to divide by the number of objects of each class.
        folder: Folder of the file.
        on_plot: Registers the file with its values.
    """
    counts = confusion.matrix
    names = [*confusion.names.values(), "background"]
    shares = counts / (counts.sum(0, keepdims=True) + 1e-9) if normalised else counts
    shown = np.where(shares < 0.005, np.nan, shares)  # which would be 0.00
    figure = Figure(figsize=(12, 9))
    axes: Any = figure.add_subplot()
    largest = 1.0 if normalised else max(float(counts.max()), 1.0)
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=None if np.isfinite(shown).any() else 1, interpolation="none")
    if len(names) <= MOST_CELLS:
        for i, j in zip(*np.nonzero(np.isfinite(shown)), strict=True):
            text = f"{shown[i, j]:.2f}" if normalised else f"{shown[i, j]:.0f}"
            colour = "white" if shown[i, j] > 0.45 * largest else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=10, color=colour)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.05)
    ticks = range(0, len(names), -(-len(names) // MOST_TICKS))
    size = max(6.0, 15 - 0.1 * len(names))
    axes.set_xticks(ticks, [names[i] for i in ticks], fontsize=size, rotation=90, ha="center")
    axes.set_yticks(ticks, [names[i] for i in ticks], fontsize=size)
    axes.set(xlabel="True", ylabel="Predicted")
    title = "Confusion Matrix" + " Normalized" * normalised
    axes.set_title(title, pad=20)
    for spine in (*axes.spines.values(), *bar.ax.spines.values()):
        spine.set_visible(False)
    figure.subplots_adjust(left=0, right=0.84, top=0.94, bottom=max(0.1, 0.25 - 0.001 * len(names)))
    _save(figure, path := folder / f"{title.lower().replace(' ', '_')}.png", EVALUATION_DPI)
    on_plot(path, {"type": "confusion_matrix", "matrix": counts.tolist()})


@plt_settings()  # type: ignore[untyped-decorator]
def draw_training(table: Path, on_plot: OnPlot) -> None:
    """Draw the losses and metrics of ``results.csv`` by epoch into ``results.png`` next to it."""
    with table.open(encoding="utf-8", newline="") as file:
        rows_read = list(csv.DictReader(file))
    values = {name: np.array([float(row[name] or "nan") for row in rows_read]) for name in rows_read[0]}
    losses, metrics = ([c for c in values if part in c] for part in ("loss", "metric"))
    half, rest = len(losses) // 2, (len(metrics) + 1) // 2
    rows = ([*losses[:half], *metrics[:rest]], [*losses[half:], *metrics[rest:]])  # training above validation
    width = max(map(len, rows))
    inches = (len(losses) + len(metrics) + 2, 6)
    figure = Figure(figsize=inches)
    grid: Any = figure.subplots(2, width, squeeze=False)
    # A layout that fits the labels would take as long as all the rest.
    room = {"left": LABEL_INCHES / inches[0], "right": 1 - 0.4 / inches[0], "top": 1 - 0.4 / 6, "bottom": 0.3 / 6}
    gaps = (LABEL_INCHES / (inches[0] / width - LABEL_INCHES), TITLE_INCHES / (inches[1] / 2 - TITLE_INCHES))
    figure.subplots_adjust(**room, wspace=gaps[0], hspace=gaps[1])
    epochs = values["epoch"]
    for row, columns in zip(grid, rows, strict=True):
        for axes, column in zip_longest(row, columns):
            if column is None:
                axes.set_visible(False)
                continue
            line = values[column]
            axes.plot(epochs, line, marker=".", label=table.stem, linewidth=2, markersize=8)
            axes.plot(epochs, _smoothed(line), ":", label="smooth", linewidth=2)
            axes.set_title(column, fontsize=12)
    if rows[0][1:]:
        grid[0][1].legend()
    _save(figure, path := table.with_name("results.png"), TRAINING_DPI)
    on_plot(path)


def _smoothed(line: Array) -> Array:
    """Return a curve smoothed by a Gaussian; its ends are continued by their mirror images."""
    reach = 4 * SPREAD
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SPREAD) ** 2)
    return np.convolve(np.pad(line, reach, mode="symmetric"), weights / weights.sum(), mode="valid")


def _save(figure: Figure, path: Path, dpi: int) -> None:
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., 2::-1]
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())
