"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import enum
import errno
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_host import PluginError, SettingsError, UnsafeError

pytestmark = pytest.mark.usefixtures("engine")

KINDS = {str, int, float, bool, type(None)}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(SCALARS, inner, max_size=3)
    ),
)


class Colour(enum.IntEnum):
    """A number that pickles by its class."""

    RED = 3


class Name(str):
    """A text that pickles by its class."""

    __slots__ = ()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def only_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(k) in KINDS and only_plain(v) for k, v in value.items())
    return all(map(only_plain, value)) if type(value) is list else type(value) in KINDS


def lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: lists(v) for k, v in value.items()}
    return [lists(v) for v in value] if isinstance(value, (list, tuple)) else value


# Writing


def atomic_write(path: Path, content: bytes, parents: bool = False) -> None:
    from trainer_host.base.atomic_io import atomic_write as write

    write(path, content, parents)


def test_a_file_is_written_whole_into_folders_that_are_made_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "last.pt"
    with pytest.raises(FileNotFoundError) as gone:
        atomic_write(path, b"first")
    assert (gone.value.filename, list(tmp_path.iterdir())) == (str(path), [])
    atomic_write(path, b"first", parents=True)
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "last.pt"
    atomic_write(path, b"old")

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    content: Any = "not bytes" if step == "write" else b"new"
    with pytest.raises(TypeError if step == "write" else type(error)):
        atomic_write(path, content)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        atomic_write(tmp_path / "last.pt", b"new")
    assert list(tmp_path.iterdir()) == []


# Plain data


@given(DATA)
def test_plain_data_stays_as_it_is(value: Any) -> None:
    from trainer_host.base.atomic_io import plain

    found = plain(value)
    assert only_plain(found)
    assert found == lists(value)


def test_everything_else_becomes_plain_or_is_skipped() -> None:
    import numpy as np
    import torch

    from trainer_host.base.atomic_io import plain

    value = {
        "path": Path("a/b"),
        "colour": Colour.RED,
        "name": Name("x"),
        "float": np.float64(0.5),
        "object": object(),
        "tensor": torch.ones(2),
        "set": {1},
        "ordered": OrderedDict(b=1),
        ("a", 1): "left out",
        Name("key"): (1, object()),
        "pure": PurePosixPath("x"),
    }
    found = plain(value)
    assert only_plain(found)
    assert {k: v for k, v in found.items() if v is not None} == {
        "path": os.path.join("a", "b"),  # noqa: PTH118
        "colour": 3,
        "name": "x",
        "float": 0.5,
        "ordered": {"b": 1},
        "key": [1, None],
    }


# Reading


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    return tmp_path / "sprung"


TRAPS = {
    "open": (open, "mark", "w"),
    "exec": (exec, "open('mark', 'w')"),
    "system": (os.system, "touch mark"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_code_in_a_file_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import torch

    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    monkeypatch.chdir(tmp_path)
    trap = {"model": Trap(*TRAPS[name])}
    torch.save(trap, "trap.pt")
    with pytest.raises(
        UnsafeError, match=r"^trap\.pt: refused: loading it in full could execute .*\. Nothing was executed"
    ):
        read_checkpoint("trap.pt")
    torch.save(trap, "old.pt", _use_new_zipfile_serialization=False)
    Path("pickle.pt").write_bytes(pickle.dumps(trap))
    for file in ("old.pt", "pickle.pt"):
        with pytest.raises(SettingsError, match=f"^{file}: cannot read the checkpoint: it .*"):
            read_checkpoint(file)
    assert not Path("mark").exists()


def test_classes_of_others_are_named(tmp_path: Path) -> None:
    import torch

    from trainer_host.engine.ultralytics.checkpoints import foreign_names, read_checkpoint

    path = tmp_path / "foreign.pt"
    torch.save({"model": SimpleNamespace(a=1), "colour": Colour.RED}, path)
    assert foreign_names(path) == {"types.SimpleNamespace", f"{__name__}.Colour"}
    with pytest.raises(UnsafeError, match=rf"\({re.escape(__name__)}\.Colour\)"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"text", "it is not a checkpoint, or the file is corrupted"),
        (b"<!DOCTYPE html>", "it is not a checkpoint, or the file is corrupted"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "it is not a checkpoint, or the file is corrupted"),
        (bytes(1000), "it is not a checkpoint, or the file is corrupted"),
        (b"PK\x03\x04" + bytes(100), "the file is corrupted"),
    ],
    ids=["empty", "text", "page", "picture", "zeros", "archive"],
)
def test_a_damaged_file_is_a_wrong_setting(tmp_path: Path, content: bytes, why: str) -> None:
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"damaged\.pt: cannot read the checkpoint: {why}\."):
        read_checkpoint(path)


def saved_module() -> dict[str, Any]:
    import torch

    return {"epoch": 3, "model": torch.nn.Linear(2, 1), "weights": torch.ones(8), "train_args": {"task": "detect"}}


def test_a_file_that_was_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    import torch

    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    whole, cut = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save(saved_module(), whole)
    checkpoint = read_checkpoint(whole)
    assert checkpoint.content["epoch"] == 3
    assert torch.equal(checkpoint.content["weights"], torch.ones(8))
    assert checkpoint.state().keys() == {"weight", "bias"}
    content = whole.read_bytes()
    for size in range(0, len(content), 97):
        cut.write_bytes(content[:size])
        with pytest.raises(SettingsError, match="cannot read the checkpoint"):
            read_checkpoint(cut)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    from trainer_host.engine.checkpoint.inert_objects import UnreadableError
    from trainer_host.engine.checkpoint.inert_pickle import read_pickle

    try:
        read_pickle(b"\x80\x02" + data + b".")
    except UnreadableError as error:
        assert str(error)


@given(DATA)
def test_plain_data_is_read_as_pickle_reads_it(value: Any) -> None:
    from trainer_host.engine.checkpoint.inert_objects import UnreadableError
    from trainer_host.engine.checkpoint.inert_pickle import read_pickle
    from trainer_host.engine.checkpoint.plain_values import plain

    for protocol in (2, 3, 4, 5):
        try:
            found = plain(read_pickle(pickle.dumps(value, protocol)).value)
        except UnreadableError as error:
            assert "beyond 64 bits" in str(error)
            continue
        assert found == pickle.loads(pickle.dumps(value, protocol))
        assert type(found) is type(value)


@pytest.mark.parametrize("name", ["list", "tensor", "nothing"])
def test_something_else_that_torch_saved_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    import torch

    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    path = tmp_path / "other.pt"
    torch.save({"list": [1, 2], "tensor": torch.ones(2), "nothing": None}[name], path)
    with pytest.raises(SettingsError, match="it does not contain a dict with a model"):
        read_checkpoint(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(SettingsError, match="not found"):
            read_checkpoint(path)


# What a checkpoint says


def test_a_checkpoint_of_another_program_has_no_record(tmp_path: Path) -> None:
    import torch

    from trainer_host.engine.checkpoint.record import extensions_of, options_of
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    path = tmp_path / "other.pt"
    torch.save(saved_module(), path)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.task, checkpoint.record, checkpoint.in_state_form) == ("detect", {}, False)
    assert (options_of({}), extensions_of({})) == ({}, [])
    torch.save({**saved_module(), "trainer_host": "not a record", "train_args": None}, path)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.task, checkpoint.record) == (None, {})


def test_objects_that_are_data_are_read_as_data(tmp_path: Path) -> None:
    import numpy as np
    import torch
    from ultralytics.utils import IterableSimpleNamespace

    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    path = tmp_path / "data.pt"
    values = {
        "namespace": IterableSimpleNamespace(epochs=3, lr0=0.01),
        "ordered": OrderedDict(a=1),
        "path": PurePosixPath("/a/b"),
        "set": {1},
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "double": np.float64(0.5),
        "single": np.float32(0.25),
        "whole": np.int64(7),
        "bytes": b"\x00\xff",
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    torch.save({**saved_module(), **values}, path)
    content = read_checkpoint(path).content
    assert content["namespace"] == {"epochs": 3, "lr0": 0.01}
    assert (content["ordered"], content["set"], content["size"]) == ({"a": 1}, [1], (2, 3))
    assert (content["device"], content["double"], content["single"], content["whole"]) == ("cpu", 0.5, 0.25, 7)
    assert (content["bytes"], content["half"].dtype) == (b"\x00\xff", torch.bfloat16)


def test_the_record_of_a_run_is_plain_and_restores_its_plugins() -> None:
    from trainer_host.engine.checkpoint.record import extensions_of, options_of
    from trainer_host.engine.ultralytics.checkpoints import make_record
    from trainer_host.plugin.registry import Registry

    chain = Registry.installed().chain("pose")
    record = make_record(chain, {"nc": 1, "names": {0: "x"}, "train": Path("a"), "odd": object()})
    assert only_plain(record)
    assert (record["task"], record["chain"]) == ("pose", ["detect", "pose"])
    assert record["data"] == {"nc": 1, "names": {0: "x"}, "train": "a", "odd": None}
    assert set(record["versions"]) == {"trainer-host", "ultralytics", "torch"}
    assert {p["distribution"] for p in record["plugins"]} == {"trainer-host"}
    more = [{"name": "cbam", "kind": "extension", "options": {"gain": 1}}, {"name": "log", "kind": "extension"}]
    assert extensions_of({"plugins": [*record["plugins"], *more]}) == ["cbam", "log"]
    assert options_of({"plugins": [*record["plugins"], *more]}) == {"cbam": {"gain": 1}}


def test_what_is_not_plain_is_never_written() -> None:
    from trainer_host.engine.ultralytics.checkpoints import serialise
    from trainer_host.plugin.registry import Registry

    chain = Registry.installed().chain("detect")
    assert serialise({"epoch": 1}, chain)[:2] == b"PK"
    for value, said in ((SimpleNamespace(), "types.SimpleNamespace"), (lambda: 0, "lambda"), (Colour.RED, "Colour")):
        with pytest.raises(PluginError, match="not plain data") as caught:
            serialise({"x": value}, chain)
        assert said in str(caught.value)
