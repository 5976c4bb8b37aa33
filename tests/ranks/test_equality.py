"""Two processes against one: equal but for rounding, and to the bit where nothing is summed differently."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from tests.ranks.work import ROUNDING, carry_out, distance

pytestmark = pytest.mark.train
JOBS = ("pose", "pose11", "still", "detect", "sampled", "heat", "mean")
IN_THREE, THREE = "sampled", "sampled in three"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, list[Any]]]:
    """What one process and two came to, by job."""
    folder = tmp_path_factory.mktemp("ranks")
    with ThreadPoolExecutor() as pool:
        alone = pool.submit(carry_out, folder / "one", JOBS, 1)
        together = pool.submit(carry_out, folder / "two", JOBS, 2)
    found = {job: (alone.result()[job][0], together.result()[job]) for job in JOBS}
    three = carry_out(folder / "three", [IN_THREE], 3)[IN_THREE]  # the last batch has an image for one of them
    return {**found, THREE: (alone.result()[IN_THREE][0], three)}


def changes(kept: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return what the training changed of the weights."""
    return {k: v.double() - kept["start"][k].double() for k, v in kept["model"].items() if v.is_floating_point()}


@pytest.mark.parametrize("job", [*JOBS, THREE])
def test_gradients_losses_and_weights_equal_those_of_one_process(
    found: dict[str, tuple[Any, list[Any]]], job: str
) -> None:
    one, (first, *others) = found[job]
    assert distance(first["start"], one["start"]) == 0
    assert distance(first["gradients"], one["gradients"]) < ROUNDING
    assert first["items"] == pytest.approx(one["items"], rel=ROUNDING, abs=1e-7)
    for part in ("model", "ema"):
        assert distance(first[part], one[part]) < ROUNDING
        assert all(distance(other[part], first[part]) == 0 for other in others)
    assert all(other["metrics"] == first["metrics"] for other in others)
    if job != "still":
        assert distance(one["model"], one["start"]) > 10 * ROUNDING  # so that a wrong step would show
        assert distance(changes(first), changes(one)) < 1e-3


def test_metrics_of_the_same_weights_equal_those_of_one_process_to_the_bit(
    found: dict[str, tuple[Any, list[Any]]],
) -> None:
    one, (first, second) = found["still"]
    assert distance(first["ema"], one["ema"]) == 0
    assert first["metrics"] == second["metrics"] == one["metrics"]
    assert first["validated"] == second["validated"] == one["validated"]
    assert {"metrics/sums", "metrics/counts", "val/rle_loss"} <= one["validated"].keys()
    assert one["metrics"]["metrics/mAP50(B)"] > 0


def test_a_mean_loss_is_multiplied_by_the_images(found: dict[str, tuple[Any, list[Any]]]) -> None:
    mean, heat = found["mean"][0], found["heat"][0]
    gradients = {f"summed.{k}": v for k, v in heat["gradients"].items()}
    assert distance(mean["gradients"], gradients) < ROUNDING


def test_the_first_process_writes(found: dict[str, tuple[Any, list[Any]]]) -> None:
    _, (first, second) = found["still"]
    assert {"args.yaml", "results.csv", "weights", "labels.jpg", "confusion_matrix.png"} <= set(first["files"])
    assert second["files"] == []
