"""Files of a training's state: whatever fails or is killed while one is written, the newest recorded one is there."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.command import ROOT, process
from tests.support.faulty_io import Fault, Killed, faulty
from trainer_host import PluginError, SettingsError, StorageError
from trainer_host.base.atomic_io import atomic_write
from trainer_host.engine.packed_state import packed, same, unpacked
from trainer_host.engine.state_files import NAME, StateEntry, StateFiles

KINDS = ("kill", "torn", "power", "ENOSPC", "EIO", "EROFS", "short")


class Run:
    """A run's folder with its record; each of its processes has its own object for the states."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep, self.file = folder, keep, folder / "record.json"
        (folder / "weights").mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        self.files = StateFiles(self.folder / "weights", self.keep, self.record)
        self.files.newest(self.recorded())

    def record(self, entries: Sequence[StateEntry]) -> None:
        atomic_write(self.file, json.dumps([e.as_data() for e in entries]).encode(), durable=True)

    def recorded(self) -> list[StateEntry]:
        return [StateEntry.of_data(d) for d in json.loads(self.file.read_text())] if self.file.exists() else []

    def write(self, number: int, epoch: int = 0, batch: int = 0) -> StateEntry:
        return self.files.write(content(number), epoch=epoch, batch=batch, phase="batches")

    def newest(self) -> int:
        """Return the number of the state that a new process would take; 0 for none."""
        files = StateFiles(self.folder / "weights", self.keep)
        found = files.newest(self.recorded())
        if found is None:
            return 0
        number: int = found[1]["number"]
        assert same(packed(found[1]), packed(content(number)))
        return number

    def names(self) -> list[str]:
        return sorted(p.name for p in (self.folder / "weights").iterdir())


def content(number: int) -> dict[str, Any]:
    tensors = {"weight": torch.full((40, 30), float(number)), "step": torch.tensor(number)}
    return {"number": number, "tensors": tensors, "text": "x" * number, "pairs": (1.5, [None, True])}


@given(
    keep=st.integers(1, 3),
    writes=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(1, 18), st.integers(0, 1), st.integers(0, 2)),
        min_size=1,
        max_size=6,
    ),
)
@settings(max_examples=100)
def test_no_fault_loses_the_newest_state(keep: int, writes: list[tuple[str, int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, committed = Run(Path(folder), keep), 0
        for number, (kind, step, epoch, batch) in enumerate(writes, start=1):
            try:
                with faulty(Fault(kind, step)) as fault:
                    run.write(number, epoch, batch)
                    committed = number
                    if kind == "power":  # is lost afterwards, if not before
                        fault.die()
            except Killed:
                run.start()
            except (OSError, StorageError):
                pass  # the same process goes on
            assert run.newest() >= committed
        run.write(99, 1, 2)
        assert run.newest() == 99
        assert len([n for n in run.names() if NAME.fullmatch(n)]) <= keep


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_of_a_write(tmp_path: Path, kind: str) -> None:
    """Every step once, with a state before."""
    step = 1
    while True:
        folder = tmp_path / f"{step}"
        folder.mkdir()
        run = Run(folder, keep=1)
        run.write(1)
        fault, least = Fault(kind, step), 1
        try:
            with faulty(fault):
                run.write(2)
                least = 2
                if kind == "power":
                    fault.die()
        except (Killed, OSError, StorageError):
            run.start()
        assert run.newest() in {least, 2}
        run.write(3)
        assert run.newest() == 3
        assert [n for n in run.names() if NAME.fullmatch(n)] == [run.files.entries[0].file]
        if not fault.happened:
            break
        step += 1
    assert step > 8, fault.log


KILLING = """
import os, sys
from pathlib import Path
from tests.core.engine.test_state_files import Run
from tests.support.faulty_io import Fault, faulty
from trainer_host.base.temporaries import sweep

folder = Path(sys.argv[1])
for step in range(1, 40):
    for kind in ("kill", "torn"):
        place = folder / f"{kind}-{step}"
        place.mkdir()
        Run(place).write(1)
        if (child := os.fork()) == 0:
            with faulty(Fault(kind, step, match=str(place), real=True)):
                Run(place).write(2)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert (status == 0 or os.WTERMSIG(status) == 9), status
        run = Run(place)
        assert run.newest() in ({2} if status == 0 else {1, 2})
        run.write(3)
        assert run.newest() == 3
        sweep(place / "weights")  # as the first write of a new process does
        left = [n for n in run.names() if n.endswith(".part")]
        assert not left, left
    if status == 0:
        print("killed", step - 1)
        break
"""


def test_killed_processes(tmp_path: Path) -> None:
    done = process(sys.executable, "-c", KILLING, tmp_path, cwd=ROOT, path=[ROOT])
    assert done.code == 0, done.err
    assert int(done.out.removeprefix("killed ")) > 8


@pytest.mark.parametrize(
    ("kind", "step", "code", "steps", "left"),
    [
        ("none", 0, 0, "2", '{\n    "a": 1\n}\n'),
        ("kill", 2, -9, None, ""),
        ("torn", 2, -9, None, '{\n    "'),
        ("ENOSPC", 1, 1, "1", None),
        ("short", 2, 0, "3", '{\n    "a": 1\n}\n'),
    ],
)
def test_a_program_meets_a_fault(
    tmp_path: Path, kind: str, step: int, code: int, steps: str | None, left: str | None
) -> None:
    """The helper itself, with a program of the standard library."""
    (tmp_path / "in.json").write_text('{"a": 1}')
    count, target = tmp_path / "count", tmp_path / "out.json"
    words = (kind, step, target, count, "--", "json.tool", tmp_path / "in.json", target)
    done = process(sys.executable, "-m", "tests.support.faulty_io", *words, cwd=ROOT, path=[ROOT])
    assert done.code == code, done.err
    assert (count.read_text() if count.exists() else None) == steps
    assert (target.read_text() if target.exists() else None) == left


def test_a_state_is_written_while_the_training_goes_on(tmp_path: Path) -> None:
    recorded, go_on = [], Event()

    def record(entries: Sequence[StateEntry]) -> None:
        assert go_on.wait(60)
        recorded.append(entries[-1].batch)

    files, changing = StateFiles(tmp_path, record=record), content(1)
    files.start_writing(changing, epoch=0, batch=1, phase="batches")
    changing["tensors"]["weight"].zero_()  # the next batch
    files.raise_failure()
    assert recorded == []
    go_on.set()
    files.wait()
    assert recorded == [1]
    found = files.newest(files.entries)
    assert found is not None
    assert same(packed(found[1]), packed(content(1)))


def test_a_failure_is_raised_in_the_training(tmp_path: Path) -> None:
    def record(_: Sequence[StateEntry]) -> None:
        raise StorageError("no space")

    for later in (StateFiles.wait, StateFiles.remove, lambda files: files.newest(())):
        files = StateFiles(tmp_path, record=record)
        files.start_writing(content(1), epoch=0, batch=1, phase="batches")
        with pytest.raises(StorageError, match="no space"):
            later(files)
    assert not [thread for thread in enumerate_threads() if thread.name == "training-state"]


def test_older_states_are_removed_and_names_stay_apart(tmp_path: Path) -> None:
    run = Run(tmp_path)
    entries = [run.write(n, epoch=3, batch=b) for n, b in ((1, 0), (2, 50), (3, 50))]
    assert [e.file for e in entries] == ["state-0003-000000.pt", "state-0003-000050.pt", "state-0003-000050-1.pt"]
    assert run.recorded() == entries[1:] == list(run.files.entries)
    assert run.names() == sorted(e.file for e in entries[1:])
    run.write(4, epoch=12345, batch=1234567)
    assert run.names() == ["state-0003-000050-1.pt", "state-12345-1234567.pt"]
    run.files.remove()
    assert run.names() == []
    assert run.recorded() == []


def test_what_was_not_recorded_is_removed_before_it_is_in_the_way(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(1)
    with faulty(Fault("ENOSPC", 1, match="record.json")), pytest.raises(OSError, match=r"record\.json"):
        run.write(2)
    assert run.names() == ["state-0000-000000-1.pt", "state-0000-000000.pt"]  # it may have been recorded
    run.start()
    with faulty(Fault("ENOSPC", 1, match="weights")), pytest.raises(StorageError):
        run.write(3)
    assert run.names() == ["state-0000-000000.pt"]
    # Without knowledge of the record nothing is removed before the record names the new state.
    ignorant = StateFiles(tmp_path / "weights", 1, run.record)
    with faulty(Fault("ENOSPC", 1, match="record.json")), pytest.raises(OSError, match=r"record\.json"):
        ignorant.write(content(4), epoch=0, batch=0, phase="batches")
    assert run.newest() == 1


def test_a_damaged_state_is_skipped_and_reported(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=4)
    entries = [run.write(n, epoch=n) for n in (1, 2, 3, 4)]
    weights = tmp_path / "weights"
    (weights / entries[3].file).unlink()
    whole = bytearray((weights / entries[2].file).read_bytes())
    whole[-40] ^= 1
    (weights / entries[2].file).write_bytes(whole)
    os.truncate(weights / entries[1].file, 100)
    files = StateFiles(weights, 4, run.record)
    found = files.newest(entries)
    assert found is not None and found[0] == entries[0]
    said = [str(p) for p in files.skipped]
    assert len(said) == 3
    assert said[0].endswith(f"{entries[3].file}: the training state cannot be read: No such file or directory.")
    assert said[1].endswith("the training state is damaged: its checksum is not the recorded one.")
    assert said[2].endswith(f"the training state has 100 bytes instead of {entries[1].bytes}.")
    assert files.entries == (entries[0],)
    files.write(content(5), epoch=5, batch=0, phase="batches")
    assert run.names() == [entries[0].file, "state-0005-000000.pt"]
    for name in run.names():
        (weights / name).write_bytes(b"")
    assert files.newest(run.recorded()) is None
    assert len(files.skipped) == 2


def test_a_file_that_is_not_ours_is_not_read_as_code(tmp_path: Path) -> None:
    """A state with the right checksum that would execute code is refused like a damaged one."""
    import hashlib
    import pickle

    path = tmp_path / "state-0001-000000.pt"
    torch.save({"tree": Command("touch reached")}, path)
    data = path.read_bytes()
    entry = StateEntry(path.name, hashlib.sha256(data).hexdigest(), len(data), 1, 0, "batches")
    files = StateFiles(tmp_path)
    assert files.newest([entry]) is None
    assert "cannot be read by torch" in str(files.skipped[0])
    assert pickle.UnpicklingError.__name__ in str(files.skipped[0])


class Command:
    def __init__(self, words: str) -> None:
        self.words = words

    def __reduce__(self) -> Any:
        return os.system, (self.words,)


def test_a_full_disk_says_how_much_is_missing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(1)
    with faulty(Fault("ENOSPC", 2)), pytest.raises(StorageError) as caught:
        run.write(2)
    assert re.fullmatch(
        r"\S+state-0000-000000-1\.pt: cannot write the training state of 1\.0 MB: No space left on device\. "
        r"Fix: free 1\.0 MB, then resume the run",
        str(caught.value),
    )
    assert caught.value.retryable
    assert run.names() == ["state-0000-000000.pt"]


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with faulty(Fault("EIO", 2)), pytest.raises(OSError, match="state-0000-000000") as caught:
        run.write(1)
    assert caught.value.errno == errno.EIO
    with pytest.raises(FileNotFoundError):
        StateFiles(tmp_path / "gone").write(content(1), epoch=0, batch=0, phase="batches")


def test_other_data_read_back_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.write(1)
    monkeypatch.setattr("trainer_host.engine.state_files.same", lambda *_: False)
    with pytest.raises(StorageError, match="other data were read back"):
        run.write(2, epoch=2)
    assert run.newest() == 1
    assert run.names() == ["state-0000-000000.pt"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "None does not describe a state file"),
        ({"file": "state-0001-000000.pt"}, "does not describe a state file"),
        (
            {"file": "../x.pt", "sha256": "", "bytes": 1, "epoch": 1, "batch": 0, "phase": "batches"},
            "'../x.pt' is not the name of a state file",
        ),
    ],
)
def test_an_entry_that_is_wrong(data: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        StateEntry.of_data(data)


def test_packing_keeps_values_types_and_order_of_memory() -> None:
    wide = torch.randn(4, 3, 5, 5)
    given = {
        "plain": wide,
        "channels last": wide.to(memory_format=torch.channels_last),
        "transposed": wide.transpose(1, 3),
        "part": wide[:, 1],
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
        "half": torch.randn(3).half(),
        "flags": torch.tensor([True, False]),
        "generator": torch.get_rng_state(),
        0: {"betas": (0.9, 0.999), "nan": float("nan"), "none": None, "number": np.float32(0.1), "int": np.int64(3)},
        "strange": {"\0tensor": 1, "": {None: 1, 2: (), 0.5: []}, "\ud800\n": -0.0},
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    found = unpacked(packed(given))
    assert list(found) == list(given)
    for name, tensor in given.items():
        if isinstance(tensor, torch.Tensor):
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name].nan_to_num(7), tensor.nan_to_num(7)), name
            assert not found[name].requires_grad
    assert found["channels last"].stride() == given["channels last"].stride()
    assert found["transposed"].stride() == given["transposed"].stride()
    assert found["part"].is_contiguous()
    assert repr(found["strange"]) == repr(given["strange"])
    assert found[0]["betas"] == (0.9, 0.999)
    assert (found[0]["number"], found[0]["int"]) == (float(np.float32(0.1)), 3)
    torch.Generator().set_state(found["generator"])
    assert same(packed(given), packed(given))
    assert not same(packed({"a": torch.tensor(0.0)}), packed({"a": torch.tensor(-0.0)}))
    wide.zero_()
    assert found["plain"].any()


@pytest.mark.parametrize("value", [object(), b"", {(1, 2): 3}, np.zeros(3), torch.eye(2).to_sparse()])
def test_what_could_not_be_read_back_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(PluginError, match=r"cannot be stored: .*state\['optimizer'\]\[0\]"):
        packed({"optimizer": [value]})
