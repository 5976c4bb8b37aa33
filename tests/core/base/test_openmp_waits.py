"""How long OpenMP spins: chosen by the command, unless the user did, and never inherited."""

from __future__ import annotations

import sys

import pytest

from tests.support.command import environment, process, python

SHOW = """
import os
from trainer_host.base.openmp_waits import own_process, short_waits
{}
with short_waits():
    print(os.environ.get("GOMP_SPINCOUNT"), end=" ")
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("call", "variables", "shown"),
    [
        ("own_process()", {}, "1000 None"),
        ("", {}, "None None"),
        ("own_process()", {"GOMP_SPINCOUNT": "7"}, "7 7"),
        ("own_process()", {"OMP_WAIT_POLICY": "PASSIVE"}, "None None"),
        ("own_process()", {"KMP_BLOCKTIME": "0"}, "None None"),
    ],
)
def test_only_the_command_chooses_and_only_for_the_import(call: str, variables: dict[str, str], shown: str) -> None:
    kept = {k: v for k, v in environment().items() if k not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"}}
    done = process(sys.executable, "-c", SHOW.format(call), env={**kept, **variables})
    assert (done.code, done.out.strip()) == (0, shown), done.err


def test_a_program_that_imports_the_host_is_left_alone() -> None:
    assert python("import trainer_host, os; print(os.environ.get('GOMP_SPINCOUNT'))").strip() == "None"
