"""Weights whose pickles name a class of a fork: read where a plugin brings the class, and refused otherwise."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainer_host import ExtensionSpec, PluginError, UnsafeError
from trainer_host.plugin.aliases import joined_aliases, named_aliases
from trainer_host.plugin.chain import Member
from trainer_host.plugin.discovery import PluginRecord

pytestmark = pytest.mark.usefixtures("engine")

GONE = "ultralytics.nn.modules.conv.Gone"
PLUGIN = """
import torch
from trainer_host import ExtensionSpec

class Mine(torch.nn.Module):
    def forward(self, x):
        return 2 * x

EXTENSION = ExtensionSpec(hooks=object(), aliases={"ultralytics.nn.modules.conv.Gone": "trainer_file_fork:Mine"})
"""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a fork, whose classes are not there any more."""
    import torch
    from ultralytics.nn.modules import conv

    gone = type("Gone", (torch.nn.Linear,), {"__module__": conv.__name__})
    with monkeypatch.context() as fork:
        fork.setattr(conv, "Gone", gone, raising=False)
        torch.save({"model": torch.nn.Sequential(gone(2, 1))}, tmp_path / "old.pt")
    return tmp_path / "old.pt"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "fork.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path / "fork.py"


def read(path: Path, **aliases: str) -> Any:
    from trainer_host.engine.checkpoints import read_checkpoint

    return read_checkpoint(path, lambda: aliases).module


def test_a_module_that_only_the_fork_had_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for module in ("ultralytics.nn.modules.of_a_fork", "ultralytics.nn.of_a_fork", "a_fork"):
        gone = type("Gone", (torch.nn.Linear,), {"__module__": module})
        with monkeypatch.context() as fork:
            fork.setitem(sys.modules, module, SimpleNamespace(Gone=gone))
            torch.save({"model": torch.nn.Sequential(gone(2, 1))}, tmp_path / "old.pt")
        with pytest.raises(UnsafeError, match=f"{module}.*switch it on: --plugin NAME"):
            read(tmp_path / "old.pt")
        model = read(tmp_path / "old.pt", **{f"{module}.Gone": "torch.nn:Linear"})
        assert type(model[0]) is torch.nn.Linear


def refused(path: Path) -> bool:
    with pytest.raises(UnsafeError, match=r"\(ultralytics\.nn\.modules\.conv\.Gone\).*switch it on: --plugin NAME"):
        read(path)
    return True


def test_a_plugin_that_is_switched_on_reads_the_file(old: Path, plugin: Path) -> None:
    from trainer_host.engine.checkpoints import read_checkpoint

    assert refused(old)
    model = read_checkpoint(old, lambda: named_aliases(None, [str(plugin)])).module
    assert type(model[0]).__module__ == "trainer_file_fork"
    assert model[0].weight.shape == (1, 2)
    assert model(3) == 6
    assert refused(old), "nothing stays allowed"


def test_other_files_ask_no_plugin(tmp_path: Path) -> None:
    import torch

    from trainer_host.engine.checkpoints import read_checkpoint

    torch.save({"model": torch.nn.Sequential(torch.nn.Linear(2, 1))}, tmp_path / "plain.pt")
    assert read_checkpoint(tmp_path / "plain.pt", lambda: pytest.fail("asked")).module is not None


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("no_such_module:Mine", "is not there: No module named 'no_such_module'"),
        ("torch.nn:Mine", "is not there: module 'torch.nn' has no attribute 'Mine'"),
        ("os:system", r"which is no torch\.nn\.Module"),
        ("collections:OrderedDict", r"which is no torch\.nn\.Module"),
    ],
)
def test_only_modules_stand_in(old: Path, target: str, fault: str) -> None:
    with pytest.raises(PluginError, match=f"the alias '{GONE}' names {target}, .*{fault}"):
        read(old, **{GONE: target})


def test_the_engines_own_classes_are_never_replaced(tmp_path: Path) -> None:
    import torch
    from ultralytics.nn.modules import Conv

    torch.save({"model": torch.nn.Sequential(Conv(1, 1))}, tmp_path / "conv.pt")
    model = read(tmp_path / "conv.pt", **{"ultralytics.nn.modules.conv.Conv": "torch.nn:Identity"})
    assert type(model[0]) is Conv


def test_two_plugins_with_one_alias_are_both_named() -> None:
    def member(name: str, target: str) -> Member:
        record = PluginRecord(name, "extension", f"trainer-{name}", "1.0", "available", "", f"trainer_{name}:X")
        return Member(record, ExtensionSpec(hooks=object(), aliases={GONE: target}))

    assert joined_aliases([member("one", "a:A"), member("two", "a:A")]) == {GONE: "a:A"}
    with pytest.raises(PluginError, match=f"extension 'one' and extension 'two' both have an alias '{GONE}'"):
        joined_aliases([member("one", "a:A"), member("two", "b:B")])
