"""What a file can reach: of the engine's packages nothing by a pickle, and layers alone by an architecture."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.pickles import BUILD, CALL, INST, MAKE, MAKE_EX, OBJ, STACK, archive, call, pickled

FORMS = (CALL, MAKE, OBJ, INST, MAKE_EX, STACK, BUILD)
FORBIDDEN = frozenset(
    {
        "open",
        "eval",
        "exec",
        "compile",
        "__import__",
        "import_module",
        "load",
        "load_checkpoint",
        "torch_safe_load",
        "torch_load",
        "yaml_model_load",
        "attempt_download_asset",
        "safe_download",
        "check_file",
        "check_yaml",
        "check_requirements",
        "get_model",
        "Popen",
        "run",
        "system",
        "urlopen",
        "Path",
    }
)
"""Names that lead to a file, an address, an import or an evaluation."""


@pytest.fixture(scope="session")
def engine_folder() -> Path:
    return Path(pytest.importorskip("ultralytics").__file__).parent


@pytest.fixture(scope="session")
def engine_names(engine_folder: Path) -> list[str]:
    """Every class and function of the engine's packages, methods included, found without importing them."""
    found = []
    for file in sorted(engine_folder.rglob("*.py")):
        module = ".".join(["ultralytics", *file.relative_to(engine_folder).with_suffix("").parts])
        module = module.removesuffix(".__init__")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.append(f"{module}.{node.name}")
            if isinstance(node, ast.ClassDef):
                inner = (n for n in node.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
                found += [f"{module}.{node.name}.{n.name}" for n in inner]
    return found


def test_no_class_or_function_of_the_engine_is_reached_by_a_pickle(engine_names: list[str]) -> None:
    from trainer_host.engine.checkpoint.inert_objects import Inert
    from trainer_host.engine.checkpoint.inert_pickle import read_pickle

    assert len(engine_names) > 3_000
    assert "ultralytics.nn.distill_model.DistillationModel" in engine_names
    assert "ultralytics.nn.tasks.load_checkpoint" in engine_names
    state = {"_parameters": {}, "_buffers": {}, "_modules": {}, "feats_idx": [0]}
    modules = set(sys.modules)
    called: set[str] = set()

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            called.add(frame.f_globals.get("__name__", ""))
        elif event == "c_call" and getattr(argument, "__module__", None):
            called.add(f"{argument.__module__}.{argument.__name__}")

    for form in FORMS:
        data = pickled([call(name, "x", form=form, state=state) for name in engine_names])
        sys.setprofile(note)
        try:
            described = read_pickle(data)
        finally:
            sys.setprofile(None)
        assert described.names == set(engine_names)
        assert all(type(found) is Inert for found in described.value)
        assert [found.name for found in described.value] == engine_names
    assert set(sys.modules) == modules
    ours = {f"trainer_host.engine.checkpoint.{name}" for name in ("inert_pickle", "inert_objects")} | {"sys.setprofile"}
    plain = {f"builtins.{name}" for name in ("len", "sum", "isinstance", "all", "any", "sorted", "max", "min")}
    watching = {name for name in called if name.startswith(("hypothesis.", "time."))}  # a callback of the collector
    assert called <= ours | plain | watching, called - ours - plain


def test_none_of_them_is_called_where_a_whole_checkpoint_is_read(engine_names: list[str], tmp_path: Path) -> None:
    from trainer_host import TrainerError
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    state = {"_parameters": {}, "_buffers": {}, "_modules": {}, "yaml": {"nc": 1}}
    for form in FORMS:
        for key in ("model", "ema", "train_args", "trainer_host"):
            path = tmp_path / "file.pt"
            path.write_bytes(archive(pickled({key: [call(n, "x", form=form, state=state) for n in engine_names]})))
            with pytest.raises(TrainerError):
                read_checkpoint(path)


@pytest.fixture(scope="session")
def reachable(engine_folder: Path) -> dict[str, type]:
    """The classes that a name in a model YAML can lead to, of all that the engine's parser looks at."""
    from ultralytics.nn import tasks

    from trainer_host.engine.ultralytics.architecture import is_layer

    return {name: getattr(tasks, name) for name in vars(tasks) if is_layer(name)}


def test_an_architecture_names_layers_alone(reachable: dict[str, type]) -> None:
    import torch
    from ultralytics.nn import tasks

    assert {"Conv", "C3k2", "Detect", "Pose26", "TorchVision"} <= reachable.keys()
    for name in ("DetectionModel", "WorldModel", "Ensemble", "load_checkpoint", "parse_model", "YAML", "torch", "Path"):
        assert hasattr(tasks, name) or name == "Path"
        assert name not in reachable
    assert all(issubclass(kind, torch.nn.Module) for kind in reachable.values())


def test_no_layer_leads_to_a_file_an_address_an_import_or_an_evaluation(reachable: dict[str, type]) -> None:
    """Look at the source of every layer and of what it builds on; `TorchVision` has rules of its own."""
    for module in {kind.__module__ for kind in reachable.values()}:
        source = Path(str(importlib.import_module(module).__file__)).read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if getattr(node, "name", None) == "TorchVision":
                continue
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call):
                    function = inner.func
                    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                    assert name not in FORBIDDEN, f"{module}: {ast.unparse(inner)}"


def test_layers_of_torch_fetch_nothing() -> None:
    """`torch.nn` and `torchvision.ops` are layers throughout: none takes the place of a file or an address."""
    import inspect

    import torch
    import torchvision

    for package in (torch.nn, torchvision.ops):
        for kind in vars(package).values():
            if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
                parameters = set(inspect.signature(kind.__init__).parameters)
                assert not parameters & {"path", "file", "filename", "url", "weights", "checkpoint"}, kind


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["posix.system", "os.system", "nt.system", "builtins.eval", "torch.hub.load"])
def test_a_call_is_named_in_the_refusal(tmp_path: Path, form: str, name: str) -> None:
    from trainer_host import UnsafeError
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    if form in (MAKE, MAKE_EX, BUILD) and name.startswith("torch."):
        pytest.skip("an object of torch is not suspicious by itself")
    path = tmp_path / "file.pt"
    path.write_bytes(archive(pickled({"model": call(name, "touch mark", form=form)})))
    with pytest.raises(UnsafeError, match=name.replace(".", r"\.")):
        read_checkpoint(path)
