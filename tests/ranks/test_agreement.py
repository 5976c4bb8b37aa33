"""What the processes of a run decide together, and what of a state they share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.ranks.work import ROUNDING, carry_out, distance

pytestmark = pytest.mark.train
JOBS = ("group", "refused", "live", "resumed", "begun", "lost", "small", "exhausted", "torn")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each of two processes came to, by job."""
    folder = tmp_path_factory.mktemp("ranks")
    two = carry_out(folder / "two", JOBS, 2)
    return {**two, **carry_out(folder / "one", ["alone"], 1)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_the_group_exchanges_plain_data_and_tensors(found: dict[str, list[Any]]) -> None:
    for result in found["group"]:
        assert [each["rank"] for each in result["gathered"]] == [0, 1]
        assert [each["tensor"].tolist() for each in result["gathered"]] == [[0], [0, 1]]
        assert result["broadcast"] == {"of": 0, "long": ""}
        assert result["any"] == [True, False]
        assert result["sum"].tolist() == [2.0, 1.0]


def test_what_several_processes_do_not_do_is_refused(found: dict[str, list[Any]]) -> None:
    for errors in found["refused"]:
        assert errors["exact"].startswith("--exact with 2 processes:")
        assert errors["batch"].startswith("batch=-1 with 2 processes:")
        assert errors["uneven"].startswith("the training loaders of the processes have 3, 2 batches.")
        assert errors["files"].startswith("save_txt=True with 2 processes:")
        assert errors["ended"].startswith(
            "the training loader of process 1 ended after 2 batches, that of process 0 has at least 3."
        )
        assert errors["few"].startswith("a process has one image of a batch, too few at this imgsz.")


def test_statistics_of_batch_norms_are_those_of_the_first_process(found: dict[str, list[Any]]) -> None:
    first, second = found["live"]
    assert same(first["model"], second["model"])
    assert same(first["ema"], second["ema"])
    assert first["metrics"] == second["metrics"]
    (text,) = [text for text in first["said"] if "atch norm" in text]
    assert "each of 2 processes normalizes with the statistics of its part of a batch (2 of 4 images)." in text
    assert not [text for text in second["said"] if "atch norm" in text]


def test_a_callback_of_one_process_ends_the_training_of_all(found: dict[str, list[Any]]) -> None:
    first, second = found["live"]
    assert first["epochs"] == second["epochs"] == 2


def test_epochs_begin_with_the_same_random_numbers_everywhere(found: dict[str, list[Any]]) -> None:
    first, second = found["live"]
    assert first["drawn"] == second["drawn"]


def test_a_stop_of_one_process_ends_all_and_the_run_goes_on_as_if_nothing_had_happened(
    found: dict[str, list[Any]],
) -> None:
    for result in found["resumed"]:
        assert result["interrupted"] == [True, True]
        # Gradients are accumulated over two batches of five; the second stop is in the middle of a validation.
        assert result["positions"] == [[1, 1, "batches"], [1, 5, "validation"]]
        assert same(result["rest"]["model"], result["whole"]["model"])
        assert same(result["rest"]["ema"], result["whole"]["ema"])
        assert result["rest"]["metrics"] == result["whole"]["metrics"]
    assert found["resumed"][1]["files"] == []


def test_one_process_goes_on_with_what_two_began(found: dict[str, list[Any]]) -> None:
    (result,) = found["alone"]
    assert distance(result["rest"]["start"], result["whole"]["start"]) == 0
    assert distance(result["rest"]["model"], result["whole"]["model"]) < ROUNDING
    assert distance(result["whole"]["start"], result["whole"]["model"]) > 10 * ROUNDING


def test_a_loss_of_one_process_that_is_not_finite_sends_all_back(found: dict[str, list[Any]]) -> None:
    first, second = found["lost"]
    assert first["recoveries"] == second["recoveries"]
    (recovery,) = first["recoveries"]
    assert (recovery["what"], recovery["epoch"], recovery["batch"]) == ("loss", 1, 2)
    assert len(recovery["files"]) == 2  # those of the process that it came from
    assert first["metrics"] == second["metrics"]  # of the best checkpoint, in the folder of the first process only
    assert same(first["model"], second["model"])


def test_all_try_again_in_smaller_batches_if_one_lacks_memory(found: dict[str, list[Any]]) -> None:
    first, second = found["small"]
    assert first["reduced"] == second["reduced"] == 2
    assert same(first["model"], second["model"])


def test_the_process_that_always_lacks_memory_is_named_by_all(found: dict[str, list[Any]]) -> None:
    for result in found["exhausted"]:
        assert result["error"].startswith("process 1: CPU out of memory with batch=1 in epoch 1, batch 1.")


def test_samplers_that_choose_differently_are_refused(found: dict[str, list[Any]]) -> None:
    for result in found["torn"]:
        assert "the sampler chose other images in process 1 than in process 0." in result["error"]
