"""The simulation of a training agrees with the formulas, whatever it is that limits it."""

from __future__ import annotations

import pytest

from tests.benchmarks.scale import Costs, Setup, mixing, model, simulate

RATE = "images a second for each GPU"


@pytest.mark.parametrize(
    ("limit", "setup", "costs"),
    [
        ("GPU alone, days", Setup(), Costs()),
        ("network alone, days", Setup(network=20e6), Costs()),
        ("processor alone, days", Setup(cores=3), Costs()),
        ("network alone, days", Setup(network=250e6, latency=50, shard_bytes=10e6), Costs()),
    ],
)
def test_the_rate_of_the_simulation_is_that_of_the_formulas(limit: str, setup: Setup, costs: Costs) -> None:
    paper = model(setup, costs)
    assert paper[limit] == paper["epoch, days"]
    assert simulate(setup, costs, 1500)[RATE] == pytest.approx(paper[RATE], rel=0.08)


def test_a_larger_buffer_mixes_more_shards() -> None:
    key = "shards in a batch"
    small, large = (mixing(Setup(buffer=buffer), Costs())[key] for buffer in (500, 20_000))
    assert small < large <= mixing(Setup(), Costs())["shards in a batch of a full shuffle"]
