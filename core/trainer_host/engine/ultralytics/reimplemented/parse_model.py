"""Building a model whose YAML names layers of plugins: `DetectionModel.__init__` (lines 523 to 561 of ``nn/tasks.py``)
and what `parse_model` (lines 2069 to 2282) does with a row, ultralytics 8.4.190.

Re-implemented because the parser looks up layers in the globals of its module, and has its own tables of channels and
repeats. Here the engine parses the YAML with a stand-in for each of these layers, which has as many output channels.
The layers then take the places of their stand-ins.
"""

from __future__ import annotations

import ast
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import BaseModel, _initialize_yolo_model, parse_model, yaml_model_load
from ultralytics.utils import LOGGER
from ultralytics.utils.ops import make_divisible
from ultralytics.utils.torch_utils import initialize_weights

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.layer_spec import Layer

STAND_IN = "Index"
"""A layer of the engine that takes one input, and whose first argument is the number of output channels."""
PROBE = "nn.BatchNorm2d"
"""A layer that the engine builds with the number of channels of its input."""


@dataclass(frozen=True)
class Scale:
    """Scales of the rows of a model YAML."""

    depth: float
    width: float
    max_channels: float

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> Scale:
        """Return the scale of an architecture."""
        if scales := cfg.get("scales"):
            return cls(*scales[_scale(cfg)])
        return cls(cfg.get("depth_multiple", 1.0), cfg.get("width_multiple", 1.0), float("inf"))

    def channels(self, wanted: int) -> int:
        """Return a number of output channels, scaled."""
        return int(make_divisible(min(wanted, self.max_channels) * self.width, 8))

    def repeats(self, wanted: int) -> int:
        """Return a number of repeats, scaled."""
        return max(round(wanted * self.depth), 1) if wanted > 1 else wanted


@reimplements("nn/tasks.py", "DetectionModel.__init__", "26c9c26326a7", partly=True)
def initialise(
    model: Any, cfg: str | dict[str, Any], ch: int, nc: int | None, verbose: bool, layers: Mapping[str, Layer]
) -> None:
    """Make a new model of the engine for an architecture that names layers of plugins.

    Args:
        model: The model, which has nothing yet.
        cfg: The content of a model YAML, or the name of its file.
        ch: Channels of the images.
        nc: Number of classes, or None for that of the architecture.
        verbose: Whether to log the layers.
        layers: The layers of plugins by name.

    Raises:
        SettingsError: If a layer cannot be built as the architecture says.
    """
    BaseModel.__init__(model)
    cfg = deepcopy(cfg if isinstance(cfg, dict) else yaml_model_load(cfg))
    built, rows = build_layers({**cfg, "nc": nc or cfg["nc"]}, ch, layers)
    backbone = len(cfg["backbone"])
    _initialize_yolo_model(model, {**cfg, "backbone": rows[:backbone], "head": rows[backbone:]}, ch, nc, verbose)
    model.yaml |= {"backbone": cfg["backbone"], "head": cfg["head"], "scale": _scale(cfg)}
    for i, layer in built.items():
        model.model[i] = layer
        sources = layer.f if isinstance(layer.f, list) else []
        model.save = sorted([*model.save, *(s % i for s in sources[1:] if s != -1)])
        if verbose:
            LOGGER.info(f"{i:>3}{layer.f!s:>20}{'':>3}{layer.np:10.0f}  {layer.type}")
    model.stride = torch.tensor([32.0])
    head = model.model[-1]
    if isinstance(head, Detect):
        head.inplace = model.inplace
        model.stride = head.stride = _strides(model, ch)
        head.bias_init()
    initialize_weights(model)
    if verbose:
        model.info()


def _strides(model: Any, ch: int, size: int = 256) -> torch.Tensor:
    """Return the pixels between the cells of each map that the head sees, measured on a blank image."""
    model.model.eval()  # a blank image is not to change the statistics of norms
    model.model[-1].training = True  # in this mode the head returns what it sees
    output = model.forward(torch.zeros(1, ch, size, size))
    model.model.train()
    maps = output.get("one2many", output)["feats"]
    return torch.tensor([size / found.shape[-2] for found in maps])


def build_layers(cfg: Mapping[str, Any], ch: int, layers: Mapping[str, Layer]) -> tuple[dict[int, Any], list[Any]]:
    """Build the layers of plugins that an architecture names.

    Returns:
        The layers by the number of their rows, and all rows, with stand-ins in place of these.
    """
    scale = Scale.of(cfg)
    built: dict[int, Any] = {}
    rows = [*cfg["backbone"], *cfg["head"]]
    for i, (source, repeats, name, arguments) in enumerate(rows):
        if name not in layers:
            continue
        sources = [source] if isinstance(source, int) else list(source)
        inputs = _channels(cfg, rows[:i], sources, ch)
        try:
            outputs, made = build_layer(layers[name], inputs, repeats, _literals(arguments, cfg), scale)
        except (TypeError, ValueError, IndexError) as error:
            what = f"layer {name} in row {i} cannot be built for {inputs} channels with {arguments}: {error}."
            raise SettingsError(Problem(what, "correct the row", cfg.get("yaml_file"))) from error
        layer: Any = made[0] if len(made) == 1 else torch.nn.Sequential(*made)
        layer.i, layer.f, layer.type = i, source, f"{type(made[0]).__module__}.{type(made[0]).__qualname__}"
        layer.np = sum(p.numel() for p in layer.parameters())
        built[i] = layer
        rows[i] = [sources[0], 1, STAND_IN, [outputs]]
    return built, rows


@reimplements("nn/tasks.py", "parse_model", "1d781f221027", partly=True)
def build_layer(
    layer: Layer, inputs: Sequence[int], repeats: int, arguments: Sequence[Any], scale: Scale
) -> tuple[int, list[Any]]:
    """Build the layer of one row.

    Args:
        layer: What the plugin says about it.
        inputs: The channels of each input.
        repeats: How often the row says that it is repeated.
        arguments: The row's arguments.
        scale: The scale of the model.

    Returns:
        The number of output channels, and the modules that stand in a row.
    """
    repeats = scale.repeats(repeats)
    outputs, given = inputs[0], list(arguments)
    if layer.arguments is not None:
        outputs, returned = layer.arguments(inputs, arguments)
        given = list(returned)
    elif layer.scaled:
        outputs = scale.channels(arguments[0])
        given[:1] = [*inputs, outputs]
    if layer.repeats:
        given.insert(2, repeats)
        repeats = 1
    return outputs, [layer.module(*given) for _ in range(max(repeats, 1))]


def _channels(cfg: Mapping[str, Any], rows: Sequence[Any], sources: Sequence[int], ch: int) -> list[int]:
    """Return the channels of a row's inputs, learned from probes that stand in its place."""
    if not rows:
        return [ch] * len(sources)
    probes = [[s if s >= 0 else len(rows) + s, 1, PROBE, []] for s in sources]
    # Without a scale the engine would warn for each row.
    before = deepcopy({**cfg, "backbone": [*rows, *probes], "head": [], "scale": _scale(cfg)})
    with torch.device("meta"):  # nothing is computed, and no random number drawn
        parsed, _ = parse_model(before, ch=ch, verbose=False)
    return [int(probe.num_features) for probe in parsed[len(rows) :]]


def _scale(cfg: Mapping[str, Any]) -> str:
    """Return the name of an architecture's scale: the first of its ``scales`` if it says none."""
    return str(cfg.get("scale") or next(iter(cfg.get("scales") or ()), ""))


def _literals(arguments: Sequence[Any], cfg: Mapping[str, Any]) -> list[Any]:
    """Return a row's arguments: the name of a key, such as ``nc``, stands for its value, other text for a literal."""
    return [_literal(a, cfg) if isinstance(a, str) else a for a in arguments]


def _literal(text: str, cfg: Mapping[str, Any]) -> Any:
    if text in cfg:
        return cfg[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
