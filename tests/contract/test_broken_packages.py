"""Packages that are broken, incompatible or at odds: shown with their distribution, and no obstacle to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sample_datasets import pose_dataset
from trainer_host import ExitCode

if TYPE_CHECKING:
    from tests.contract.conftest import Trainer

pytestmark = pytest.mark.wheel

BROKEN = {
    "no-module": "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    "no-syntax": "SyntaxError: ",
    "no-object": "trainer_no_object:PLUGIN is not a TaskSpec",
    "leaves": "SystemExit: 3",
    "wrong-signature": "callbacks(ctx, trainer) Argument(s) {'trainer'} are declared",
    "unknown-hook": "unknown hook 'build_modell'. Did you mean 'build_model'?",
    "answers-itself": "'build_optimizer' without wrapping it. Fix: write @hookimpl(wrapper=True)",
    "no-base": "the base 'nowhere' of task 'no-base'",
}


def by_distribution(listed: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(r["distribution"], r["name"]): r for r in listed["plugins"]}


def test_metadata_tells_conflicts_and_incompatibility(surrounded: Trainer) -> None:
    records = by_distribution(surrounded("plugins", "--json").json)
    future = records["trainer-future", "future"]
    assert (future["state"], future["reason"].partition(",")[0]) == ("incompatible", "requires trainer-host>=99")
    for first, second, name in (
        ("trainer-first", "trainer-second", "twice"),
        ("trainer-host", "trainer-rival", "pose"),
    ):
        for mine in (first, second):
            record = records[mine, name]
            assert record["state"] == "conflict"
            assert record["reason"] == f"{first} and {second} both provide {name!r}; choose with {mine}:{name}."
    others = {r["state"] for r in records.values() if r["name"] not in {"future", "twice", "pose"}}
    assert others == {"available"}, "nothing is imported, so nothing else can be known"


def test_a_check_tells_the_broken_ones(surrounded: Trainer) -> None:
    records = by_distribution(surrounded("plugins", "--check", "--json").json)
    for name, cause in BROKEN.items():
        record = records[f"trainer-{name}", name]
        assert record["state"] == "broken", record
        assert cause in record["reason"]
        assert f"trainer-{name} 1.5" in record["reason"]
    states = {name: r["state"] for (_, name), r in records.items() if name not in BROKEN}
    assert states == {
        "detect": "available",
        "heatmap": "available",
        "root": "available",
        "middle": "available",
        "leaf": "available",
        "layer-rates": "available",
        "coco": "available",
        "cvat": "available",
        "deeplabcut": "available",
        "label-studio": "available",
        "labelme": "available",
        "ray": "available",
        "slurm": "available",
        "sleap": "available",
        "future": "incompatible",
        "twice": "conflict",
        "pose": "conflict",
        "hand-pose": "broken",  # its base is claimed twice
    }


@pytest.mark.parametrize("name", [*BROKEN, "future", "twice", "hand-pose"])
def test_asking_for_one_is_one_line(surrounded: Trainer, name: str) -> None:
    done = surrounded("plugins", "show", name, code=ExitCode.PLUGIN)
    assert len(done.said) == 1
    distribution = {"twice": "trainer-first", "future": "trainer-future"}.get(name, f"trainer-{name}")
    assert distribution in done.said[0]
    assert BROKEN.get(name, "") in done.said[0]


@pytest.mark.parametrize("words", [["--task", "no-module"], ["--task", "heatmap", "--plugin", "wrong-signature"]])
def test_a_run_with_one_ends_before_any_work(surrounded: Trainer, words: list[str]) -> None:
    done = surrounded("run", *words, code=ExitCode.PLUGIN)
    assert len(done.said) == 1
    assert f"from trainer-{words[-1]} 1.5" in done.said[0]
    assert list(surrounded.folder.iterdir()) == []


def test_they_do_not_stop_a_task_from_being_inferred_from_its_dataset(surrounded: Trainer) -> None:
    (surrounded.folder / "points.yaml").write_text("points: [tip]\ntrain: a.csv\nval: a.csv\n", encoding="utf-8")
    assert surrounded("run", "data=points.yaml", "--dry-run", "--json").json["task"] == "heatmap"


def test_the_user_chooses_between_two_distributions(surrounded: Trainer) -> None:
    done = surrounded("run", "--task", "trainer-second:twice", "data=x", code=ExitCode.DATASET)
    assert done.said == ["trainer: checked by second, read by second"]
    off = surrounded.having(TRAINER_NO_PLUGIN="trainer-second")
    assert off("plugins", "show", "twice", "--json").json["distribution"] == "trainer-first"
    done = surrounded("plugins", "show", "trainer-third:twice", code=ExitCode.PLUGIN)
    assert "It comes from trainer-first 1.5 and trainer-second 1.5." in done.err


def test_a_claim_on_a_built_in_task_is_settled_the_same_way(surrounded: Trainer) -> None:
    data = pose_dataset(surrounded.folder / "figures", images=1)
    words = ["run", f"data={data}", "model=yolo26n-pose.yaml", "--dry-run"]
    done = surrounded(*words, code=ExitCode.PLUGIN)
    assert "trainer-host and trainer-rival both provide 'pose'" in done.said[-1]
    assert surrounded(*words, "--task", "trainer-host:pose", "--json").json["task"] == "trainer-host:pose"
    off = surrounded.having(TRAINER_NO_PLUGIN="trainer-rival")
    assert off("plugins", "show", "hand-pose", "--json").json["chain"] == ["detect", "pose", "hand-pose"]
