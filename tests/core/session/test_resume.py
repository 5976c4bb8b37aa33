"""Resuming a run: by its folder, its record or a checkpoint, from the command and from Python."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import Done
from tests.support.fake_training import Plan, in_a_fork, killed, plan, signalled
from tests.support.recording_reporter import RecordingReporter
from trainer_host import SettingsError, hookimpl
from trainer_host.base.atomic_io import DiskFullError
from trainer_host.base.folder_lock import FolderLock
from trainer_host.cli.main import guarded
from trainer_host.engine import state_files
from trainer_host.session import recorded_environment

__all__ = ["plan"]
Trainer = Callable[..., Done]
NEW = ("run", "--task", "detect", "data=data.yaml", "model=yolo26n.yaml", "epochs=10")
FOLDER = "runs/detect/train"


@pytest.fixture
def trainer(trainer: Trainer, plan: Plan, tmp_path: Path) -> Trainer:
    (tmp_path / "data.yaml").write_text("train: train\nval: val\nnames: {0: a}\n")
    return trainer


def kill_one(plan: Plan, *states: tuple[int, int], words: tuple[str, ...] = NEW) -> None:
    """Start a run whose process is killed after it saved states."""
    plan.work = killed(*states)
    assert in_a_fork(lambda: guarded([*words])) == -signal.SIGKILL
    plan.work = Plan().work


def record(folder: str = FOLDER) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(folder, "run.yaml").read_text())["record"]
    return found


def told(done: Done) -> list[str]:
    return [line for line in done.said if not line.startswith(("Done", "The best", "  ", "Use it"))]


@pytest.mark.parametrize("name", [FOLDER, f"{FOLDER}/", f"{FOLDER}/run.yaml", f"{FOLDER}/weights/last.pt"])
def test_a_killed_run_goes_on_in_its_folder(trainer: Trainer, plan: Plan, name: str) -> None:
    kill_one(plan, (1, 0), (2, 11))
    assert (record()["status"], [s["batch"] for s in record()["states"]]) == ("running", [0, 11])
    Path(FOLDER, "weights/last.pt").write_bytes(b"weights")
    started = record()["started"]
    done = trainer("resume", name, "--json")
    assert done.code == 0, done.err
    (resumption,) = plan.begun
    assert resumption is not None and (resumption.entry.epoch, resumption.entry.batch) == (2, 11)
    assert (plan.contents, resumption.content) == ([{"batches": 40}], None)
    assert told(done)[0].startswith(f"Resuming {FOLDER} at epoch 3 of 10, batch 12 of 40 (state of 20")
    assert done.json["resumed_from"] == {"epoch": 3, "batch": 11}
    assert (done.json["save_dir"], done.json["nothing_done"]) == (str(Path(FOLDER).resolve()), False)
    after = record()
    assert (after["status"], after["started"]) == ("done", started)
    (resumed,) = after["resumed"]
    assert (resumed["from"], resumed["differences"]) == ({"epoch": 3, "batch": 11}, [])
    assert "states" not in after and list(Path(FOLDER).glob("weights/state-*")) == []
    assert sorted(p.name for p in Path("runs/detect").iterdir()) == ["train"]


def test_a_resume_of_a_resume_lists_both(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    kill_one(plan, (4, 0), words=("resume", FOLDER))
    assert trainer("resume", FOLDER).code == 0
    assert [r["from"]["epoch"] for r in record()["resumed"]] == [2, 5]


@pytest.mark.parametrize("words", [(f"resume={FOLDER}",), ("resume=True",), ("--task", "detect", "resume=True")])
def test_the_setting_of_the_engine_does_the_same(trainer: Trainer, plan: Plan, words: tuple[str, ...]) -> None:
    kill_one(plan, (1, 0))
    done = trainer("run", *words)
    assert done.code == 0, done.err
    chosen = [f"resume=True: {FOLDER} is the latest run that is not finished."] if "resume=True" in words else []
    assert told(done)[: len(chosen)] == chosen
    assert told(done)[len(chosen)].startswith(f"Resuming {FOLDER} at epoch 2 of 10 (state")
    assert plan.runs[0].resolved.settings["model"] == "yolo26n.yaml"
    assert "resume" not in plan.runs[0].resolved.settings


def test_a_dry_run_prints_the_run_that_would_go_on(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    before = Path(FOLDER, "run.yaml").read_bytes()
    settings = yaml.safe_load(trainer("run", f"resume={FOLDER}", "epochs=20", "--dry-run").out)
    assert (settings["epochs"], settings["model"], "resume" in settings) == (20, "yolo26n.yaml", False)
    assert (Path(FOLDER, "run.yaml").read_bytes(), plan.begun) == (before, [])


def test_it_is_resumed_from_python(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 3))
    result = trainer_host.resume(Path(FOLDER), workers=0, plots=False)
    assert (result.resumed_from, result.nothing_done) == ({"epoch": 2, "batch": 3}, False)
    again = trainer_host.resume(FOLDER)
    assert (again.nothing_done, again.metrics, again.best) == (True, result.metrics, result.best)
    assert trainer_host.run(resume=FOLDER).nothing_done
    assert len(plan.begun) == 1


def test_a_finished_run_is_left_as_it_is(trainer: Trainer, plan: Plan) -> None:
    first = trainer(*NEW, "--json")
    before = Path(FOLDER, "run.yaml").read_bytes()
    done = trainer("resume", FOLDER, "--json")
    assert (done.code, told(done)) == (0, [f"{FOLDER} is finished: nothing to do."])
    assert done.json == {**first.json, "nothing_done": True}
    assert (Path(FOLDER, "run.yaml").read_bytes(), len(plan.begun)) == (before, 1)


def test_a_finished_run_cannot_have_more_epochs_without_its_state(trainer: Trainer, plan: Plan) -> None:
    assert trainer(*NEW).code == 0
    assert list(Path(FOLDER).glob("weights/state-*")) == []
    assert trainer("resume", FOLDER, "epochs=20").problems == [
        (
            f"{FOLDER} is finished, and its state was removed when it was done, so it cannot go on to 20 epochs. Fix: "
            f"start a new run from its weights: trainer run {FOLDER}/run.yaml "
            f"model={FOLDER}/weights/last.pt epochs=10; next time add "
            "--keep-state"
        )
    ]
    assert trainer("resume", FOLDER, "epochs=5").code == 3


def test_a_finished_run_goes_on_with_more_epochs_from_a_state_that_was_kept(trainer: Trainer, plan: Plan) -> None:
    assert trainer(*NEW, "--keep-state").code == 0
    assert [p.name for p in Path(FOLDER).glob("weights/state-*")] == ["state-0010-000000.pt"]
    done = trainer("resume", FOLDER, "epochs=20", "--json")
    assert done.code == 0, done.err
    assert told(done)[0].startswith(f"Resuming {FOLDER} at epoch 11 of 20 (state of ")
    assert told(done)[1:3] == [
        "Changed: epochs=10 -> 20 (changes the result).",
        (
            "Schedule: from epoch 11 on, the learning rate and all else that depends on the number of "
            "epochs are those of a "
            "run of 20 epochs."
        ),
    ]
    assert record()["resumed"][0]["differences"] == [{"name": "epochs", "recorded": 10, "now": 20}]
    assert yaml.safe_load(Path(FOLDER, "run.yaml").read_text())["epochs"] == 20
    assert trainer("resume", FOLDER, "epochs=20").said[-1] == f"{FOLDER} is finished: nothing to do."


def test_a_run_without_a_state_starts_from_the_beginning(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan)
    Path(FOLDER, "results.csv").write_text("epoch\n1\n")
    done = trainer("resume", FOLDER, "--json")
    assert done.code == 0, done.err
    assert told(done)[0] == f"{FOLDER} has no state yet: starting from the beginning."
    assert (plan.begun, done.json["resumed_from"]) == ([None], None)
    assert record()["resumed"][0]["from"] == {"epoch": 1, "batch": 0}
    assert not Path(FOLDER, "results.csv").exists()


def test_checkpoints_are_not_replaced_by_a_start_from_the_beginning(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    weights = Path(FOLDER, "weights")
    (weights / "last.pt").write_bytes(b"good")
    for state in weights.glob("state-*"):
        state.write_bytes(b"damaged")
    before = Path(FOLDER, "run.yaml").read_bytes()
    (problem,) = trainer("resume", FOLDER).problems
    assert problem.startswith(f"no state of {FOLDER} can be used (")
    assert problem.endswith(f"Fix: start a new run from the weights: trainer run {FOLDER}/run.yaml "
                            f"model={FOLDER}/weights/last.pt")  # fmt: skip
    assert ((weights / "last.pt").read_bytes(), Path(FOLDER, "run.yaml").read_bytes()) == (b"good", before)


def test_it_falls_back_to_an_older_state_and_says_so(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0), (2, 0))
    Path(FOLDER, "weights/state-0002-000000.pt").write_bytes(b"torn")
    done = trainer("resume", FOLDER)
    assert done.code == 0, done.err
    assert told(done)[0].startswith("Warning: ") and told(done)[0].endswith("Going back to an older state.")
    assert "state-0002-000000.pt" in told(done)[0]
    assert told(done)[1].startswith(f"Resuming {FOLDER} at epoch 2 of 10")


def test_what_cannot_change_is_refused_by_name(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    before = Path(FOLDER, "run.yaml").read_bytes()
    new = f"Fix: start a new run: trainer run {FOLDER}/run.yaml"
    done = trainer(
        "resume", FOLDER, "lr0=0.1", "epochs=10", "batch=4", "name=x", "cbam.gain=1", "--plugin", "other", "epoch=5"
    )
    assert (done.code, done.problems) == (
        3,
        [
            "unknown setting 'epoch'. Did you mean 'epochs'?",
            f"lr0=0.1 cannot replace lr0=0.01 in a run that is resumed. {new} lr0=0.1",
            f"batch=4 cannot replace batch=16 in a run that is resumed. {new} batch=4",
            "name=x cannot replace name=None in a run that is resumed. It stays in its folder. Fix: remove name=",
            f"{FOLDER}: the run does not have the plugin 'other'. Fix: remove --plugin other",
            f"cbam.gain=1 cannot change in a run that is resumed. {new} cbam.gain=1",
        ],
    )
    (problem,) = trainer("resume", FOLDER, "epochs=5").problems
    assert problem.startswith("epochs=5 is less than the 10 epochs of the run, which can only have more. Fix: ")
    (problem,) = trainer("run", "--exact", f"resume={FOLDER}").problems
    assert problem.startswith("--exact cannot change in a run that is resumed (not set in its record).")
    assert (Path(FOLDER, "run.yaml").read_bytes(), plan.begun) == (before, [])


def test_what_may_change_is_listed(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    done = trainer("resume", FOLDER, "patience=3", "workers=1", "--checkpoint-every", "10min", "--keep-state")
    assert done.code == 0, done.err
    assert told(done)[1:3] == ["Changed: patience=100 -> 3 (changes the result).", "Changed: workers=8 -> 1."]
    settings = yaml.safe_load(Path(FOLDER, "run.yaml").read_text())
    assert (settings["patience"], settings["checkpoint_every"], settings["keep_state"]) == (3, "10min", True)
    assert plan.runs[0].options.checkpoint_every.seconds == 600.0  # type: ignore[union-attr]


def changed_record(**versions: str) -> None:
    path = Path(FOLDER, "run.yaml")
    content = yaml.safe_load(path.read_text())
    content["record"]["versions"] |= versions
    path.write_text(yaml.safe_dump(content))


def test_what_would_change_the_result_is_refused_unless_it_is_allowed_by_name(trainer: Trainer, plan: Plan) -> None:
    import torch

    kill_one(plan, (1, 0))
    changed_record(torch="1.0", python="3.0")
    plan.fingerprint = "b" * 64
    done = trainer("resume", FOLDER, "--json")
    here = f"{torch.__version__} here"
    fix = "Fix: restore it, or accept another result with --allow"
    assert (done.code, done.problems) == (
        3,
        [
            (
                f"torch: 1.0 in the run's record, {here}, which would change the result. {fix} torch (from Python: "
                "allow=['torch'])"
            )
        ],
    )
    assert any(line.startswith("Differs from the record: python: 3.0") for line in done.said)
    done = trainer("resume", FOLDER, "--allow", "torch")
    assert done.problems == [
        (
            "the run was recorded with a dataset that has changed since (fingerprint aaaaaaaaaaaa, now bbbbbbbbbbbb), "
            f"which would change the result. {fix} dataset "
            "(from Python: allow=['dataset'])"
        )
    ]
    assert record()["status"] == "running" and "resumed" not in record()
    done = trainer("resume", FOLDER, "--allow", "torch", "--allow", "dataset")
    assert done.code == 0, done.err
    assert [d["name"] for d in record()["resumed"][0]["differences"]] == ["python", "torch", "dataset"]
    warned = [line for line in done.said if line.startswith("Warning: ")]
    assert (
        f"Warning: torch: 1.0 in the run's record, {here}, so the result is not that of the run without an "
        in (warned[0])
    )


def test_a_difference_has_the_shape_that_is_shared() -> None:
    one = recorded_environment.Difference("torch", "1", "2")
    assert (one.name, one.recorded, one.now, one.changes_result) == ("torch", "1", "2", True)


def test_a_signal_leaves_a_run_that_can_be_resumed(trainer: Trainer, plan: Plan) -> None:
    plan.work = signalled(signal.SIGTERM, (2, 5))
    done = trainer(*NEW, "--json")
    assert (done.code, done.problems) == (
        143,
        [(f"stopped by SIGTERM: the state is saved at epoch 3 of 10, batch 6. Fix: trainer resume {FOLDER}")],
    )
    assert (done.json["retryable"], done.json["resume"]) == (True, f"trainer resume {FOLDER}")
    assert done.json["save_dir"] == str(Path(FOLDER).resolve())
    assert record()["status"] == "stopped"
    plan.work = Plan().work
    assert trainer("resume", FOLDER).code == 0


def test_a_warning_of_the_scheduler_saves_and_goes_on(trainer: Trainer, plan: Plan) -> None:
    asked = []

    def work(save: Any, stop: Any) -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        asked.append(stop.save_requested)
        return False

    plan.work = work
    kept = signal.getsignal(signal.SIGUSR1)
    assert trainer(*NEW).code == 0
    assert (asked, signal.getsignal(signal.SIGUSR1)) == ([True], kept)


@pytest.mark.parametrize(("number", "missing"), [(errno.ENOSPC, "9000000000000.0 MB"), (errno.EROFS, None)])
def test_a_disk_that_cannot_be_written_leaves_a_run_that_can_be_resumed(
    trainer: Trainer, plan: Plan, number: int, missing: str | None
) -> None:
    def work(save: Any, _stop: Any) -> bool:
        save(2, 0)
        last = Path(FOLDER, "weights/last.pt").resolve()
        error = OSError(number, os.strerror(number), str(last))
        raise DiskFullError(error, 9 * 10**18) if missing else error

    plan.work = work
    done = trainer(*NEW, "--json")
    (problem,) = done.problems
    assert (done.code, done.json["retryable"], done.json["resume"]) == (9, True, f"trainer resume {FOLDER}")
    assert problem.startswith(f"{Path(FOLDER).resolve()}/weights/last.pt: cannot ")
    assert os.strerror(number) in problem and problem.endswith(f", then trainer resume {FOLDER}")
    if missing:
        assert "cannot write 9000000000000.0 MB: " in problem and " MB free). Fix: free 8" in problem
    assert record()["status"] == "failed"
    plan.work = Plan().work
    assert trainer("resume", FOLDER, "--json").json["resumed_from"] == {"epoch": 3, "batch": 0}


def test_a_folder_that_disappears_is_not_made_again(trainer: Trainer, plan: Plan) -> None:
    def work(save: Any, _stop: Any) -> bool:
        save(2, 0)
        shutil.rmtree(FOLDER)
        save(3, 0)
        return False

    plan.work = work
    done = trainer(*NEW, "--json")
    assert (done.code, done.json["retryable"]) == (9, True)
    assert done.problems[0].startswith(f"{Path(FOLDER).resolve()}: the run's folder disappeared during the run.")
    assert not Path(FOLDER).exists()
    assert trainer("resume", FOLDER).problems == [
        f"run {FOLDER} not found. Fix: give the folder of a run, such as runs/TASK/train"
    ]


def test_a_living_run_is_not_resumed(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    assert Path(FOLDER, ".in-use").exists()  # of the dead process
    ready, go = os.pipe(), os.pipe()

    def hold() -> int:
        lock = FolderLock(Path(FOLDER), lambda _: None)
        os.write(ready[1], b".")
        os.read(go[0], 1)
        lock.release()
        return 0

    child = os.fork()
    if child == 0:
        os._exit(hold())
    os.read(ready[0], 1)
    done = trainer("resume", FOLDER, "--json")
    os.write(go[1], b".")
    os.waitpid(child, 0)
    assert (done.code, done.json["retryable"]) == (9, True)
    assert done.problems[0].startswith(
        f"{Path(FOLDER).resolve()}: the folder is in use by another run (process {child}"
    )
    assert trainer("resume", FOLDER).code == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nowhere",), "run nowhere not found. Fix: give the folder of a run, such as runs/TASK/train"),
        (
            ("data.yaml",),
            (
                "data.yaml is not part of a run that can be resumed: run.yaml not found in .. Fix: give "
                "the folder of a "
                "run"
            ),
        ),
        (
            ("old.pt",),
            (
                "old.pt is not part of a run that can be resumed: run.yaml not found in .. Fix: to train from "
                "its weights, "
                "trainer run model=old.pt"
            ),
        ),
    ],
)
def test_what_is_not_a_run(trainer: Trainer, words: tuple[str, ...], problem: str) -> None:
    Path("old.pt").write_bytes(b"x")
    done = trainer("resume", *words)
    assert (done.code, done.problems) == (3, [problem])


def test_a_wrong_path_names_the_runs_that_resemble_it(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    kill_one(plan, (1, 0), words=(*NEW, "name=night"))
    assert trainer("resume", "runs/detect/nigth").problems == [
        "run runs/detect/nigth not found. Fix: give the folder of a run, such as runs/detect/night"
    ]
    assert trainer("resume", "runs/pose/night").problems[0].endswith("such as runs/detect/night")
    assert trainer("resume", "night").problems[0].endswith("such as runs/detect/night")
    (problem,) = trainer("resume", "runs/detect").problems
    assert problem == (
        "runs/detect is not part of a run that can be resumed: run.yaml not found in runs/detect. "
        "Fix: give the folder of a run, such as runs/detect/night, runs/detect/train"
    )


def test_without_a_run_the_unfinished_ones_are_named(trainer: Trainer, plan: Plan) -> None:
    done = trainer("resume")
    assert (done.code, "no unfinished run found in runs" in done.err) == (2, True)
    kill_one(plan, (1, 0))
    kill_one(plan, (1, 0), words=(*NEW, "name=night"))
    assert trainer(*NEW, "name=done").code == 0
    done = trainer("resume")
    assert done.code == 2
    assert (
        "name the run to resume: trainer resume runs/detect/night (unfinished, latest first: runs/detect/night, "
        "runs/detect/train)" in " ".join(done.err.split())
    )


def test_the_latest_run_is_the_latest_that_is_not_finished(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    kill_one(plan, (2, 0), words=(*NEW, "name=night"))
    assert trainer(*NEW, "name=done").code == 0
    for folder, epoch in (("runs/detect/night", 3), (FOLDER, 2)):
        done = trainer("run", "--task", "detect", "resume=True", "--json")
        assert done.json["resumed_from"]["epoch"] == epoch
        assert told(done)[0] == f"resume=True: {folder} is the latest run that is not finished."
    done = trainer("run", "--task", "detect", "resume=True", "--json")
    assert (done.code, done.json["nothing_done"]) == (0, True)
    assert told(done) == [
        "resume=True: all 3 runs in runs/detect are finished.",
        f"{FOLDER} is finished: nothing to do.",
    ]


def test_options_about_states_without_states(trainer: Trainer, plan: Plan) -> None:
    why = "save=False saves no state. Fix: remove save=False"
    done = trainer(*NEW, "save=False", "--checkpoint-every=5", "--keep-state", "name=night", "--if-exists=resume")
    assert (done.code, [line for line in done.said if line.startswith("Warning: ")]) == (
        0,
        [
            f"Warning: --checkpoint-every=5 and --keep-state have no effect: {why}",
            f"Warning: --if-exists=resume starts a run that was stopped from the beginning: {why}",
        ],
    )
    seen = RecordingReporter()
    settings: dict[str, Any] = {"data": "data.yaml", "model": "yolo26n.yaml", "save": False}
    trainer_host.run("detect", checkpoint_every="10min", reporter=seen, **settings)
    assert seen.warnings == [f"checkpoint_every='10min' has no effect: {why}"]


def test_a_state_is_read_once(trainer: Trainer, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_one(plan, (1, 0), (2, 0))
    read: list[str] = []
    genuine = state_files._read
    monkeypatch.setattr(state_files, "_read", lambda path, entry: (read.append(path.name), genuine(path, entry))[1])
    assert trainer("resume", FOLDER).code == 0
    assert (read, plan.contents) == (["state-0002-000000.pt"], [{"batches": 40}])


def test_recoveries_are_kept_when_they_happen_and_over_a_resume(trainer: Trainer, plan: Plan) -> None:
    one = {"what": "loss", "epoch": 2, "batch": 3, "attempt": 1, "state": "state-0001-000000.pt"}

    def work(save: Any, _stop: Any) -> bool:
        save(1, 0)
        plan.records[-1].add_recovery(one)
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    plan.work = work
    assert in_a_fork(lambda: guarded([*NEW])) == -signal.SIGKILL
    assert (record()["status"], record()["recoveries"]) == ("running", [one])

    def again(save: Any, _stop: Any) -> bool:
        for attempt in (1, 2):  # the first is met again
            plan.records[-1].add_recovery({**one, "attempt": attempt})
        return False

    plan.work = again
    assert trainer("resume", FOLDER).code == 0
    assert (record()["status"], record()["recoveries"]) == ("done", [one, {**one, "attempt": 2}])


def test_there_is_no_latest_run(trainer: Trainer, tmp_path: Path) -> None:
    (problem,) = trainer("run", "--task", "detect", "resume=True").problems
    assert problem == "no run to resume in runs/detect. Fix: give the run's folder: resume=DIR"
    assert trainer("resume").code == 2
    assert trainer("resume", "a", "b").code == 2


SCHEDULED = (*NEW, "name=night", "--if-exists=resume")


def test_a_scheduler_repeats_one_command(trainer: Trainer, plan: Plan) -> None:
    night = "runs/detect/night"
    kill_one(plan, (1, 0), words=SCHEDULED)
    kill_one(plan, (3, 2), words=SCHEDULED)
    done = trainer(*SCHEDULED, "--json")
    assert done.code == 0, done.err
    assert told(done)[0].startswith(f"Resuming {night} at epoch 4 of 10, batch 3 of 40 (")
    done = trainer(*SCHEDULED, "--json")
    assert (done.code, done.json["nothing_done"], told(done)) == (0, True, [f"{night} is finished: nothing to do."])
    assert len(record(night)["resumed"]) == 2
    assert [p.name for p in Path("runs/detect").iterdir()] == ["night"]
    (problem,) = trainer(*SCHEDULED[:-1], "--if-exists=fail").problems
    assert problem == (
        f"{Path(night).resolve()}: the run's folder exists. Fix: give another name=NAME, or add --if-exists=resume"
    )
    assert trainer(*SCHEDULED[:-1], "--if-exists=new").code == 0
    assert trainer(*SCHEDULED[:-1]).code == 0
    assert sorted(p.name for p in Path("runs/detect").iterdir()) == ["night", "night2", "night3"]


def test_a_repeated_command_with_other_settings_is_refused(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0), words=SCHEDULED)
    (problem,) = trainer(*SCHEDULED, "seed=3").problems
    assert problem.startswith("seed=3 cannot replace seed=0 in a run that is resumed. Fix: start a new run: ")
    (problem,) = trainer(*SCHEDULED, "--bad=skip").problems
    assert problem.startswith("--bad=skip cannot change in a run that is resumed (fail in its record).")
    Path("exp.yaml").write_text("seed: 4\n")
    (problem,) = trainer(*SCHEDULED, "exp.yaml").problems
    assert problem.startswith("exp.yaml:1: seed=4 cannot replace seed=0")


def test_if_exists_needs_a_name(trainer: Trainer) -> None:
    assert trainer(*NEW, "--if-exists=resume").problems == [
        "--if-exists=resume needs the name of a run. Fix: add name=NAME"
    ]
    assert trainer(*NEW, "--if-exists=again").problems == [
        "--if-exists=again is not valid. Fix: write --if-exists=new, --if-exists=fail, or --if-exists=resume"
    ]
    assert not Path("runs").exists()


def test_a_folder_that_was_claimed_and_never_used_is_taken(trainer: Trainer, plan: Plan) -> None:
    Path("runs/detect/night").mkdir(parents=True)
    assert trainer(*SCHEDULED).code == 0
    Path("runs/detect/other").mkdir()
    Path("runs/detect/other/notes.txt").write_text("mine")
    done = trainer(*SCHEDULED[:-2], "name=other", "--if-exists=resume")
    assert (done.code, Path("runs/detect/other/notes.txt").exists()) == (3, True)


def test_states_of_an_earlier_run_in_the_folder_are_not_those_of_the_next(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    kill_one(plan, words=(*NEW, "exist_ok=True"))
    assert list(Path(FOLDER).glob("weights/state-*")) == []
    assert "states" not in record()


def test_a_settings_file_does_not_choose_a_run_elsewhere(trainer: Trainer, tmp_path: Path) -> None:
    Path("exp.yaml").write_text(f"resume: {tmp_path.parent}\n")
    done = trainer("run", "exp.yaml")
    assert (done.code, len(done.problems)) == (6, 1)


def test_a_record_that_somebody_edited_is_no_traceback(trainer: Trainer, plan: Plan) -> None:
    kill_one(plan, (1, 0))
    path = Path(FOLDER, "run.yaml")
    content = yaml.safe_load(path.read_text())
    content["record"]["states"] = [5]
    path.write_text(yaml.safe_dump(content))
    assert trainer("resume", FOLDER).problems == [
        f"{path.resolve()}: record.states does not describe state files. Fix: restore the file"
    ]
    path.write_text("task: detect\n")
    assert trainer("resume", FOLDER).problems == [
        f"{path.resolve()}: not the record of a run. Fix: give the folder of a run"
    ]


def test_objects_are_given_again(trainer: Trainer, plan: Plan, tmp_path: Path) -> None:
    class Quiet:
        """A plugin of a notebook."""

        @hookimpl
        def callbacks(self, ctx: Any) -> dict[str, Any]:
            return {}

    settings: dict[str, Any] = {"data": "data.yaml", "model": "yolo26n.yaml"}

    def start() -> int:
        trainer_host.run("detect", plugins=[Quiet()], **settings)
        return 0

    plan.work = killed((1, 0))
    assert in_a_fork(start) == -signal.SIGKILL
    plan.work = Plan().work
    with pytest.raises(SettingsError, match=r"Fix: call trainer_host\.resume\('.*run.yaml', plugins=\[Quiet\(\)\]\)"):
        trainer_host.resume(FOLDER)
    seen = RecordingReporter()
    assert trainer_host.resume(FOLDER, plugins=[Quiet()], reporter=seen).resumed_from == {"epoch": 2, "batch": 0}
    assert not seen.warnings
