"""What a check proposes works when it is followed, and what it passes can be trained on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import trainer_host
from tests.corpus import BROKEN, CASES
from tests.corpus.check import check
from tests.corpus.follow import Finding, follow
from tests.corpus.generator import Case, draw_base
from trainer_host import LoaderContext
from trainer_host.base.errors import TrainerError
from trainer_host.base.findings import FAIL
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.data.check_runner import apply_tolerance, read_and_check
from trainer_host.plugin.registry import Registry
from trainer_host.session.dataset_check import prepare

PLACE = re.compile(r"\w/\w|\w\.(txt|yaml|jpg|png)\b|\b(path|train|val|test|names|nc|channels):")
"""What a fix has that names a file, a folder, or a line to write."""
FOR_A_PERSON = (
    "write train:, val: and names:",
    "give the path of a dataset YAML: data=my.yaml",
    r"put the label files into .*",  # there are none
    r"open the folder in X-AnyLabeling .*",
    r"write the path of an image, with its ending",
    r"use the split that trainer check --deep --fix DIR writes, which moves \d+ images?",
)
"""Fixes that name one and need somebody who knows the data, or another program."""
UNFINISHED = {"label-latin-1"}
"""Cases in which the fix brings to light what else is wrong with the file."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))


def light(cases: list[Case]) -> list[Case]:
    """Return the cases that are small, and mean something to everybody."""
    return [case for case in cases if not case.heavy and not case.needs_user]


def findings(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Finding]]:
    """Make a case and check it from its own folder, so that paths in fixes are relative to that."""
    data = case.make(folder)
    monkeypatch.chdir(folder)
    return data, check(case, data).findings


def reported(found: list[Finding]) -> Iterator[Finding]:
    """Yield one finding of each code."""
    yield from {f["code"]: f for f in reversed(found)}.values()


@pytest.mark.parametrize("case", light(BROKEN), ids=lambda case: case.name)
def test_a_fix_works_when_it_is_followed(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding is gone, and there is no error that was not there before."""
    _, before = findings(case, tmp_path / "first" / case.name, monkeypatch)
    for wanted in reported(before):
        data, found = findings(case, tmp_path / wanted["code"] / case.name, monkeypatch)
        finding = next(f for f in found if f["code"] == wanted["code"])
        if not follow(data.parent, finding):
            by_person = any(re.fullmatch(form, finding["fix"]) for form in FOR_A_PERSON)
            assert by_person or not PLACE.search(finding["fix"]), finding["fix"]
            continue
        after = check(case, data).findings
        same = ("code", "file", "message")
        assert [finding[k] for k in same] not in [[f[k] for k in same] for f in after], finding["fix"]
        if case.name not in UNFINISHED:
            new = {f["code"] for f in after if f["severity"] == "error"} - {f["code"] for f in before}
            assert new == set(), finding["fix"]


@pytest.mark.parametrize(
    ("path", "train", "val"),
    [
        ("/content/mice", "/content/mice/images/train", "/content/mice/images/val"),
        ("C:\\mice", "C:\\mice\\images\\train", "images/val"),
        ("/kaggle/input/mice", "train/images", "val/images"),
        ("/content/mice", "mice/images/train", "images/val"),
        ("/content/mice", "images/train", None),
    ],
)
def test_paths_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, train: str, val: str | None
) -> None:
    """All fixes together lead to the images, which lie next to the YAML."""
    draw_base(tmp_path)
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data.yaml"
    content = yaml.safe_load(data.read_text()) | {"path": path, "train": train, "val": val}
    data.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    found = [f for f in trainer_host.check(data).findings if f.severity == "error"]
    fixes = "; ".join(f.fix for f in found)
    assert "remove path:" in fixes
    content = {k: v for k, v in yaml.safe_load(data.read_text()).items() if k != "path"}
    content |= dict(re.findall(r"\b(train|val): (images/\w+)", fixes))
    data.write_text(yaml.safe_dump(content))
    assert [f for f in trainer_host.check(data).findings if f.severity == "error"] == []


def test_a_link_to_images_of_another_name_keeps_its_labels_in_sight(tmp_path: Path) -> None:
    draw_base(tmp_path / "data")
    (tmp_path / "data" / "images" / "train").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "images" / "train").symlink_to(tmp_path / "elsewhere")
    found = [f for f in trainer_host.check(tmp_path / "data" / "data.yaml").findings if f.code == "labels-none"]
    assert f"move the label files of the train images from {tmp_path}/data/labels/train" in found[0].fix


PASSING = [case for case in light(CASES) if not any(e.severity == "error" for e in case.expected)]


@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.name)
def test_what_a_check_passes_is_trained_on(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the datasets of the training and the validation."""
    data = case.make(tmp_path / case.name)
    assert trainer_host.check(data, task="pose").trainable
    assert accepted_by_run(data)


def test_an_error_in_a_split_that_is_not_used(tmp_path: Path) -> None:
    """It fails the check, which says that a training is not stopped by it; one in a split that is used does both."""
    draw_base(tmp_path / "data")
    data = tmp_path / "data" / "data.yaml"
    (tmp_path / "data" / "test").mkdir()
    with data.open("a") as file:
        file.write("test: test\n")
    result = trainer_host.check(data, task="pose")
    assert [(f.code, f.severity, f.split) for f in result.findings] == [("split-empty", "error", "test")]
    assert result.fails()
    assert result.trainable
    assert accepted_by_run(data)
    assert not trainer_host.check(data, task="pose", split="test").trainable
    shutil.rmtree(tmp_path / "data" / "labels" / "train")
    assert not trainer_host.check(data, task="pose").trainable
    assert not accepted_by_run(data)


def accepted_by_run(data: Path) -> bool:
    try:
        chain, ctx, _ = prepare(
            Request.of("check", {"data": str(data)}, task="pose"), Registry.installed(), NullReporter()
        )
        read = read_and_check(chain, ctx)
        apply_tolerance(read, FAIL, {"train", "val"})
        ctx.args.task = "pose"
        for mode in ("train", "val"):
            of = {"task": ctx.task, "engine_task": ctx.engine_task, "args": ctx.args, "data": read}
            wanted = LoaderContext(**of, path=read[mode], mode=mode, batch_size=4)
            assert len(chain.manager.hook.build_dataset(ctx=wanted)) > 0
    except TrainerError:
        return False
    return True
