"""Stopping a run with SIGINT and SIGTERM, from outside and as Ctrl-C does it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command import TRAINER, command, environment, process, python
from tests.support.sample_datasets import pose_dataset
from tests.support.warm_processes import warm_command
from trainer_host import StoppedError
from trainer_host.base.signals import StopRequest

SIGNALS = [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
RUN = ["run", "--task", "pose", "model=yolo11n-pose.yaml", "imgsz=64", "epochs=100", "plots=False"]
DEADLINE_S = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("dataset"), images=8)


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let SIGINT reach what these tests start: jobs in the background of a shell, and their children, ignore it."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


@contextmanager
def running(*words: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start ``trainer``, and end it in any case."""
    process = subprocess.Popen(
        [*TRAINER, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a process says until a line matches; the text ends early where the process does."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if re.search(pattern, line):
            return said
    pytest.fail(f"it ended first: {said}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    return found["record"]


@pytest.mark.train
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_run_stops_with_a_checkpoint(
    tmp_path: Path, data: Path, engine: None, number: signal.Signals, code: int
) -> None:
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    with running(*RUN, f"data={data}", "--json", cwd=tmp_path) as process:
        read_until(process, r"^ +1/100 ")
        os.killpg(process.pid, number)  # the whole group, as a terminal does
        status, out, err = finish(process)
    assert status == code, err
    assert "Traceback" not in err
    assert err.count("trainer: stopped by ") == 1
    folder = tmp_path / "runs" / "pose" / "train"
    checkpoint = read_checkpoint(folder / "weights" / "last.pt")
    assert checkpoint.task == "pose"
    assert checkpoint.content["epoch"] >= 0
    assert checkpoint.content["optimizer"] is not None
    assert re.search(
        r"the state is saved at epoch \d+ of 100.*\. Fix: trainer resume runs/pose/train$", err, re.MULTILINE
    )
    assert record_of(folder)["status"] == "stopped"
    reported = yaml.safe_load(out)
    assert (reported["status"], reported["exit_code"], reported["retryable"]) == ("stopped", code, True)
    assert [f.name for f in folder.rglob("*.part")] == []


STOP = """
import os
from trainer_host import hookimpl

count = []

def stop(_):
    count.append(1)
    if len(count) == {which}:
        os.kill(os.getpid(), {number})

@hookimpl
def callbacks(ctx):
    return {{{event!r}: stop}}
"""


@pytest.mark.train
@pytest.mark.parametrize(
    ("event", "which", "position"),
    [("on_train_batch_start", 1, "0, 1, 'batches'"), ("on_val_batch_start", 2, "1, 2, 'validation'")],
)
def test_a_run_stops_within_a_batch_with_its_state(
    tmp_path: Path, data: Path, event: str, which: int, position: str
) -> None:
    (tmp_path / "stop.py").write_text(STOP.format(event=event, which=which, number=int(signal.SIGTERM)))
    done = warm_command(*RUN, "batch=4", f"data={data}", "--plugin", "./stop.py", cwd=tmp_path)
    assert done.code == 143, done.err
    assert "Traceback" not in done.err
    folder = tmp_path / "runs" / "pose" / "train"
    states = sorted((folder / "weights").glob("state-*.pt"))
    script = "import torch; from trainer_host.engine.packed_state import unpacked; "
    script += f"s = unpacked(torch.load({str(states[-1])!r}, weights_only=True))['loop']; "
    assert python(script + "print(s['epoch'], s['batch'], repr(s['phase']), sep=', ')") == f"{position}\n"
    rows = folder / "results.csv"
    assert (len(rows.read_text().splitlines()) - 1 if rows.exists() else 0) == int(position[0])
    assert record_of(folder)["status"] == "stopped"


WARN = """
import os, pathlib, signal
from trainer_host import hookimpl

def warn(trainer):
    if trainer.loop.batch == 1:
        os.kill(os.getpid(), signal.SIGUSR1)

def see(trainer):
    trainer.saver.files.wait()  # it is written while the training goes on
    pathlib.Path("seen.txt").write_text(str([f.name for f in trainer.wdir.glob("state-*.pt")]))

@hookimpl
def callbacks(ctx):
    return {"on_train_batch_start": warn, "on_train_epoch_end": see}
"""


@pytest.mark.train
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system does not have the signal")
def test_a_warning_of_a_scheduler_saves_the_state_and_the_run_goes_on(tmp_path: Path, data: Path) -> None:
    (tmp_path / "warn.py").write_text(WARN)
    done = warm_command(*RUN[:-2], "epochs=1", "batch=2", f"data={data}", "--plugin", "./warn.py", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "seen.txt").read_text() == "['state-0000-000002.pt']"


@pytest.mark.train
def test_a_second_signal_ends_a_run_at_once(tmp_path: Path, data: Path) -> None:
    stubborn = (
        "import os, signal\nfrom trainer_host import hookimpl\n"
        "def twice(trainer):\n    os.kill(os.getpid(), signal.SIGINT)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "@hookimpl\ndef callbacks(ctx):\n    return {'on_train_batch_start': twice}\n"
    )
    (tmp_path / "stubborn.py").write_text(stubborn)
    done = command(*RUN, f"data={data}", "--plugin", "./stubborn.py", cwd=tmp_path)
    assert done.code == 130, done.err
    assert done.problems == ["stopped by SIGINT: without saving the state."]
    assert record_of(tmp_path / "runs" / "pose" / "train")["status"] == "stopped"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(
    "event", [pytest.param("on_pretrain_routine_start", marks=pytest.mark.slow), "on_pretrain_routine_end"]
)
def test_a_signal_before_training_ends_a_run_at_once(
    tmp_path: Path, data: Path, event: str, number: signal.Signals, code: int
) -> None:
    early = (
        "import os\nfrom trainer_host import hookimpl\n"
        f"def stop(trainer):\n    os.kill(os.getpid(), {int(number)})\n"
        f"@hookimpl\ndef callbacks(ctx):\n    return {{{event!r}: stop}}\n"
    )
    (tmp_path / "early.py").write_text(early)
    done = warm_command(*RUN, f"data={data}", "--plugin", "./early.py", cwd=tmp_path)
    assert done.code == code, done.err
    assert done.problems == [f"stopped by {number.name}: before training began."]
    assert "Traceback" not in done.err
    folder = tmp_path / "runs" / "pose" / "train"
    assert record_of(folder)["status"] == "stopped"
    assert list(folder.rglob("*.pt")) == []


def test_an_error_after_a_signal_is_its_consequence(tmp_path: Path, data: Path) -> None:
    # Libraries swallow what is raised while they are imported, and fail later over what is missing then.
    swallow = (
        "import os, signal\nfrom trainer_host import hookimpl\n"
        "def stop(trainer):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM)\n    except BaseException:\n        pass\n"
        "    raise AttributeError('half a module')\n"
        "@hookimpl\ndef callbacks(ctx):\n    return {'on_pretrain_routine_start': stop}\n"
    )
    (tmp_path / "swallow.py").write_text(swallow)
    done = warm_command(*RUN, f"data={data}", "--plugin", "./swallow.py", cwd=tmp_path)
    assert done.code == 143, done.err
    assert done.problems == ["stopped by SIGTERM: before training began (AttributeError while stopping)."]
    assert record_of(tmp_path / "runs" / "pose" / "train")["status"] == "stopped"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_the_engine_is_loaded_ends_the_command(
    tmp_path: Path, data: Path, number: signal.Signals, code: int
) -> None:
    with running(*RUN, f"data={data}", "--json", cwd=tmp_path) as process:
        read_until(process, r"^trainer ")
        process.send_signal(number)
        status, out, err = finish(process)
    assert status == code, err
    assert "Traceback" not in err
    assert json.loads(out)["exit_code"] == code
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(
    "module", ["trainer_host.base.errors", "click", "trainer_host.cli.main", "trainer_host.cli.check"]
)
def test_a_signal_in_the_midst_of_an_import_ends_the_command(
    tmp_path: Path, number: signal.Signals, code: int, module: str
) -> None:
    # As an installer writes it, with a signal when the module is looked for.
    script = tmp_path / "trainer"
    script.write_text(
        "import os, sys\n"
        "class Finder:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from trainer_host.cli.main import main\nsys.exit(main())\n"
    )
    done = process(sys.executable, script, "check", "x.yaml", "--json", cwd=tmp_path)
    assert done.code == code, done.err
    assert done.err == f"trainer: stopped by {number.name}: the command was still starting.\n"
    reported = json.loads(done.out)
    assert (reported["status"], reported["error"], reported["exit_code"], reported["retryable"]) == (
        *("stopped", "StoppedError"),
        *(code, True),
    )


def test_a_program_of_the_users_keeps_its_handlers(tmp_path: Path) -> None:
    code = "import signal, trainer_host, trainer_host.cli.main as m; print(signal.getsignal(signal.SIGTERM).name)"
    assert python(code, cwd=tmp_path) == "SIG_DFL\n"
    code = (
        "import signal, trainer_host.cli.main as m\n"
        "m.guarded(['--version'])\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    assert python(code, cwd=tmp_path).splitlines()[-1] == "True"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize("words", [("convert", "{data}", "out/copy"), ("check", "{data}", "--fix", "out/copy")])
def test_a_signal_leaves_nothing_of_a_dataset_that_is_written(
    tmp_path: Path, data: Path, words: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    (tmp_path / "stop.py").write_text(
        "import os, sys\nfrom trainer_host import hookimpl\n"
        "sent = []\n"
        "def listen(event, arguments):\n"
        "    if event in ('os.link', 'os.symlink') and not sent:\n"
        f"        sent.append(1)\n        os.kill(os.getpid(), {int(number)})\n"
        "sys.addaudithook(listen)\n"
        "@hookimpl\ndef check_dataset(ctx):\n    return []\n"
    )
    done = command(*(w.format(data=data) for w in words), "--plugin", "./stop.py", "--json", cwd=tmp_path)
    assert done.code == code, done.err
    assert done.problems == [f"stopped by {number.name}: the command was not finished."]
    assert (done.json["status"], done.json["exit_code"]) == ("stopped", code)
    assert list((tmp_path / "out").iterdir()) == []


def test_after_the_answer_a_signal_changes_nothing() -> None:
    stop = StopRequest()
    stop.over = True
    stop.handle(signal.SIGTERM, None)
    assert not stop.requested


def test_the_first_signal_waits_and_the_second_does_not() -> None:
    stop = StopRequest()
    stop.waits = True
    stop.handle(signal.SIGTERM, None)
    assert (stop.requested, stop.terminated) == (True, True)
    with pytest.raises(StoppedError) as caught:
        stop.handle(signal.SIGINT, None)
    assert (caught.value.exit_code, caught.value.retryable) == (130, True)
    assert StopRequest().error("x").exit_code == 130


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_without_waiting_the_first_signal_ends(number: signal.Signals, code: int) -> None:
    with pytest.raises(StoppedError, match=f"stopped by {number.name}: before training began") as caught:
        StopRequest().handle(number, None)
    assert caught.value.exit_code == code


def test_only_an_error_after_a_request_is_a_consequence() -> None:
    stop, bug = StopRequest(), ZeroDivisionError()
    assert stop.instead_of(bug, "last checkpoint x") is bug
    stop.waits = True
    stop.handle(signal.SIGINT, None)
    stopped = stop.error("x")
    assert stop.instead_of(stopped, "y") is stopped
    assert "last checkpoint x (ZeroDivisionError while stopping)" in str(stop.instead_of(bug, "last checkpoint x"))


def test_workers_leave_signals_to_the_run() -> None:
    # Ctrl-C reaches every process of a terminal; a worker that ended on its own would fail the run.
    code = (
        "import os, signal\nfrom trainer_host.base.signals import StopRequest\n"
        "stop = StopRequest()\nstop.waits = True\n"
        "with stop.listening():\n"
        "    for number in (signal.SIGINT, signal.SIGTERM):\n"
        "        worker = os.fork()\n"
        "        if worker == 0:\n"
        "            os.kill(os.getpid(), number)\n"
        "            os._exit(9)\n"
        "        print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), stop.requested)\n"
    )
    assert python(code).split("\n")[:2] == ["9 False", f"{-signal.SIGTERM} False"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_a_plugin_is_imported_ends_the_command(
    tmp_path: Path, data: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "slow.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    done = command("check", str(data), "--task", "pose", "--plugin", "./slow.py", "--json", cwd=tmp_path)
    assert (done.code, done.json["error"]) == (code, "StoppedError"), done.err
    assert "broken" not in done.err


def test_a_signal_while_an_image_is_read_is_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from trainer_host.data.image_headers import read_header

    def stop(*_: Any) -> None:
        StopRequest().handle(signal.SIGINT, None)

    file = tmp_path / "a.webp"
    Image.new("RGB", (32, 32)).save(file)
    monkeypatch.setattr(Image, "open", stop)
    with pytest.raises(StoppedError):
        read_header(str(file), file.stat().st_size)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_libraries_are_unloaded_changes_no_exit_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    script = (
        "import os, sys\nimport trainer_host\n"
        f"class Late:\n    def __del__(self, kill=os.kill, me=os.getpid()):\n        kill(me, {int(number)})\n"
        "late = Late()\nsys.exit(3)\n"
    )
    (tmp_path / "trainer").write_text(script)  # a name by which the command is known
    done = process(sys.executable, tmp_path / "trainer")
    assert (done.code, done.err) == (3, "")


def test_a_signal_while_a_model_is_built_keeps_its_code(tmp_path: Path) -> None:
    from tests.support.untrained_models import untrained

    (tmp_path / "in").mkdir()
    (tmp_path / "late.py").write_text(
        "import os\nfrom trainer_host import hookimpl\n"
        f"@hookimpl(wrapper=True)\ndef build_model(ctx):\n    os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
        "    return (yield)\n"
    )
    done = command("predict", f"model={untrained(tmp_path)}", "source=in", "--plugin", "./late.py", cwd=tmp_path)
    assert (done.code, done.problems) == (143, ["stopped by SIGTERM: what was found until then is written."])
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system does not have the signal")
def test_a_warning_of_a_scheduler_while_the_command_starts_changes_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nimport trainer_host\nos.kill(os.getpid(), signal.SIGUSR1)\n"
        "from trainer_host.cli.main import main\nsys.exit(main())\n"
    )
    (tmp_path / "trainer").write_text(script)  # a name by which the command is known
    done = process(sys.executable, tmp_path / "trainer", "--version")
    assert (done.code, done.err) == (0, "")


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system does not have the signal")
def test_a_warning_of_a_scheduler_asks_for_a_state_only() -> None:
    stop = StopRequest()
    stop.handle(signal.SIGUSR1, None)
    assert (stop.save_requested, stop.requested) == (True, False)


def _is_pending(process: int) -> bool:
    """Return whether SIGTERM was sent to a process that has not taken it yet."""
    (line,) = [one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("ShdPnd")]
    return bool(int(line.split()[1], 16) & 1 << (signal.SIGTERM - 1))


WORKER = """
import multiprocessing, os, signal, sys, time
from trainer_host.base.reporting import NullReporter
from trainer_host.session.ranks import stop_request

def work(pipe):
    pipe.send(os.getpid())
    pipe.recv()
    pipe.send("still there")
    while True:
        time.sleep(60)

stop = stop_request(NullReporter())
with stop.listening():
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=work, args=(there,), daemon=True)
    worker.start()
    print(here.recv(), flush=True)
    sys.stdin.readline()
    here.send(True)
    print(here.recv(), flush=True)
    how = sys.stdin.readline().strip()
    if how == "parent":
        worker.terminate()
    worker.join()
    print(worker.exitcode, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say who sends a signal")
@pytest.mark.parametrize(("how", "code"), [("parent", "0"), ("group", "143")])
def test_a_worker_outlives_the_signal_of_a_scheduler(how: str, code: str) -> None:
    """It gets it like its parent, which needs it until the state is saved."""
    line = [sys.executable, "-c", WORKER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        os.kill(worker, signal.SIGTERM)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "still there\n"
        while _is_pending(worker):  # the system makes one of two
            pass
        if how == "group":
            os.kill(worker, signal.SIGTERM)
        process.stdin.write(f"{how}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{code}\n"
