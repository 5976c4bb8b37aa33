"""The console: a live bar in a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from trainer_host.base.atomic_io import display_path
from trainer_host.base.display import escaped
from trainer_host.base.wording import counted
from trainer_host.cli.epoch_table import EpochTable, duration, short
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.progress import TaskID

    from trainer_host.base.reporting import EpochReport
    from trainer_host.base.reporting import Progress as Standing
    from trainer_host.base.results import RunResult
LEAST_BAR = 10
"""Columns of a terminal that are left to the bar."""


class ConsoleReporter:
    """Writes to standard error: a table of epochs, and in a terminal a bar below it.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.bar_task: TaskID | None = None
        self.table = EpochTable()
        self.seconds: float | None = None  # unknown if other processes trained
        self.said: set[str] = set()

    def head(self) -> None:
        """Show the program's name and version."""
        self.note(f"trainer {__version__}")

    def note(self, text: str) -> None:
        """Show something that is worth knowing, in one line."""
        self.console.print(Text(escaped(text)), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Show something that needs attention, once."""
        if text not in self.said:
            self.said.add(text)
            self.console.print(Text("Warning: ", "yellow") + Text(escaped(" ".join(text.split()))), soft_wrap=True)

    def progress(self, progress: Standing) -> None:
        """Move the bar; a log file gets a line for each epoch instead."""
        if not self.console.is_terminal:
            return
        if self.bar is None:
            left_column = TextColumn("{task.fields[left]}", markup=False)
            columns = TextColumn("{task.description}"), BarColumn(24), left_column
            self.bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=4)
            self.bar_task = self.bar.add_task("", left="")
            self.bar.start()
        left = f"{duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        epoch = f"epoch {progress.epoch}/{progress.epochs}"
        room = self.console.width - len(epoch) - len(left) - LEAST_BAR
        losses = ""
        for key, value in progress.losses.items():  # as many as there is room for
            more = f"{losses}  {key.removesuffix('_loss')} {value:.3g}"
            losses = more if len(more) <= room else losses
        if self.bar_task is not None:
            self.bar.update(
                self.bar_task,
                description=epoch,
                completed=(progress.epoch - 1) * progress.batches + progress.batch,
                total=progress.epochs * progress.batches,
                left=escaped(left + losses),
            )

    def epoch(self, report: EpochReport) -> None:
        """Add a line to the table of epochs."""
        self.table.width = self.console.width if self.console.is_terminal else None
        for line in self.table.lines(report):
            self.note(line)
        self.seconds = (self.seconds or 0.0) + report.seconds

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def metrics(self, metrics: Mapping[str, float]) -> None:
        """Show metrics as a table."""
        table = Table("  metric", "value", box=None, pad_edge=False, show_edge=False)
        for name, value in metrics.items():
            table.add_row(Text(f"  {escaped(short(name))}"), f"{value:.4f}")
        self.console.print(table)

    def summary(self, result: RunResult) -> None:
        """Say what was done, and where to look."""
        epochs = counted(result.epochs, "epoch")
        if result.ending.reason == "launched":
            self.note(f"{_capitalised(result.ending.message)}Run folder: {display_path(result.save_dir)}")
            return
        self.note("")
        took = f" in {duration(self.seconds)}" if self.seconds is not None else ""
        if took and (start := result.resumed_from):  # at an epoch after the last one, only the evaluation was left
            since = f" ({took.removeprefix(' in ')} since the resume at epoch {start['epoch']})"
            took = since if start["epoch"] <= result.epochs else ""
        self.note(f"Done: {epochs}{took}. {_capitalised(result.ending.message)}{_whose(result)}")
        shown = {k: v for k, v in result.metrics.items() if k.startswith("metrics/")} or result.metrics
        self.metrics(shown)
        places: list[tuple[str, Path | None]] = [
            ("best model", result.best),
            ("last model", result.last if result.best is None else None),
            ("predictions", result.predictions),
            ("run folder", result.save_dir),
        ]
        for name, path in places:
            if path is not None:
                self.note(f"  {name:<12} {display_path(path)}")
        if model := result.best or result.last:
            self.note(f"Use it: trainer predict model={display_path(model)} source=IMAGE_OR_FOLDER")


def _capitalised(sentence: str | None) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}. " if sentence else ""


def _whose(result: RunResult) -> str:
    """Return the head of the table of metrics: which model they belong to."""
    if result.best is not None:
        epoch = f" (epoch {result.best_epoch})" if result.best_epoch else ""
        return f"The best model on held-out images{epoch}:"
    saved = "best.pt was not saved" if result.last is not None else "No checkpoint was saved"
    return f"{saved}. The model of the last epoch on held-out images:"


def make_reporter() -> ConsoleReporter:
    """Return a reporter that writes to standard error, without control characters if that is not a terminal."""
    return ConsoleReporter(Console(file=sys.stderr, highlight=False, legacy_windows=False))
