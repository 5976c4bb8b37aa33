"""The resolved run: complete, and the same in another process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import command, environment
from tests.support.training import checkpoint_tensors
from trainer_host import SettingsError
from trainer_host.base.best_metric import BestMetric
from trainer_host.base.findings import Tolerance
from trainer_host.base.request import from_file
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.session.run_record import RunRecord

KEYS = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True).filter(
    lambda key: (
        key not in {"task", "plugins", "record", "data", "model", "train", "val", *RunOptions.__dataclass_fields__}
    )
)
TEXTS = st.text() | st.sampled_from(
    ["1e-3", "0x1f", "007", "none", "True", "[1,2]", "1_000", "2020-01-01", "~", "", " "]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
OPTIONS = st.builds(
    RunOptions,
    exact=st.booleans(),
    offline=st.booleans(),
    bad=st.sampled_from([Tolerance(), Tolerance.parse("skip"), Tolerance.parse("skip:2.5%")]),
    best_metric=st.none() | st.sampled_from(["mAP50(B)", "min:val/box_loss", "1e3"]).map(BestMetric.parse),
    trackers=st.lists(st.sampled_from(["mlflow", "dvc"]), unique=True).map(tuple),
    threads=st.none() | st.integers(1, 9999),
)
RUNS = st.builds(
    ResolvedRun,
    task=st.sampled_from(["pose", "trainer-mine:pose", "1e3"]),
    settings=st.dictionaries(KEYS, VALUES, max_size=4),
    options=OPTIONS,
    plugins=st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=2),
    origins=st.dictionaries(KEYS, st.sampled_from(["command", "file", "sample", "task"]), max_size=3),
    defaults=st.dictionaries(KEYS, VALUES, max_size=3),
    versions=st.dictionaries(KEYS, TEXTS, max_size=3),
    used=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(RUNS)
def test_a_run_is_read_as_it_was_written(run: ResolvedRun) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        run.write(path)
        assert repr(ResolvedRun.read(path)) == repr(run)  # 1 and 1.0 differ
        request = from_file(path)
    assert (request.options.task, request.values) == (run.task, run.settings)


def test_a_run_is_frozen_and_has_no_other_fields() -> None:
    run = ResolvedRun(task="pose")
    with pytest.raises(ValueError, match="frozen"):
        run.task = "detect"  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"[Ee]xtra"):
        ResolvedRun(task="pose", epochs=3)  # type: ignore[call-arg]


def test_a_settings_file_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "exp.yaml").write_text("task: pose\nepochs: 3\n")
    with pytest.raises(SettingsError, match=r"not the record of a run\. Fix: give the run\.yaml"):
        ResolvedRun.read(tmp_path / "exp.yaml")
    (tmp_path / "exp.yaml").write_text("task: pose\nrecord: {origins: {epochs: nowhere}}\n")
    with pytest.raises(SettingsError, match=r"record\.origins\.epochs"):
        ResolvedRun.read(tmp_path / "exp.yaml")


def test_a_run_with_objects_cannot_be_made_from_its_file_alone(trainer: Any, tmp_path: Path) -> None:
    objects = {"mine": "notebook.Mine", "augmentations": "builtins.list"}
    options = RunOptions(plugins=("mine",))
    settings = {"data": "x.yaml", "augmentations": [object()]}
    run = ResolvedRun(task="pose", settings=settings, options=options, plugins={"mine": {}}, objects=objects)
    RunRecord(tmp_path, run)
    head = (tmp_path / "run.yaml").read_text().splitlines()[0]
    assert head == (
        "# A run of trainer-host. It cannot be run again from this file alone, which cannot store notebook.Mine, "
        "builtins.list."
    )
    record = ResolvedRun.read(tmp_path / "run.yaml").record()
    assert (record["reproducible"], record["objects"]) == (False, objects)
    assert trainer("run", "run.yaml", "--dry-run").problems == [
        (
            "run.yaml: 'mine' was given to the run as an object of the class notebook.Mine, which a file cannot store. "
            "Fix: call trainer_host.run(settings_file='run.yaml', plugins=[Mine()])"
        ),
        (
            "run.yaml: 'augmentations' was given to the run as an object of the class builtins.list, which a file "
            "cannot store. "
            "Fix: call trainer_host.run(settings_file='run.yaml', augmentations=...)"
        ),
    ]


@pytest.mark.train
def test_another_process_makes_the_same_run_to_the_bit(tmp_path: Path) -> None:
    """The run is made again by the command and by a call from Python, each from its record alone."""
    import torch

    words = ("epochs=1", "imgsz=32", "batch=4", "plots=False", "save_json=False")
    first = command("run", "--task", "pose", "--exact", *words, "name=a", "--json", cwd=tmp_path)
    assert first.code == 0, first.err
    record = tmp_path / "runs/pose/a/run.yaml"
    written = record.read_text()
    assert "patience: 100," in written
    record.write_text(written.replace("patience: 100,", "patience: 77,"))  # as an engine with another default would
    again = command("run", str(record), "name=b", "--json", cwd=tmp_path)
    assert (again.code, again.said[1:2]) == (0, ["Weights: random."]), again.err
    assert "patience: 77\n" in (tmp_path / "runs/pose/b/args.yaml").read_text()
    (tmp_path / "other.yaml").write_text(re.sub("fingerprint: .*", f"fingerprint: {'a' * 64}", written))
    refused = command("run", "other.yaml", "name=d", cwd=tmp_path)
    assert (refused.code, (tmp_path / "runs/pose/d").exists()) == (3, False)
    assert (
        "--exact is refused: the run was recorded with a dataset that has changed since (fingerprint aaaa"
        in refused.problems[0]
    )
    call = f"import trainer_host; trainer_host.run(settings_file={str(record)!r}, name='c')"
    subprocess.run([sys.executable, "-c", call], check=True, cwd=tmp_path, env=environment())

    first_weights, *others = (
        checkpoint_tensors(tmp_path / f"runs/pose/{name}/weights/last.pt") for name in ("a", "b", "c")
    )
    for other in others:
        assert first_weights.keys() == other.keys()
        assert all(torch.equal(first_weights[key], other[key]) for key in other)
    a, b = (ResolvedRun.read(tmp_path / f"runs/pose/{name}/run.yaml") for name in ("a", "b"))
    assert {**a.settings, "name": "b"} == b.settings and a.options == b.options
    assert set(b.origins.values()) == {"file", "command"}
    assert json.loads(first.out)["status"] == "done"
