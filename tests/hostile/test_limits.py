"""Files that are small on disk and large in memory are refused before they grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import ROOT, python

MOST_GROWTH = 300 * 2**20
"""Bytes that reading a bomb may take besides what importing torch takes."""

READ = """
import sys
from tests.hostile.doors import peak_memory
from trainer_host import TrainerError
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

before = peak_memory()
try:
    read_checkpoint(sys.argv[1]).state()
except TrainerError as error:
    assert str(error).count("\\n") == 0
    print(int(error.exit_code), peak_memory() - before)
"""


@pytest.fixture(scope="session")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("ultralytics")
    from tests.hostile import files

    folder = tmp_path_factory.mktemp("bombs")
    paths = {name: folder / f"{name}.pt" for name in files.bombs()}
    for name, content in files.bombs().items():
        paths[name].write_bytes(content)
    return paths


# Those that grow most by their kind; all of them go through the doors.
@pytest.mark.parametrize(
    "name",
    [
        *("compressed-pickle", "many-copies"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("compressed-weights", "many-dicts", "many-marks", "deep", "alias-growth")
        ),
    ],
)
def test_a_bomb_takes_little_memory(bombs: dict[str, Path], name: str) -> None:
    code, growth = map(int, python(READ, ROOT, words=[bombs[name]]).split())
    assert code in (3, 6)
    assert growth < MOST_GROWTH


@pytest.mark.parametrize("ratio", [1, 5])
def test_a_checkpoint_that_was_packed_again_is_read(tmp_path: Path, ratio: int) -> None:
    """Weights that another program compressed are fine: they do not grow beyond measure."""
    import zipfile

    import torch

    from tests.hostile.files import checkpoint
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    plain.write_bytes(checkpoint())
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=ratio) as target,
    ):
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
    assert packed.stat().st_size < plain.stat().st_size
    first, second = read_checkpoint(plain).state(), read_checkpoint(packed).state()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
