"""Layers of plugins in model YAMLs: built as the engine would, or refused with a reason."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_host import Layer, ModelContext, PluginError, SettingsError, UnsafeError, hookimpl

pytestmark = pytest.mark.usefixtures("engine")

YAMLS = ("yolo11.yaml", "yolo11-pose.yaml", "yolo26-obb.yaml", "yolov10n.yaml", "yolov8-seg.yaml", "yolov5.yaml")
KINDS = {"pose": "PoseModel", "obb": "OBBModel", "seg": "SegmentationModel"}
TINY: dict[str, Any] = {
    "nc": 2,
    "scales": {"n": [0.5, 0.25, 128], "s": [1.0, 0.5, 128]},
    "backbone": [[-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [64, 3, 2]], [-1, 1, "Conv", [512, 3, 2]]],
    "head": [[[1, 2], 1, "Detect", ["nc"]]],
}


def kind_of(name: str) -> Any:
    from ultralytics.nn import tasks

    return getattr(tasks, next((kind for part, kind in KINDS.items() if part in name), "DetectionModel"))


@cache
def own_names() -> dict[str, tuple[str, Layer]]:
    """Layers of the engine as a plugin would bring them: name of the engine, name of the plugin and the layer."""
    import torch
    from ultralytics.nn import modules

    scaled = {name: Layer(module=getattr(modules, name), scaled=True) for name in ("Conv", "DWConv", "SCDown")}
    repeated = {
        name: Layer(module=getattr(modules, name), scaled=True, repeats=True) for name in ("C2f", "C3", "C2PSA")
    }
    joined = {"Concat": Layer(module=modules.Concat, arguments=lambda inputs, given: (sum(inputs), given))}
    same = {"nn.Upsample": Layer(module=torch.nn.Upsample)}
    return {k: (f"My{k[3:] if '.' in k else k}", v) for k, v in {**scaled, **repeated, **joined, **same}.items()}


def renamed(cfg: Mapping[str, Any], chosen: set[str]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(cfg))
    for row in (*changed["backbone"], *changed["head"]):
        if row[2] in chosen:
            row[2] = own_names()[row[2]][0]
    return changed


def seen_by_head(model: Any, image: Any) -> list[Any]:
    output = model.train()(image)
    return list(output.get("one2many", output)["feats"])


@settings(max_examples=10)
@given(st.sampled_from(YAMLS), st.data())
def test_a_model_is_the_engines_whoever_brings_its_layers(name: str, data: st.DataObject) -> None:
    import torch
    from ultralytics.nn.tasks import yaml_model_load

    from trainer_host.engine.ultralytics.plugin_layers import model_class

    cfg = {**yaml_model_load(name), "nc": 3}
    cfg["scale"] = data.draw(st.sampled_from(sorted({"n", "s"} & cfg["scales"].keys())))
    there = sorted({row[2] for row in (*cfg["backbone"], *cfg["head"])} & own_names().keys())
    chosen = data.draw(st.sets(st.sampled_from(there), min_size=1))
    kind, layers = kind_of(name), dict(own_names().values())
    theirs = kind(copy.deepcopy(cfg), nc=5, verbose=False)
    changed = renamed(cfg, chosen)
    ours = model_class(kind, changed, layers)(copy.deepcopy(changed), nc=5, verbose=False)
    assert isinstance(ours, kind)
    assert ours.yaml == {**changed, "channels": 3, "nc": 5}
    assert (ours.save, ours.names) == (theirs.save, theirs.names)
    assert torch.equal(ours.stride, theirs.stride)
    about = [[(m.i, m.f, m.type, m.np) for m in model.model] for model in (ours, theirs)]
    assert about[0] == about[1]
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(2, 3, 64, 64)
    assert all(map(torch.equal, seen_by_head(copy.deepcopy(ours), image), seen_by_head(theirs, image)))


def build(cfg: dict[str, Any], **layers: Layer) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    from trainer_host.engine.ultralytics.plugin_layers import model_class

    cfg = {"scale": "n", **cfg}
    return model_class(DetectionModel, cfg, layers)(cfg, ch=3, verbose=False)


def having(number: int, *row: Any) -> dict[str, Any]:
    cfg = copy.deepcopy(TINY)
    rows = cfg["backbone"] + cfg["head"]
    rows[number] = list(row)
    return {**cfg, "backbone": rows[:3], "head": rows[3:]}


def test_the_engines_own_class_builds_what_names_no_layer_of_a_plugin() -> None:
    from ultralytics.nn.tasks import DetectionModel

    from trainer_host.engine.ultralytics.plugin_layers import model_class

    assert model_class(DetectionModel, TINY, {"Mine": Layer(module=object)}) is DetectionModel


def test_width_depth_and_the_most_channels_scale_a_row() -> None:
    import torch

    from trainer_host.engine.ultralytics.reimplemented.parse_model import build_layers

    given: list[Any] = []

    def make(*arguments: Any) -> torch.nn.Module:
        given.append(arguments)
        return torch.nn.Identity()

    cfg = {**having(2, 0, 4, "Mine", [512, 3]), "scale": "n"}
    built, rows = build_layers(cfg, 3, {"Mine": Layer(module=make, scaled=True)})
    assert given == [(8, 32, 3), (8, 32, 3)], "a quarter of 128, which is the most; half of 4 times"
    assert (len(built[2]), rows[2]) == (2, [0, 1, "Index", [32]])
    given.clear()
    build_layers({**cfg, "scale": "s"}, 3, {"Mine": Layer(module=make, scaled=True, repeats=True)})
    assert given == [(16, 64, 4, 3)]
    given.clear()
    plain = {k: v for k, v in cfg.items() if k not in {"scale", "scales"}}
    build_layers({**plain, "depth_multiple": 0.25, "width_multiple": 2.0}, 3, {"Mine": Layer(module=make, scaled=True)})
    assert given == [(64, 1024, 3)]


def test_arguments_are_literals_or_keys_of_the_yaml() -> None:
    import torch

    given: list[Any] = []

    def make(*arguments: Any) -> torch.nn.Module:
        given.extend(arguments)
        return torch.nn.Identity()

    row = [-1, 1, "Mine", ["nc", "None", "(1, 2)", "word", "two words", 0.5]]
    cfg = {**TINY, "head": [row, [[1, 2], 1, "Detect", ["nc"]]]}
    build(cfg, Mine=Layer(module=make))
    assert given == [2, None, (1, 2), "word", "two words", 0.5]


def test_a_head_of_a_plugin_finds_boxes() -> None:
    import torch
    from ultralytics.nn.modules import Detect

    from trainer_detect.model import build_model

    class Mine(Detect):
        """Derived from the engine's head."""

    layer = Layer(module=Mine, arguments=lambda inputs, given: (inputs[0], [*given, 16, False, list(inputs)]))
    cfg = having(3, [1, 2], 1, "Mine", ["nc"])
    common = {"task": "detect", "engine_task": "detect", "args": None, "layers": {"Mine": layer}}
    ctx = ModelContext(**common, cfg={**cfg, "scale": "n"}, data={"nc": 3, "channels": 3, "names": {}})
    from ultralytics.nn.tasks import DetectionModel

    model = build_model(ctx, DetectionModel, {"Detect"})
    assert type(model.model[-1]) is Mine
    assert model.stride.tolist() == [4, 8]
    assert [tuple(f.shape) for f in seen_by_head(model, torch.rand(1, 3, 32, 32))] == [(1, 16, 8, 8), (1, 32, 4, 4)]


def test_a_row_that_does_not_fit_is_named() -> None:
    from ultralytics.nn.modules import Conv

    layer = Layer(module=Conv, scaled=True)
    with pytest.raises(SettingsError, match=r"layer Mine in row 1 cannot be built for \[8\] channels with \[\]: "):
        build(having(1, -1, 1, "Mine", []), Mine=layer)
    with pytest.raises(SettingsError, match=r"layer Mine in row 1 cannot be built for \[8\] channels with \[64, 'a'\]"):
        build(having(1, -1, 1, "Mine", [64, "a"]), Mine=layer)


def test_an_unknown_layer_is_reported_with_the_nearest() -> None:
    from trainer_host.engine.ultralytics.architecture import vet_architecture

    cfg = having(1, -1, 1, "SPDCnov", [64])
    vet_architecture(cfg, layers={"SPDCnov"})
    with pytest.raises(SettingsError) as caught:
        vet_architecture(cfg, "my.yaml", {"SPDConv"})
    what, fix = "my.yaml: unknown layer 'SPDCnov'.", "if a plugin adds it, switch it on: --plugin NAME"
    assert str(caught.value) == f"{what} Did you mean 'SPDConv'? Fix: {fix}"
    for name in ("LOGGER", "os.system", "nn.init", "deepcopy"):
        with pytest.raises(UnsafeError, match="is not a layer"):
            vet_architecture(having(1, -1, 1, name, []))


class Brings:
    """A plugin with one layer."""

    def __init__(self, name: str, layer: Any) -> None:
        self.brought = {name: layer}

    @hookimpl
    def layers(self) -> dict[str, Any]:
        return self.brought


def asked(**plugins: Brings) -> ModelContext:
    from trainer_host.engine.ultralytics.plugin_layers import with_layers
    from trainer_host.plugin.chain import HookManager

    manager = HookManager()
    for name, plugin in plugins.items():
        manager.register(plugin, name=f"extension:{name}")
    return with_layers(manager, ModelContext(task="t", engine_task="t", args=None))


def test_names_are_claimed_once() -> None:
    layer = Layer(module=object)
    assert asked(one=Brings("A", layer), two=Brings("B", layer)).layers == {"A": layer, "B": layer}
    with pytest.raises(PluginError, match=r"extension 'one' and extension 'two' both provide the layer 'A'\."):
        asked(one=Brings("A", layer), two=Brings("A", layer))
    with pytest.raises(PluginError, match=r"extension 'one' adds the layer 'C2f', which is a layer of ultralytics\."):
        asked(one=Brings("C2f", layer))
    with pytest.raises(PluginError, match=r"extension 'one' adds the layer 'A' as type\. Fix: return a Layer"):
        asked(one=Brings("A", partial))


def test_models_that_find_no_boxes_take_no_layers_of_plugins() -> None:
    from ultralytics.nn.tasks import ClassificationModel

    from trainer_host.engine.ultralytics.plugin_layers import model_class

    with pytest.raises(PluginError, match=r"a ClassificationModel cannot be built with the layers of plugins \(Mine\)"):
        model_class(ClassificationModel, having(1, -1, 1, "Mine", []), {"Mine": Layer(module=object)})
