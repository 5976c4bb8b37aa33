"""Two processes that share a GPU: batch norms that are synchronised, and mixed precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.ranks.work import carry_out, distance

pytestmark = [pytest.mark.train, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")]
ROUNDING_OF_GPU = 1e-3


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What one process came to, and each of two."""
    folder = tmp_path_factory.mktemp("ranks")
    return {str(count): carry_out(folder / str(count), ["on_gpu"], count)["on_gpu"] for count in (1, 2)}


def test_batch_norms_that_train_count_the_whole_batch(found: dict[str, list[Any]]) -> None:
    (one,), (first, second) = found["1"], found["2"]
    assert not one["synchronised"]
    assert first["synchronised"]
    assert distance(first["full"]["gradients"], one["full"]["gradients"]) < ROUNDING_OF_GPU
    assert distance(second["full"]["model"], first["full"]["model"]) == 0


def test_mixed_precision_has_the_same_weights_everywhere(found: dict[str, list[Any]]) -> None:
    first, second = found["2"]
    assert first["scaled"]
    assert second["scaled"]
    assert distance(second["mixed"]["model"], first["mixed"]["model"]) == 0


def test_what_is_saved_has_plain_batch_norms(found: dict[str, list[Any]]) -> None:
    (one,), (first, _) = found["1"], found["2"]
    assert first["saved"] == []
    assert first["mixed"]["ema"].keys() == one["mixed"]["ema"].keys()
