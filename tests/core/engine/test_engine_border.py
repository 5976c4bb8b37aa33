"""The border of the engine: one folder of core knows ultralytics, as an import and as text."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import ROOT
from trainer_host.engine import factory
from trainer_host.engine.protocol import Checkpoints, Engine, EngineSettings
from trainer_host.engine.ultralytics.engine import UltralyticsCheckpoints, UltralyticsEngine, UltralyticsSettings

CORE = ROOT / "core" / "trainer_host"
FOLDER = CORE / "engine" / "ultralytics"
PLUGIN_FACE = CORE / "ultralytics.py"
"""The documented module by which plugins reach the engine's parts."""
FORBIDDEN = ("ultralytics", "trainer_host.engine.ultralytics", "trainer_host.ultralytics")
TEXT = re.compile(
    r"ultralytics|yolo(?!_writer)|distill_model|optimizer=auto|results\.csv|modelopt|IterableSimpleNamespace"
    r"|(Base|Detection|Classification|Segmentation|Distillation)(Trainer|Model|Validator|Predictor)",
    re.IGNORECASE,
)
OUTSIDE = sorted(p for p in CORE.rglob("*.py") if FOLDER not in p.parents and p != PLUGIN_FACE)
OF_ENGINE = [p for p in OUTSIDE if CORE / "engine" in p.parents]


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def is_forbidden(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in FORBIDDEN)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(CORE)))
def test_nothing_else_in_core_imports_it(path: Path) -> None:
    assert [name for name in imported(path.read_text(encoding="utf-8")) if is_forbidden(name)] == []


def test_every_kind_of_import_is_found() -> None:
    source = (
        "import ultralytics.utils\nfrom ultralytics import YOLO\nfrom trainer_host.engine import ultralytics\n"
        "def f():\n    from trainer_host.engine.ultralytics.engine import E\n"
        "importlib.import_module('ultralytics.nn')\nfrom trainer_host.engine.factory import default_engine\n"
    )
    assert [is_forbidden(name) for name in imported(source)] == [True, True, True, False, True, True]


def test_what_every_engine_needs_does_not_name_it() -> None:
    found = [
        f"{path.relative_to(CORE)}:{number}: {line.strip()}"
        for path in OF_ENGINE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if TEXT.search(line.replace(factory.DEFAULT, ""))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("protocol", "ours"),
    [(Engine, UltralyticsEngine), (EngineSettings, UltralyticsSettings), (Checkpoints, UltralyticsCheckpoints)],
)
def test_the_engine_has_what_the_protocol_asks(protocol: type, ours: type) -> None:
    for name, member in vars(protocol).items():
        if not name.startswith("_") and inspect.isfunction(member):
            assert [*inspect.signature(getattr(ours, name)).parameters] == [*inspect.signature(member).parameters], name


def test_one_module_of_the_session_decides_which_engine_a_request_has() -> None:
    making = re.compile(r"\b(default_engine|make_engine|engine_of_task)\b")
    found = {p.name for p in (CORE / "session").glob("*.py") if making.search(p.read_text(encoding="utf-8"))}
    assert found == {"working_engine.py", "diagnosis.py"}  # a diagnosis has no task
