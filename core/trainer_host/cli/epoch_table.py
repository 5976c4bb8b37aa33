"""The table of epochs: as wide as its columns, or narrowed to the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import EpochReport

HEAD_EVERY = 25
BEST = "best"


def duration(seconds: float) -> str:
    """Return a time for people, such as ``1 h 02 min``, ``3 min 20 s`` or ``8 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def short(metric: str) -> str:
    """Return a metric's name without its group."""
    return metric.removeprefix("metrics/")


@dataclass(frozen=True)
class Layout:
    """A form of the table.

    Attributes:
        time: Heading of the time that is left.
        time_width: Least width of that column.
        cell: Least width of a loss or metric.
        gap: Spaces before each of them.
        digits: Significant digits of a loss.
    """

    time: str
    time_width: int
    cell: int
    gap: int
    digits: int

    def left(self, seconds: float | None) -> str:
        """Return the time that is left, empty if it is unknown."""
        if seconds is None:
            return ""
        words = duration(seconds)
        return words.replace(" ", "").replace("min", "m") if self is NARROW else words


WIDE = Layout("time left", 14, 9, 2, 4)
NARROW = Layout("left", 8, 5, 1, 3)


class EpochTable:
    """The lines of the table.

    Args:
        width: Width of the terminal; None for a file, whose lines have no limit.
    """

    def __init__(self, width: int | None = None) -> None:
        self.width = width
        self.rows = 0
        self._head = ""

    def lines(self, report: EpochReport) -> list[str]:
        """Return the line of an epoch, after a heading if it is time for one."""
        losses = {k.removesuffix("_loss"): v for k, v in report.losses.items()}
        metrics = {short(k): v for k, v in report.metrics.items()}
        epoch = f"{report.epoch:>5}/{report.epochs:<3}"
        layout = WIDE
        if not self._fits(layout, epoch, [*losses, *metrics]):
            layout, epoch = NARROW, f"{report.epoch:>{len(str(report.epochs))}}/{report.epochs}"
            epoch = f"{epoch:>5}"
        while not self._fits(layout, epoch, [*losses, *metrics]) and len(losses) + len(metrics) > 1:
            (losses or metrics).popitem()  # the bar has the losses too
        gap = " " * layout.gap
        names = "".join(f"{gap}{n:>{max(layout.cell, len(n))}}" for n in [*losses, *metrics])
        head = f"{'epoch':>{len(epoch)}}{layout.time:>{layout.time_width}}{names}"
        cells = _cells(losses, layout, f".{layout.digits}g") + _cells(metrics, layout, ".3f")
        best = f"{gap}{BEST}" if report.best else ""
        line = f"{epoch}{layout.left(report.seconds_left):>{layout.time_width}}{''.join(cells)}{best}"
        with_head = self.rows % HEAD_EVERY == 0 or head != self._head
        self.rows = 1 if head != self._head else self.rows + 1
        self._head = head
        return [head, line] if with_head else [line]

    def _fits(self, layout: Layout, epoch: str, names: list[str]) -> bool:
        cells = sum(layout.gap + max(layout.cell, len(n)) for n in names)
        return self.width is None or len(epoch) + layout.time_width + cells + layout.gap + len(BEST) <= self.width


def _cells(values: Mapping[str, float | None], layout: Layout, form: str) -> list[str]:
    gap = " " * layout.gap
    shown = {k: "-" if v is None else format(v, form) for k, v in values.items()}
    return [f"{gap}{text:>{max(layout.cell, len(name))}}" for name, text in shown.items()]
