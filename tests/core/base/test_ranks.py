"""Ranks as the environment says them: torchrun's variables, tasks of srun, and neither."""

from __future__ import annotations

from typing import Any

import pytest

from trainer_host import SettingsError
from trainer_host.base.ranks import Ranks, devices_of, is_rank, rank_variables, ranks_of_environment

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "host",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "gpu[007-009,12]",
    "SLURM_JOB_ID": "4711",
}
BATCH_SCRIPT = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "4711"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Ranks()),
        (TORCHRUN, Ranks(5, 8, 1, 4, 2)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Ranks(1, 2, 1, 2)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Ranks()),
        (SRUN, Ranks(3, 4, 1, 2)),
        ({**SRUN, "SLURM_STEP_TASKS_PER_NODE": "3,1", "SLURM_RESTART_COUNT": "1"}, Ranks(3, 4, 1, 1, 1)),
        ({**SRUN, **TORCHRUN}, Ranks(5, 8, 1, 4, 2)),
        ({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}, Ranks()),
        (BATCH_SCRIPT, Ranks()),
    ],
)
def test_place_of_a_process(environ: dict[str, str], expected: Ranks) -> None:
    assert ranks_of_environment(environ) == expected
    assert ranks_of_environment(environ).is_first is (expected.rank == 0)


def test_only_a_process_that_was_started_as_one_is_a_rank() -> None:
    assert is_rank(TORCHRUN)
    assert is_rank({"RANK": "0", "WORLD_SIZE": "1"})  # it may be alone, and starts no others
    assert is_rank(SRUN)
    assert not is_rank(BATCH_SCRIPT)
    assert not is_rank({"RANK": "0"})


def test_tasks_of_a_step_meet_at_its_first_node() -> None:
    first, second = (rank_variables({**SRUN, "SLURM_PROCID": rank}) for rank in "03")
    assert first["MASTER_ADDR"] == second["MASTER_ADDR"] == "gpu007"
    assert first["MASTER_PORT"] == second["MASTER_PORT"]
    assert 15_000 <= int(first["MASTER_PORT"]) < 32_768
    assert (second["RANK"], second["WORLD_SIZE"], second["LOCAL_RANK"]) == ("3", "4", "1")
    other = rank_variables({**SRUN, "SLURM_STEP_ID": "1"})
    assert other["MASTER_PORT"] != first["MASTER_PORT"]
    assert "MASTER_ADDR" not in rank_variables({**SRUN, "MASTER_ADDR": "mine"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("localhost", "localhost"),
        ("a-1,b-2", "a-1"),
        ("n[3,5-7]", "n3"),
        ("n[01-04]-ib,x", "n01-ib"),
        ("rack[0-1]node[3-5]", "rack0node3"),
    ],
)
def test_first_of_a_list_of_nodes(nodes: str, first: str) -> None:
    assert rank_variables({**SRUN, "SLURM_STEP_NODELIST": nodes})["MASTER_ADDR"] == first


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK=x is not a number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 is not below WORLD_SIZE=2"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE=0 is not a number from 1"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "not MASTER_ADDR and MASTER_PORT"),
        ({k: v for k, v in SRUN.items() if k != "SLURM_STEP_NODELIST"}, "SLURM_STEP_NODELIST is not set"),
    ],
)
def test_variables_that_cannot_be_right(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        rank_variables(environ)
    assert "Fix: " in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (None, ()),
        ("", ()),
        (0, ("0",)),
        ("cpu", ("cpu",)),
        ("0,1", ("0", "1")),
        ("cuda:0, cuda:3", ("0", "3")),
        ([0, 1], ("0", "1")),
        ("[0, 1]", ("0", "1")),
    ],
)
def test_devices_of_a_setting(setting: Any, names: tuple[str, ...]) -> None:
    assert devices_of(setting) == names
