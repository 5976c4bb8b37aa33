"""`trainer-shards`: a stream of shards is read by several processes without overlap, and goes on where it was."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.conftest import PACKAGES
from tests.support.command import Done, process

pytest.importorskip("webdataset")
sys.path[:0] = [str(PACKAGES / "trainer-shards"), str(PACKAGES / "trainer-heatmap")]
from trainer_heatmap.data import draw_sample  # noqa: E402
from trainer_shards.plan import Plan  # noqa: E402
from trainer_shards.shards import ShardDataset, ShardLoader, pack, read_index  # noqa: E402

from trainer_host import DataContext, DatasetError, UnsafeError  # noqa: E402


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 64 samples in shards of 7."""
    folder = tmp_path_factory.mktemp("shards")
    draw_sample(folder)
    splits = {split: pack(folder / f"{split}.csv", folder, split, 7) for split in ("train", "val")}
    (folder / "index.yaml").write_text(yaml.safe_dump({"points": ["red", "green", "blue"], **splits}), "utf-8")
    return folder / "index.yaml"


def context(index: Path, **more: Any) -> DataContext:
    return DataContext(task="shard-heatmap", engine_task="shard-heatmap", args=None, source=str(index), **more)


def batches(
    index: Path, epoch: int = 0, rank: int = 0, processes: int = 1, workers: int = 0, batch: int = 8
) -> list[list[str]]:
    """Return the keys of the samples in each batch of a process."""
    split = read_index(context(index))["train"]
    loader = ShardLoader(ShardDataset(split, 32, batch, 0, 10, (rank, processes)), workers)
    loader.set_epoch(epoch)
    found = [list(one["key"]) for one in loader]
    assert len(found) == len(loader)
    return found


def flat(found: list[list[str]]) -> list[str]:
    return [key for batch in found for key in batch]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(),
)
def test_every_sample_is_planned_once(counts: list[int], extra: int, processes: int, workers: int, seed: int) -> None:
    batch = processes + extra
    plan = Plan.of_epoch(counts, seed, 3, batch, processes)
    seen: Counter[tuple[int, int]] = Counter()
    for rank in range(processes):
        parts = [plan.pieces(rank, worker, workers) for worker in range(workers)]
        assert sum(len(sizes) for _, sizes in parts) == plan.batches, "all processes have the same number of batches"
        assert all(size for _, sizes in parts for size in sizes), "and something of each"
        for pieces, sizes in parts:
            assert sum(piece.stop - piece.start for piece in pieces) == sum(sizes)
            seen.update((piece.shard, number) for piece in pieces for number in range(piece.start, piece.stop))
    assert set(seen.values()) <= {1}
    assert sum(counts) - processes < len(seen) <= sum(counts)


def test_two_processes_read_each_sample_once(index: Path) -> None:
    first, second = (batches(index, rank=rank, processes=2) for rank in (0, 1))
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [4] * 8
    assert len({*flat(first), *flat(second)}) == 64
    assert not {*flat(first)} & {*flat(second)}


@pytest.mark.slow
def test_workers_divide_the_part_of_a_process(index: Path) -> None:
    read = [flat(batches(index, rank=rank, processes=2, workers=2)) for rank in (0, 1)]
    assert sorted(read[0] + read[1]) == sorted(flat(batches(index)))


def test_the_order_is_that_of_the_seed_and_the_epoch(index: Path) -> None:
    assert batches(index, 1) == batches(index, 1) != batches(index, 2)
    assert sorted(flat(batches(index, 1))) == sorted(flat(batches(index, 2)))


def test_a_wrong_number_of_samples_is_named(index: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(index.read_text("utf-8"))
    content["train"]["samples"][0] = 9
    wrong = index.with_name("wrong.yaml")
    wrong.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(DatasetError, match=r"train-000000\.tar: 7 samples, 9 expected\."):
        batches(wrong, batch=4)


@pytest.mark.parametrize("place", ["pipe:touch here", "https://example.org/a.tar;touch here", "file:/etc/passwd"])
def test_an_index_runs_no_command(tmp_path: Path, place: str) -> None:
    split = {"shards": [place], "samples": 1}
    index = tmp_path / "index.yaml"
    index.write_text(yaml.safe_dump({"points": ["red"], "train": split, "val": split}), "utf-8")
    with pytest.raises(UnsafeError):
        read_index(context(index))


def test_nothing_is_fetched_offline(tmp_path: Path) -> None:
    split = {"shards": ["https://example.org/a-{0..3}.tar"], "samples": 8}
    index = tmp_path / "index.yaml"
    index.write_text(yaml.safe_dump({"points": ["red"], "train": split, "val": split}), "utf-8")
    assert len(read_index(context(index))["train"]["shards"]) == 4
    with pytest.raises(UnsafeError, match="would be fetched"):
        read_index(context(index, offline=True))


def trainer(site: Path, folder: Path, *words: object) -> Done:
    variables = {"TRAINER_OFFLINE": "1", "TRAINER_THREADS": "1"}
    return process(sys.executable, "-m", "trainer_host", *words, cwd=folder, path=[site], **variables)


STOPS = """
import os, signal
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    seen = []
    def stop(trainer):
        seen.append(1)
        if len(seen) == 11 and not os.path.exists("stopped"):
            open("stopped", "w").close()
            os.kill(os.getpid(), signal.SIGTERM)
    return {"on_train_batch_end": stop}
"""


@pytest.mark.train
@pytest.mark.wheel
def test_a_training_that_was_stopped_ends_like_one_that_was_not(site: Path, tmp_path: Path) -> None:
    (tmp_path / "stops.py").write_text(STOPS, "utf-8")
    common = ("--task", "shard-heatmap", "epochs=2", "workers=0", "--json")
    whole = trainer(site, tmp_path, "run", *common, "name=whole")
    assert whole.code == 0, whole.err
    cut = trainer(site, tmp_path, "run", *common, "name=cut", "--plugin", "./stops.py")
    assert cut.code == 143, cut.err
    resumed = trainer(site, tmp_path, "resume", "runs/shard-heatmap/cut", "--plugin", "./stops.py", "--json")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["metrics"] == json.loads(whole.out)["metrics"]
    again = trainer(site, tmp_path, "val", f"model={whole.json['best']}", "--json")
    assert again.code == 0, again.err
    assert again.json["metrics"]["metrics/PCK"] == whole.json["metrics"]["metrics/PCK"]
