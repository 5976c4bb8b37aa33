"""Every name that our sources take from the engine exists in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.known_sources import OUR_FOLDERS
from tests.engines.used_names import by_file, missing_names, names_of, used_names


def test_every_way_to_use_a_name_is_found() -> None:
    source = (
        "import ultralytics.utils as u\nfrom ultralytics.nn import tasks\n"
        "from ultralytics.engine.trainer import T as E\n"
        "from ultralytics.models import DetectionTrainer as Engine\nimport other\n"
        "u.checks.one()\ntasks.Two\ngetattr(E, 'three')\nother.four\nown_or_engine(t, 'five')\n"
        "class Sub(E):\n    def f(self):\n        return super().six()\n"
        "    class In(other.X):\n        y = super().seven\n"
        "importlib.import_module('ultralytics.eight')\n"
    )
    base, engine = "ultralytics.engine.trainer.T", "ultralytics.models.DetectionTrainer"
    assert names_of(source) == {
        *("ultralytics.utils", "ultralytics.utils.checks", "ultralytics.utils.checks.one", "ultralytics.nn.tasks"),
        *("ultralytics.nn.tasks.Two", base, f"{base}.three", engine, f"{engine}.five", f"{base}.six"),
        "ultralytics.eight",
    }


def test_names_are_looked_up_in_the_file_that_binds_them(tmp_path: Path) -> None:
    for file in ("__init__.py", "nn/__init__.py", "nn/tasks.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = by_file(
        ["ultralytics.YOLO", "ultralytics.nn.tasks.A.b", "ultralytics.nn.x", "ultralytics.nn.tasks"], tmp_path
    )
    assert found == {"__init__.py": ["YOLO"], "nn/__init__.py": ["x"], "nn/tasks.py": ["A"]}


@pytest.mark.usefixtures("engine")
def test_every_name_exists_in_the_installed_engine() -> None:
    names = used_names(OUR_FOLDERS)
    assert len(names) > 80
    assert list(missing_names(names)) == []
    assert list(missing_names(["ultralytics.nn.tasks.none", "ultralytics.none", "ultralytics.cfg.TASKS"])) == [
        "ultralytics.nn.tasks.none",
        "ultralytics.none",
    ]
