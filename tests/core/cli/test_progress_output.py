"""What a run tells: where it stands, how long it takes, and how that looks in a terminal and in a log file."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.support.sample_datasets import pose_dataset
from trainer_host.base.reporting import EpochReport, NullReporter, Progress
from trainer_host.base.results import Ending, RunResult
from trainer_host.base.signals import StopRequest
from trainer_host.cli.console_reporter import ConsoleReporter
from trainer_host.cli.epoch_table import HEAD_EVERY, EpochTable, duration
from trainer_host.engine.progress import ProgressCallbacks

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
METRICS = ("metrics/mAP50(B)", "metrics/mAP50-95(P)")


class Listener(NullReporter):
    """A reporter that remembers what it was given."""

    def __init__(self) -> None:
        self.standings: list[Progress] = []
        self.epochs: list[EpochReport] = []
        self.said: list[tuple[str, str]] = []

    def progress(self, progress: Progress) -> None:
        self.standings.append(progress)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)

    def note(self, text: str) -> None:
        self.said.append(("note", text))

    def warn(self, text: str) -> None:
        self.said.append(("warn", text))


class Run:
    """A training of the engine that takes one second for each batch, by a clock of its own."""

    def __init__(self, epochs: int = 4, batches: int = 5, start: int = 0) -> None:
        self.now = 100.0
        self.listener, self.stop = Listener(), StopRequest()
        self.callbacks = ProgressCallbacks(self.listener, self.stop, METRICS, lambda: self.now)
        self.trainer = SimpleNamespace(
            epoch=start,
            start_epoch=start,
            epochs=epochs,
            train_loader=[None] * batches,
            tloss=None,
            metrics={METRICS[0]: 0.5, METRICS[1]: 0.25, "other": 1.0},
            best_epoch=None,
            evaluated_epoch=None,
            starting_weights=None,
            loop=SimpleNamespace(batch=0),
        )

    def fire(self, event: str) -> None:
        self.callbacks.events()[event](self.trainer)

    def begin(self) -> None:
        self.fire("on_train_start")

    def epoch(self, seconds: float = 1.0, evaluated: bool = True) -> None:
        self.fire("on_train_epoch_start")
        for _ in self.trainer.train_loader:
            self.now += seconds
            self.trainer.tloss = {"box_loss": 1.5, "cls_loss": 0.25}
            self.fire("on_train_batch_end")
        if evaluated:
            self.trainer.evaluated_epoch = self.trainer.epoch + 1
        self.fire("on_fit_epoch_end")
        self.trainer.epoch += 1


def test_every_epoch_and_every_batch_is_reported() -> None:
    run = Run(epochs=2, batches=3)
    run.begin()
    run.epoch()
    run.epoch()
    assert [(s.epoch, s.batch) for s in run.listener.standings] == [(e, b) for e in (1, 2) for b in range(4)]
    assert [(e.epoch, e.epochs, e.seconds) for e in run.listener.epochs] == [(1, 2, 3.0), (2, 2, 3.0)]
    assert run.listener.epochs[0].losses == {"box_loss": 1.5, "cls_loss": 0.25}
    assert run.listener.epochs[0].metrics == {METRICS[0]: 0.5, METRICS[1]: 0.25}
    assert run.listener.standings[0].losses == {}


def test_the_time_left_falls_to_nothing() -> None:
    run = Run(epochs=4, batches=5)
    run.begin()
    for _ in range(4):
        run.epoch()
    left = [s.seconds_left for s in run.listener.standings]
    assert left[0] is None
    reported = [seconds for seconds in left if seconds is not None]
    assert reported == sorted(reported, reverse=True)
    assert reported[0] == pytest.approx(19.0)
    assert reported[-1] == pytest.approx(0.0)
    assert [e.seconds_left for e in run.listener.epochs] == pytest.approx([15.0, 10.0, 5.0, 0.0])


def test_the_time_left_follows_the_pace() -> None:
    run = Run(epochs=10, batches=5)
    run.begin()
    run.epoch(seconds=1.0)
    run.epoch(seconds=3.0)
    assert [e.seconds_left for e in run.listener.epochs] == pytest.approx([45.0, 80.0])


def test_a_resumed_run_counts_only_its_own_epochs() -> None:
    run = Run(epochs=10, start=8)
    run.begin()
    run.epoch()
    assert (run.listener.epochs[0].epoch, run.listener.epochs[0].seconds_left) == (9, pytest.approx(5.0))


def test_a_run_that_is_resumed_within_an_epoch_does_not_take_its_rest_for_a_whole_one() -> None:
    run = Run(epochs=10, batches=50, start=3)
    run.begin()
    run.trainer.loop.batch = 48  # two batches are left, and a validation that takes 10 seconds
    run.fire("on_train_epoch_start")

    for _ in range(2):
        run.now += 1
        run.trainer.tloss = {"box_loss": 1.5}
        run.fire("on_train_batch_end")
    run.now += 10
    run.fire("on_fit_epoch_end")
    assert run.listener.epochs[-1].seconds_left == pytest.approx(6 * (50 + 10))
    run.trainer.epoch, run.trainer.loop.batch = 4, 0
    run.epoch()
    assert run.listener.epochs[-1].seconds_left == pytest.approx(5 * (50 + 5))  # the second end takes no time
    assert [s.seconds_left for s in run.listener.standings[:3]] == [None] * 3


def test_a_run_that_is_resumed_before_a_validation_has_no_pace_yet() -> None:
    run = Run(epochs=3, batches=5, start=1)
    run.begin()
    run.trainer.loop.batch, run.trainer.tloss = 5, {"box_loss": 1.5}
    run.fire("on_train_epoch_start")
    run.now += 4
    run.fire("on_fit_epoch_end")
    run.trainer.epoch, run.trainer.loop.batch = 2, 0
    run.epoch()
    assert [e.seconds_left for e in run.listener.epochs] == [None, pytest.approx(0.0)]


def test_the_event_after_the_final_measurement_is_no_epoch() -> None:
    run = Run(epochs=2)
    run.begin()
    run.epoch()
    run.epoch()
    run.fire("on_fit_epoch_end")
    assert len(run.listener.epochs) == 2


@pytest.mark.train
@pytest.mark.parametrize("planned", [2, 9])
def test_a_real_run_reports_each_epoch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: None, planned: int
) -> None:
    from trainer_host import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "early.py").write_text(
        "from trainer_host import hookimpl\n"
        "def stop(trainer):\n    trainer.stop = trainer.epoch == 1\n"
        "@hookimpl\ndef callbacks(ctx):\n    return {'on_train_epoch_end': stop}\n"
    )
    data = pose_dataset(tmp_path / "data", images=4)
    listener = Listener()
    fixed = {"imgsz": 32, "batch": 2, "plots": False, "optimizer": "SGD", "model": "yolo11n-pose.yaml"}
    result = run("pose", data=data, reporter=listener, plugins=["./early.py"], epochs=planned, **fixed)
    assert [e.epoch for e in listener.epochs] == [1, 2]
    assert result.epochs == 2
    assert [s.batch for s in listener.standings] == [0, 1, 2] * 2
    assert listener.epochs[-1].metrics.keys() == {
        "metrics/mAP50(B)",
        "metrics/mAP50(P)",
        "metrics/mAP50-95(P)",
        "fitness",
    }


def test_an_event_before_the_first_batch_is_no_epoch() -> None:
    run = Run()
    run.begin()
    run.fire("on_fit_epoch_end")
    assert run.listener.epochs == []


@pytest.mark.parametrize(("written", "best"), [(1, True), (None, False)])
def test_the_mark_follows_the_file(written: int | None, best: bool) -> None:
    run = Run()
    run.trainer.best_epoch = written
    run.begin()
    run.epoch()
    assert run.listener.epochs[0].best is best


def test_an_epoch_without_validation_has_no_values_and_is_not_the_best() -> None:
    run = Run()
    run.trainer.best_epoch = 1  # the engine writes the file all the same
    run.begin()
    run.epoch(evaluated=False)
    assert run.listener.epochs[0].metrics == {METRICS[0]: None, METRICS[1]: None}
    assert run.listener.epochs[0].best is False


def test_a_metric_without_its_group_is_shown_under_its_full_name() -> None:
    run = Run()
    run.callbacks.metrics = (METRICS[0], "mAP50(B)")
    run.begin()
    run.epoch()
    assert run.listener.epochs[0].metrics == {METRICS[0]: 0.5}


def test_a_metric_that_is_missing_is_skipped() -> None:
    run = Run()
    run.trainer.metrics = None
    run.begin()
    run.epoch()
    assert run.listener.epochs[0].metrics == {}


def test_a_request_to_stop_waits_until_the_training_ends() -> None:
    run = Run(epochs=4, batches=5)
    run.begin()
    assert (run.stop.waits, run.stop.when) == (False, "during training")  # of a loop that does not heed it
    run.stop.waits = True
    run.epoch()
    assert run.stop.waits is True
    run.fire("on_train_end")
    assert run.stop.waits is False


def test_a_training_entered_in_the_middle_of_an_epoch_is_shown_from_there() -> None:
    run = Run(epochs=4, batches=10, start=2)
    run.begin()
    run.trainer.loop.batch = 5
    run.fire("on_train_epoch_start")
    for _ in range(5):
        run.now += 1
        run.fire("on_train_batch_end")
    shown = run.listener.standings[-1]
    assert (shown.epoch, shown.batch, shown.seconds_left) == (3, 10, 10.0)


# The console


def report(epoch: int = 1, epochs: int = 100, **fields: Any) -> EpochReport:
    made = EpochReport(
        epoch=epoch,
        epochs=epochs,
        seconds=3.0,
        seconds_left=61.0,
        losses={"box_loss": 6.409, "pose_loss": 9.722, "a_long_name_of_a_loss": 0.5},
        metrics={"metrics/mAP50(B)": 0.5, "metrics/mAP50-95(P)": 0.25},
        best=False,
    )
    return replace(made, **fields)


def written(*reports: EpochReport, terminal: bool = False) -> list[str]:
    stream = io.StringIO()
    width = 200 if terminal else 60
    console = Console(file=stream, force_terminal=terminal, width=width, highlight=False, _environ={"TERM": "xterm"})
    reporter = ConsoleReporter(console)
    for each in reports:
        reporter.progress(Progress(each.epoch, each.epochs, 1, 2, each.losses, 5.0))
        reporter.epoch(each)
    reporter.close()
    return stream.getvalue().splitlines()


def ends(line: str) -> list[int]:
    return [m.end() for m in re.finditer(r"\S+(?: \S+)*", line)]


@pytest.mark.parametrize("epochs", [1, 9, 100, 1000, 20000])
@pytest.mark.parametrize("seconds", [0.0, 61.0, 3600.0 * 99])
def test_the_columns_of_a_log_file_are_aligned(epochs: int, seconds: float) -> None:
    reports = [report(e, epochs, seconds_left=seconds, best=e == 1) for e in sorted({1, epochs})]
    head, *rows = written(*reports)
    assert len(rows) == len(reports)
    for row in rows:
        assert ends(row.removesuffix("  best"))[1:] == ends(head)[1:]
        assert not row.endswith(" ")
    assert [row.endswith("  best") for row in rows] == [r.best for r in reports]


def test_a_log_file_has_no_control_characters_and_no_folded_lines() -> None:
    lines = written(*(report(e) for e in range(1, 4)))
    assert len(lines) == 4
    assert not any(CONTROL.search(line) for line in lines)
    assert all(len(line) > 60 for line in lines)


POSE = {
    "losses": {"box_loss": 3.595, "pose_loss": 10.43, "kobj_loss": 0.6384, "cls_loss": 1.924, "dfl_loss": 2.477},
    "metrics": {"metrics/mAP50(B)": 0.5, "metrics/mAP50(P)": 0.25, "metrics/mAP50-95(P)": None},
}


@pytest.mark.parametrize("width", [32, 40, 60, 80, 100, 120])
@pytest.mark.parametrize(("epochs", "seconds"), [(1, 0.0), (100, 3599.0), (1000, 3600.0 * 99)])
def test_the_table_is_as_wide_as_the_terminal_at_most(width: int, epochs: int, seconds: float) -> None:
    table, reports = (
        EpochTable(width),
        [report(e, epochs, seconds_left=seconds, best=e == 1, **POSE) for e in {1, epochs}],
    )
    lines = [line for each in reports for line in table.lines(each)]
    assert len(lines) == 1 + len(reports)
    assert all(len(line) <= width for line in lines)
    for row in lines[1:]:
        values = len(lines[0].replace("time left", "left").split()) - 2
        placed = [[m.end() for m in re.finditer(r"\S+", text)] for text in (lines[0], row.removesuffix("best"))]
        assert placed[0][-values:] == placed[1][-values:]
        assert re.match(rf" *\d+/{epochs} +\d", row)
    if width >= 80:
        assert lines[0].split()[-3:] == ["mAP50(B)", "mAP50(P)", "mAP50-95(P)"]
        assert {"box", "pose", "kobj"} <= set(lines[0].split())


def test_a_narrow_terminal_has_the_epoch_and_as_many_losses_as_fit_in_its_bar() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=50, highlight=False, _environ={"TERM": "xterm"})
    reporter = ConsoleReporter(console)
    reporter.progress(Progress(1, 100, 1, 2, POSE["losses"], 3600.0))
    reporter.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "epoch 1/100 " in shown
    assert "1 h 00 min left  box 3.6" in shown
    assert "…" not in shown


def test_an_epoch_without_validation_has_a_dash() -> None:
    head, row = written(report(metrics={"metrics/mAP50(B)": None, "metrics/mAP50-95(P)": None}))
    assert row.split()[-2:] == ["-", "-"]
    assert ends(row)[1:] == ends(head)[1:]


def test_the_head_of_the_table_comes_again() -> None:
    lines = written(*(report(e) for e in range(1, HEAD_EVERY + 2)))
    assert [i for i, line in enumerate(lines) if "time left" in line] == [0, HEAD_EVERY + 1]


def test_a_terminal_has_a_bar() -> None:
    assert any("epoch 1/100" in line for line in written(report(), terminal=True))
    assert not any("epoch 1/100" in line for line in written(report()))


def test_notes_are_shown_as_they_are_and_warnings_once() -> None:
    stream = io.StringIO()
    reporter = ConsoleReporter(Console(file=stream, width=40, highlight=False))
    reporter.note("[bold]runs/[red]x[/red] " + "a" * 60)
    reporter.warn("look\n  out [link]")
    reporter.warn("look\n  out [link]")
    assert stream.getvalue() == "[bold]runs/[red]x[/red] " + "a" * 60 + "\nWarning: look out [link]\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (8.4, "8 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def summary(best: str | None, last: str | None, ending: Ending, resumed: dict[str, int] | None = None) -> list[str]:
    stream = io.StringIO()
    reporter = ConsoleReporter(Console(file=stream, width=100, highlight=False))
    reporter.seconds = 0.0
    paths = [Path(p) if p else None for p in (best, last)]
    epoch = 2 if best else None
    result = RunResult("any", Path("run"), *paths, 3, {"metrics/a": 0.5}, best_epoch=epoch, ending=ending)
    reporter.summary(replace(result, resumed_from=resumed))
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def test_the_summary_of_a_best_model() -> None:
    head, *_, use = summary("best.pt", "last.pt", Ending("patience", "stopped early after 3 of 9 epochs: so"))
    expected = "Stopped early after 3 of 9 epochs: so. The best model on held-out images (epoch 2):"
    assert head == f"Done: 3 epochs in 0 s. {expected}"
    assert use == "Use it: trainer predict model=best.pt source=IMAGE_OR_FOLDER"


def test_the_summary_of_a_resumed_run_does_not_give_its_time_for_all_epochs() -> None:
    head, *_ = summary("best.pt", "last.pt", Ending("epochs"), {"epoch": 2, "batch": 5})
    assert head.startswith("Done: 3 epochs (0 s since the resume at epoch 2). The best model on")
    head, *_ = summary("best.pt", "last.pt", Ending("epochs"), {"epoch": 4, "batch": 0})
    assert head.startswith("Done: 3 epochs. The best model on")


def test_the_summary_without_a_best_model() -> None:
    head, *places, use = summary(None, "last.pt", Ending("epochs"))
    assert head == "Done: 3 epochs in 0 s. best.pt was not saved. The model of the last epoch on held-out images:"
    assert "  last model   last.pt" in places
    assert use == "Use it: trainer predict model=last.pt source=IMAGE_OR_FOLDER"


def test_the_summary_without_a_checkpoint() -> None:
    head, *places = summary(None, None, Ending("epochs"))
    assert head == "Done: 3 epochs in 0 s. No checkpoint was saved. The model of the last epoch on held-out images:"
    assert places[-1] == "  run folder   run"


# The engine's log


@pytest.mark.usefixtures("engine")
def test_the_engines_warnings_reach_the_reporter_without_colours() -> None:
    from ultralytics.utils import LOGGER, colorstr

    from trainer_host.engine.ultralytics.engine_log import engine_log

    listener = Listener()
    with engine_log(listener):
        LOGGER.info("not shown")
        LOGGER.warning(colorstr("blue", "bold", "AutoBatch: ") + "using %d", 16)
        LOGGER.error("")
    assert listener.said == [("warn", "AutoBatch: using 16")]


@pytest.mark.usefixtures("engine")
def test_the_engines_log_is_shown_in_full_on_request() -> None:
    from ultralytics.utils import LOGGER

    from trainer_host.engine.ultralytics.engine_log import engine_log

    listener = Listener()
    with engine_log(listener, verbose=True):
        assert logging.getLevelName(LOGGER.level) == "INFO"
    assert listener.said == []
