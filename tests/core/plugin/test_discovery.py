"""Which plugins are installed, by metadata alone; and which one a user means."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import command
from tests.support.written_package import write_package
from trainer_host import PluginError, PluginRecord, plugins
from trainer_host.cli.main import COMMANDS
from trainer_host.plugin.import_check import describe
from trainer_host.plugin.registry import Registry
from trainer_host.testing.plugin_under_test import installed_subject
from trainer_host.version import __version__

Install = Callable[..., Path]


def named(name: str, disabled: tuple[str, ...] = ()) -> list[PluginRecord]:
    return [r for r in Registry.installed(disabled).records if r.name == name]


def one(name: str, disabled: tuple[str, ...] = ()) -> PluginRecord:
    found = named(name, disabled)
    assert len(found) == 1, found
    return found[0]


# States


def test_the_built_in_tasks_come_through_the_same_door() -> None:
    records = {r.name: r for r in plugins()}
    assert {"detect", "pose"} <= records.keys()
    assert all(
        (records[n].kind, records[n].distribution, records[n].state, records[n].reason)
        == ("task", "trainer-host", "available", "")
        for n in ("detect", "pose")
    )


def test_an_installed_plugin_is_available_and_not_imported(installed: Install) -> None:
    installed(
        "trainer-hand-pose",
        "2.1",
        tasks={"hand-pose": "trainer_hand_pose:TASK"},
        extensions={"hand-log": "trainer_hand_pose:LOG"},
        requires=[f"trainer-host=={__version__}", "numpy>=1"],
        modules={"trainer_hand_pose": "raise AssertionError('imported')"},
    )
    task, extension = one("hand-pose"), one("hand-log")
    assert task == PluginRecord(
        "hand-pose", "task", "trainer-hand-pose", "2.1", "available", "", "trainer_hand_pose:TASK"
    )
    assert extension.kind == "extension"
    assert task.origin == "trainer-hand-pose 2.1"
    assert "trainer_hand_pose" not in sys.modules


def test_tasks_come_before_extensions_each_by_name(installed: Install) -> None:
    installed("a", tasks={"zz": "a:A", "aa": "a:A"}, extensions={"bb": "a:A"})
    ours = [r.name for r in Registry.installed().records if r.distribution == "a"]
    assert ours == ["aa", "zz", "bb"]


@pytest.mark.parametrize("switch", ["hand-pose", "trainer-hand-pose", "Trainer_Hand.Pose"])
def test_a_plugin_is_switched_off_by_its_name_or_its_distribution(installed: Install, switch: str) -> None:
    installed("trainer-hand-pose", tasks={"hand-pose": "m:T"}, extensions={"hand-log": "m:L"})
    whole = switch != "hand-pose"
    assert one("hand-pose", (switch,)).state == "disabled"
    assert one("hand-log", (switch,)).state == ("disabled" if whole else "available")
    assert one("pose", (switch,)).state == "available"


@pytest.mark.parametrize("value", ["hand-pose", "x,hand-pose", "x hand-pose , y", "trainer-hand-pose"])
def test_a_plugin_is_switched_off_by_the_environment(
    installed: Install, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    installed("trainer-hand-pose", tasks={"hand-pose": "m:T"})
    monkeypatch.setenv("TRAINER_NO_PLUGIN", value)
    record = one("hand-pose")
    assert (record.state, record.reason) == ("disabled", "switched off.")


@pytest.mark.parametrize(
    ("requires", "state"),
    [
        ("trainer-host>=99", "incompatible"),
        ("Trainer_Host<0.0.1", "incompatible"),
        (f"trainer-host=={__version__}", "available"),
        ("trainer-host", "available"),
        ("trainer-host>=99; python_version < '3'", "available"),
        ("trainer-host>=99; extra == 'dev'", "available"),
        ("trainer-host>=99; python_version > '3'", "incompatible"),
        ("other>=99", "available"),
    ],
)
def test_the_host_that_a_plugin_needs(installed: Install, requires: str, state: str) -> None:
    installed("p", tasks={"hand-pose": "m:T"}, requires=[requires])
    record = one("hand-pose")
    assert record.state == state
    if state == "incompatible":
        assert record.reason.startswith("requires trainer-host")
        assert f"but {__version__} is installed." in record.reason


def test_two_distributions_that_claim_one_name_are_both_named(installed: Install) -> None:
    installed("first", tasks={"hand": "first:T"})
    installed("second", tasks={"hand": "second:T"})
    a, b = named("hand")
    assert (a.state, b.state) == ("conflict", "conflict")
    assert a.reason == "first and second both provide 'hand'; choose with first:hand."
    assert b.reason == "first and second both provide 'hand'; choose with second:hand."


def test_names_are_one_space_across_tasks_and_extensions(installed: Install) -> None:
    installed("first", tasks={"hand": "first:T"})
    installed("second", extensions={"hand": "second:T"})
    assert [(r.kind, r.state) for r in named("hand")] == [("task", "conflict"), ("extension", "conflict")]


def test_a_conflict_ends_when_one_side_is_switched_off(installed: Install) -> None:
    installed("first", tasks={"hand": "first:T"})
    installed("second", tasks={"hand": "second:T"})
    assert [r.state for r in named("hand", ("second",))] == ["available", "disabled"]


def test_an_incompatible_plugin_is_in_nobodys_way(installed: Install) -> None:
    installed("first", tasks={"hand": "first:T"})
    installed("second", tasks={"hand": "second:T"}, requires=["trainer-host>=99"])
    assert [r.state for r in named("hand")] == ["available", "incompatible"]


def test_a_package_that_is_there_twice_counts_once(
    installed: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("first", "2.0", tasks={"hand": "first:T"})
    other = write_package(tmp_path / "later", "First", "1.0", tasks={"hand": "first:T"})
    monkeypatch.setattr(sys, "path", [*sys.path, str(other)])
    assert one("hand").version == "2.0"


def test_an_extension_of_the_group_always_is_reported_as_such(installed: Install) -> None:
    groups = (
        "[trainer_host.plugins]\nasked = p:A\n[trainer_host.always]\nmarks = p:B\n[trainer_host.tasks]\nhand = p:T\n"
    )
    installed("p", entry_points=groups)
    assert one("marks") == PluginRecord("marks", "extension", "p", "1.0", "available", "", "p:B", always=True)
    assert not one("asked").always
    assert not one("hand").always
    assert one("marks", ("marks",)).state == "disabled"


# Damage


DAMAGED_METADATA = {
    "empty": "",
    "no name": "Metadata-Version: 2.1\nVersion: 1.0\n",
    "no version": "Metadata-Version: 2.1\nName: p\n",
    "empty name": "Name:\nVersion:\n",
    "garbage": "\0\1\2 not an email at all\n\n\n:::",
    "garbage requirement": "Name: p\nVersion: 1.0\nRequires-Dist: trainer-host>>>=9 !!\nRequires-Dist:\n",
    "garbage marker": "Name: p\nVersion: 1.0\nRequires-Dist: trainer-host>=9; python_version > 'x' and extra >= '1'\n",
    "garbage version": "Name: p\nVersion: !!\n",
}


@pytest.mark.parametrize("metadata", DAMAGED_METADATA.values(), ids=DAMAGED_METADATA)
def test_damaged_metadata_stops_nothing(installed: Install, metadata: str) -> None:
    installed("p", tasks={"hand": "m:T"}, metadata=metadata)
    assert one("hand").kind == "task"
    assert one("pose").state == "available"


def test_a_missing_metadata_file_stops_nothing(installed: Install) -> None:
    folder = installed("p", tasks={"hand": "m:T"})
    (folder / "p-1.0.dist-info" / "METADATA").unlink()
    assert one("hand").distribution == "unknown"
    assert one("pose").state == "available"


DAMAGED_ENTRY_POINTS: dict[str, str | bytes] = {
    "no value": "[trainer_host.tasks]\nhand\nother = m:T\n",
    "before a group": "hand = m:T\n[trainer_host.tasks]\n",
    "unclosed": "[trainer_host.tasks\nhand = m:T\n",
    "not text": b"[trainer_host.tasks]\nhand = \xff\xfe:T\n",
    "binary": bytes(range(256)),
    "nothing named": "[trainer_host.tasks]\n = \n=\n==\n",
    "empty": "",
}


@pytest.mark.parametrize("entry_points", DAMAGED_ENTRY_POINTS.values(), ids=DAMAGED_ENTRY_POINTS)
def test_damaged_entry_points_stop_nothing(installed: Install, entry_points: str | bytes) -> None:
    installed("p", entry_points=entry_points)
    assert one("pose").state == "available"


@given(st.binary() | st.text(alphabet="[]trainer_host.tsk=:;# \n\té").map(str.encode), st.text())
def test_any_files_in_a_package_stop_nothing(
    tmp_path_factory: pytest.TempPathFactory, entry_points: bytes, metadata: str
) -> None:
    folder = tmp_path_factory.mktemp("packages")
    info = write_package(folder, "p", entry_points=entry_points) / "p-1.0.dist-info" / "METADATA"
    info.write_bytes(metadata.encode("utf-8", "replace"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        assert {"detect", "pose"} <= {r.name for r in Registry.installed().records}


def test_comments_and_extras_are_understood(installed: Install) -> None:
    installed(
        "p", entry_points="# by hand\n\n[trainer_host.tasks]\n# no\n  hand=m.n:T.x [torch]  \n\n[other]\nno = m:T\n"
    )
    assert one("hand").target == "m.n:T.x"
    assert named("no") == []


# Choosing


def test_a_user_chooses_between_two_by_distribution(installed: Install) -> None:
    installed("first", tasks={"hand": "first:T"})
    installed("second", tasks={"hand": "second:T"})
    chosen = Registry.installed().select("Second:hand", "task")
    assert (chosen.distribution, chosen.state, chosen.reason) == ("second", "available", "")
    with pytest.raises(PluginError, match=r"first and second both provide 'hand'.*--task first:hand"):
        Registry.installed().select("hand", "task")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("posee", "task", r"unknown task 'posee'\. Did you mean 'pose'\? .*trainer-posee"),
        ("juggling", "task", r"unknown task 'juggling'\. Installed: .*pose.*its package is trainer-juggling"),
        ("cbam", "extension", r"unknown extension 'cbam'"),
        ("old", "task", r"old.* from p 1\.0 cannot be used \(incompatible\): requires trainer-host.*Fix: upgrade"),
        (
            "off",
            "extension",
            r"off.* from q 1\.0 cannot be used \(disabled\): switched off\. Fix: remove --no-plugin",
        ),
    ],
)
def test_asking_for_what_cannot_be_used(installed: Install, name: str, kind: str, said: str) -> None:
    installed("p", tasks={"old": "m:T"}, requires=["trainer-host>=99"])
    installed("q", extensions={"off": "m:T"})
    with pytest.raises(PluginError, match=said):
        Registry.installed(("off",)).select(name, kind)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blur-awar", "unknown plugin 'blur-awar'. Did you mean 'blur-aware'?"),
        ("trainer-blur-awar", "unknown plugin 'trainer-blur-awar'. Did you mean 'blur-aware'?"),
        ("juggling", "unknown plugin 'juggling'. Installed: blur-aware, "),
        ("trainer-two", "trainer-two provides 2 plugins. Fix: name one of them: hand, words"),
        (
            "trainer-two:blur-aware",
            "trainer-two does not provide the extension 'blur-aware'. It comes from trainer-blur-aware 1.0.",
        ),
    ],
)
def test_a_name_that_no_plugin_has(installed: Install, name: str, said: str) -> None:
    installed("trainer-blur-aware", extensions={"blur-aware": "m:T"})
    installed("trainer-two", tasks={"hand": "m:T"}, extensions={"words": "m:T"})
    for asked in (lambda n: describe(n, Registry.installed()), installed_subject):
        with pytest.raises(PluginError) as caught:
            asked(name)
        assert str(caught.value).startswith(said)


HOOK = "from trainer_host import hookimpl\n@hookimpl\ndef log_metrics(ctx):\n    pass\n"


def test_a_distribution_s_name_stands_for_its_only_plugin(installed: Install) -> None:
    installed("trainer-blur-aware", extensions={"blur-aware": "blur_hooks"}, modules={"blur_hooks": HOOK})
    assert describe("Trainer_Blur.Aware", Registry.installed())["name"] == "blur-aware"
    assert installed_subject("trainer-blur-aware", "pose").name == "blur-aware"


# The command


def test_the_list_as_a_table(tmp_path: Path) -> None:
    write_package(tmp_path, "trainer-old", tasks={"old": "m:T"}, requires=["trainer-host>=99"])
    done = command("plugins", "--no-plugin", "detect", cwd=tmp_path, path=[tmp_path])
    assert done.code == 0
    rows = done.out.splitlines()
    assert rows[0].split() == ["NAME", "KIND", "STATE", "PACKAGE"]
    by_name = {row.split()[0]: row.split()[1:] for row in rows if not row.startswith(" ")}
    assert by_name["detect"][:2] == ["task", "disabled"]
    assert by_name["old"] == ["task", "incompatible", "trainer-old", "1.0"]
    assert any(row.startswith("    requires trainer-host>=99") for row in rows)
    starts = {row.index(by_name[row.split()[0]][0]) for row in rows[1:] if not row.startswith(" ")}
    assert len(starts) == 1


def test_the_list_tells_what_is_part_of_every_run(tmp_path: Path) -> None:
    write_package(tmp_path, "p", entry_points="[trainer_host.always]\nmarks = p:B\ntalks = p:B\n")
    (tmp_path / "p.py").write_text("x = 1\n")
    done = command("plugins", "--no-plugin", "talks", cwd=tmp_path, path=[tmp_path])
    rows = {row.split()[0]: row for row in done.out.splitlines()}
    assert "extension  always on" in rows["marks"]
    assert "extension  disabled" in rows["talks"]


def test_the_list_as_json(tmp_path: Path) -> None:
    write_package(tmp_path, "trainer-hand", "3", tasks={"hand": "trainer_hand:T"})
    done = command("plugins", "--json", cwd=tmp_path, path=[tmp_path], TRAINER_NO_PLUGIN="pose")
    assert (done.code, done.err) == (0, "")
    records = {r["name"]: r for r in done.json["plugins"]}
    assert records["pose"]["state"] == "disabled"
    assert records["hand"] == {
        "name": "hand",
        "kind": "task",
        "distribution": "trainer-hand",
        "version": "3",
        "state": "available",
        "reason": "",
        "target": "trainer_hand:T",
        "always": False,
    }


def test_no_package_takes_the_name_of_a_command_of_the_hosts(installed: Install) -> None:
    points = "".join(f"{name} = m:c\n" for name in COMMANDS)
    installed("a", entry_points=f"[trainer_host.commands]\n{points}")
    ours = {r.name: r for r in Registry.installed().records if r.kind == "command"}
    assert ours.keys() == COMMANDS.keys()
    assert {r.state for r in ours.values()} == {"conflict"}
    assert ours["run"].reason == "trainer-host has a command 'run'; call this one as a:run."


def test_a_command_and_an_extension_may_share_a_name(installed: Install) -> None:
    points = "[trainer_host.commands]\nrates = m:c\n[trainer_host.plugins]\nrates = m:e\n"
    installed("a", entry_points=points)
    assert [(r.kind, r.state) for r in named("rates")] == [("extension", "available"), ("command", "available")]
    assert {r.state for r in named("rates", ("rates",))} == {"disabled"}


def test_completion_offers_commands_of_plugins_and_imports_none(tmp_path: Path) -> None:
    points = "[trainer_host.commands]\nvalue = nothing:c\n"
    write_package(tmp_path, "a", entry_points=points)
    variables = {"_TRAINER_HOST_COMPLETE": "bash_complete", "_TRAINER_COMPLETE": "bash_complete"}
    done = command(cwd=tmp_path, path=[tmp_path], COMP_WORDS="trainer va", COMP_CWORD="1", **variables)
    assert done.out.split() == ["plain,val", "plain,value"]


def test_the_check_finds_what_only_an_import_shows(tmp_path: Path) -> None:
    write_package(
        tmp_path,
        "trainer-bad",
        tasks={"bad-import": "bad_import:TASK", "no-spec": "no_spec:TASK", "exits": "exits:TASK", "dies": "dies:TASK"},
        modules={
            "bad_import": "import no_such_module\n",
            "no_spec": "TASK = 3\n",
            "exits": "import sys\nprint('noise')\nsys.exit(3)\n",
            "dies": "import os\nos._exit(7)\n",
        },
    )
    done = command("plugins", "--check", "--json", cwd=tmp_path, path=[tmp_path])
    records = {r["name"]: r for r in done.json["plugins"]}
    assert done.code == 0
    assert {n for n, r in records.items() if r["state"] == "broken"} == {"bad-import", "no-spec", "exits", "dies"}
    assert "no_such_module" in records["bad-import"]["reason"]
    assert "not a TaskSpec" in records["no-spec"]["reason"]
    assert "SystemExit" in records["exits"]["reason"]
    assert "status 7" in records["dies"]["reason"]
    assert records["pose"]["state"] == "available"


def test_a_broken_plugin_stops_only_those_who_ask_for_it(tmp_path: Path) -> None:
    write_package(tmp_path, "trainer-bad", tasks={"bad": "bad:TASK"}, modules={"bad": "1 / 0\n"})
    done = command("plugins", "show", "pose", "--json", cwd=tmp_path, path=[tmp_path])
    assert (done.code, done.json["chain"]) == (0, ["detect", "pose"])
    asked = command("plugins", "show", "bad", cwd=tmp_path, path=[tmp_path])
    assert asked.code == 5
    assert len(asked.problems) == 1
    assert "trainer-bad 1.0" in asked.problems[0]
    assert "ZeroDivisionError" in asked.problems[0]
    assert "Traceback" not in asked.err
