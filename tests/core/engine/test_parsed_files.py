"""A run parses each checkpoint once, and never one that was replaced or tensors that were changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_datasets import pose_dataset
from tests.support.untrained_models import untrained

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[bytes]]:
    """Count how often each pickle is parsed."""
    from trainer_host.engine.checkpoint import inert_pickle, parsed_files

    counts: Counter[bytes] = Counter()
    read: Callable[[bytes], Any] = inert_pickle.read_pickle

    def counted(data: bytes) -> Any:
        counts[data] += 1
        return read(data)

    monkeypatch.setattr(parsed_files, "read_pickle", counted)
    return counts


def test_a_file_is_parsed_once_in_a_run_and_gives_tensors_of_its_own(tmp_path: Path, parsed: Counter[bytes]) -> None:
    from trainer_host.engine.ultralytics.checkpoints import PARSED, read_checkpoint

    path = untrained(tmp_path)
    with PARSED.kept():
        first, second = read_checkpoint(path), read_checkpoint(str(path))
        assert [*parsed.values()] == [1]
        changed = first.state()
        before = {name: tensor.clone() for name, tensor in changed.items()}
        for tensor in changed.values():
            tensor.zero_()
        assert all((tensor == before[name]).all() for name, tensor in second.state().items())
        assert all((tensor == before[name]).all() for name, tensor in read_checkpoint(path).state().items())
        PARSED.forget()
        read_checkpoint(path)
        assert [*parsed.values()] == [2]
    read_checkpoint(path)
    read_checkpoint(path)
    assert [*parsed.values()] == [4]


def test_a_replaced_file_is_parsed_again(tmp_path: Path) -> None:
    import torch

    from trainer_host.base.atomic_io import atomic_write
    from trainer_host.engine.ultralytics.checkpoints import PARSED, read_checkpoint

    path = untrained(tmp_path)
    content = torch.load(path, weights_only=False)
    with PARSED.kept():
        for epoch in (1, 2, 3):
            torch.save({**content, "epoch": epoch}, tmp_path / "next.pt")
            atomic_write(path, (tmp_path / "next.pt").read_bytes())
            assert read_checkpoint(path).content["epoch"] == epoch


def test_runs_may_end_in_any_order(tmp_path: Path, parsed: Counter[bytes]) -> None:
    from trainer_host.engine.ultralytics.checkpoints import PARSED, read_checkpoint

    path = untrained(tmp_path)
    first, second = PARSED.kept(), PARSED.kept()
    with first:
        second.__enter__()
        read_checkpoint(path)
    read_checkpoint(path)
    assert [*parsed.values()] == [1]
    second.__exit__(None, None, None)
    read_checkpoint(path)
    read_checkpoint(path)
    assert [*parsed.values()] == [3]


@pytest.mark.train
def test_inferring_checking_and_building_share_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: Counter[bytes]
) -> None:
    from trainer_host import run
    from trainer_host.engine.checkpoint.archive import Archive

    monkeypatch.chdir(tmp_path)
    data = pose_dataset(tmp_path / "data", images=4)
    path = untrained(tmp_path)
    pickled = Archive(path).pickle()
    result = run(model=path, data=data, epochs=1, imgsz=32, batch=4, plots=False, optimizer="SGD")
    assert result.weights is not None
    assert result.weights.source == path
    assert parsed[pickled] == 1
    assert max(parsed.values()) <= 2  # best.pt: rewritten, then evaluated
