"""What killed processes leave is removed, what living ones are writing stays, and one run at a time has a folder."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command import command, process, python
from tests.support.sample_datasets import detect_dataset
from trainer_host import StorageError
from trainer_host.base.folder_lock import FILE, FolderLock
from trainer_host.base.process_identity import Process
from trainer_host.base.temporaries import sweep, temporary_folder, temporary_path

KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def killed(code: str, folder: Path) -> Process:
    """Run code in a process that is killed afterwards, and return which it was."""
    lines = f"from pathlib import Path\nfolder = Path({str(folder)!r})\n{code}\n"
    lines += f"from trainer_host.base.process_identity import Process\nprint(Process.current(), flush=True)\n{KILLED}\n"
    done = process(sys.executable, "-c", lines)
    assert done.code == -signal.SIGKILL, done.err
    found = Process.parse(done.out.strip())
    assert found is not None
    return found


def names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


def test_a_process_is_distinguished_from_another_of_its_id(tmp_path: Path) -> None:
    here = Process.current()
    assert Process.parse(str(here)) == here
    assert not here.is_dead
    assert replace(here, start=here.start + 1).is_dead  # the id was used again
    dead = killed("", tmp_path)
    assert dead.is_dead
    assert not replace(dead, host="00000000").is_dead
    assert not replace(dead, space="1").is_dead
    assert Process.parse("last.pt") is None


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    dead = killed(
        "from trainer_host.base.atomic_io import appearing_whole\n"
        "from trainer_host.base.temporaries import temporary_folder\n"
        "writing = appearing_whole(folder / 'last.pt')\nfile = writing.__enter__()\nfile.write(b'half')\n"
        "scratch = temporary_folder(folder / 'sample')\n(scratch.__enter__() / 'image.jpg').touch()",
        tmp_path,
    )
    assert len(names(tmp_path)) == 2
    with temporary_folder(tmp_path / "new"):
        ours = [n for n in names(tmp_path) if str(Process.current()) in n]
        foreign = [
            f".last.pt.{replace(dead, host='00000000')}-00000000.part",
            f".last.pt.{replace(dead, space='1')}-00000000.part",
            ".last.pt.part",
            f"last.pt.{dead}-00000000.part",
            f".last.pt.{dead}-00000000.other",
        ]
        for name in foreign:
            (tmp_path / name).touch()
        sweep(tmp_path)
        assert names(tmp_path) == sorted([*ours, *foreign])
        assert len(ours) == 1


def test_a_long_name_has_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".txt")
    temporary_path(path).touch()
    path.touch()


def test_a_command_removes_what_killed_ones_have_left(tmp_path: Path) -> None:
    data = detect_dataset(tmp_path / "data", 2)
    (tmp_path / "out").mkdir()
    code = (
        "from trainer_host.base.temporaries import temporary_folder\n"
        "scratch = temporary_folder(folder / 'yolo')\n(scratch.__enter__() / 'half').mkdir()"
    )
    killed(code, tmp_path / "out")
    assert names(tmp_path / "out")
    assert command("convert", str(data), "out/other", cwd=tmp_path).code == 0
    assert names(tmp_path / "out") == ["other"]


def test_the_folders_of_earlier_runs_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_host.session.run_folders import claim_folder

    monkeypatch.chdir(tmp_path)
    weights = claim_folder("detect", {}) / "weights"
    weights.mkdir()
    killed(
        "from trainer_host.base.atomic_io import appearing_whole\n"
        "from trainer_host.base.folder_lock import FolderLock\n"
        "lock = FolderLock(folder.parent, print)\n"
        "writing = appearing_whole(folder / 'last.pt')\nwriting.__enter__()",
        weights,
    )
    (weights / "best.pt").touch()
    assert len(names(weights)) == 2
    assert names(weights.parent) == [FILE, "weights"]
    assert claim_folder("detect", {}).name == "train2"
    assert names(weights) == ["best.pt"]
    assert names(weights.parent) == ["weights"]


def nobody(_: str) -> None:
    raise AssertionError("nothing to warn of")


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom trainer_host import StorageError\n"
        "from trainer_host.base.folder_lock import FolderLock\n"
        f"try:\n    FolderLock(Path({str(tmp_path)!r}), print).release()\n    print('free')\n"
        "except StorageError as error:\n    print(error)\n"
    )
    lock = FolderLock(tmp_path, nobody)
    with pytest.raises(StorageError, match="in use by another run"):  # a thread of this process
        FolderLock(tmp_path, nobody)
    said = python(code)
    assert said.startswith(f"{tmp_path}: the folder is in use by another run (process {os.getpid()} on ")
    assert "Fix: wait until it ends" in said
    worker = os.fork()
    if worker == 0:
        lock.release()  # a worker's copy does nothing
        os._exit(0)
    os.waitpid(worker, 0)
    assert "in use" in python(code)
    lock.release()
    lock.release()
    assert names(tmp_path) == []
    assert python(code) == "free\n"


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    killed("from trainer_host.base.folder_lock import FolderLock\nlock = FolderLock(folder, print)", tmp_path)
    assert names(tmp_path) == [FILE]
    FolderLock(tmp_path, nobody).release()
    assert names(tmp_path) == []


def test_without_locks_the_process_that_is_named_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unsupported)
    said: list[str] = []
    dead = replace(Process.current(), start=1)
    (tmp_path / FILE).write_text(f"{dead} here\n")
    FolderLock(tmp_path, said.append).release()
    assert len(said) == 1
    (tmp_path / FILE).write_text(f"{Process.current()} here\n")
    with pytest.raises(StorageError, match=f"process {os.getpid()} on here"):
        FolderLock(tmp_path, said.append)


def test_a_lock_names_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError) as refused:
        FolderLock(tmp_path, nobody)
    assert refused.value.problems[0].where == str(tmp_path)
