"""Layers of plugins in model YAMLs, and models that are built with them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from ultralytics.nn.tasks import DetectionModel

from trainer_host.base.contexts import ModelContext
from trainer_host.base.errors import PluginError, Problem, SettingsError, StoppedError
from trainer_host.base.layer_spec import Layer
from trainer_host.engine.ultralytics.architecture import is_layer, vet_model_file
from trainer_host.engine.ultralytics.reimplemented.parse_model import initialise
from trainer_host.engine.ultralytics.run_contexts import make_context
from trainer_host.plugin.hook_collection import claimed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.engine.live_run import LiveRun
    from trainer_host.plugin.chain import HookManager


def with_layers(manager: HookManager, ctx: ModelContext) -> ModelContext:
    """Return a context with the layers of plugins.

    Raises:
        PluginError: If a name is taken by the engine or another plugin, or if a layer is not a `Layer`.
    """
    found = claimed(manager, "layers", "layer", ctx=ctx)
    for name, (who, layer) in found.items():
        if is_layer(name):
            what = f"{who} adds the layer {name!r}, which ultralytics has itself."
            raise PluginError(Problem(what, "give it another name"))
        if not isinstance(layer, Layer):
            what = f"{who} adds the layer {name!r} as {type(layer).__name__}."
            raise PluginError(Problem(what, "return a Layer(module=...)"))
    return replace(ctx, layers={name: layer for name, (_, layer) in found.items()})


def unknown_layers(model: str, run: LiveRun) -> list[Problem]:
    """Return the problems of a model YAML that show before the model is built, with those of its layers.

    Args:
        model: The file.
        run: The plugins, which may add layers.

    Raises:
        UnsafeError: If building it could execute code or fetch something.
    """
    layers: Mapping[str, Layer] = {}
    if run.chain.answers("layers"):
        args: Any = SimpleNamespace(**{**run.resolved.defaults, **run.resolved.settings})
        try:
            layers = with_layers(run.chain.manager, make_context(ModelContext, run, args=args, cfg=model)).layers
        except StoppedError:
            raise
        except Exception:  # a hook that needs the dataset, which is not read yet: it is called again with it
            return []
    try:
        vet_model_file(model, layers)
    except SettingsError as error:
        return list(error.problems)
    return []


class LayeredModel(DetectionModel):
    """The engine's detection model, built with layers of plugins. `model_class` makes classes of it."""

    plugin_layers: ClassVar[Mapping[str, Layer]] = {}

    def __init__(
        self, cfg: str | dict[str, Any] = "", ch: int = 3, nc: int | None = None, verbose: bool = True
    ) -> None:
        initialise(self, cfg, ch, nc, verbose, self.plugin_layers)


def model_class(kind: type[Any], cfg: Mapping[str, Any], layers: Mapping[str, Layer]) -> type[Any]:
    """Return the class to build an architecture with: ``kind``, or one of it that knows layers of plugins.

    Args:
        kind: A class of the engine's models.
        cfg: The content of a model YAML.
        layers: The layers of plugins by name.

    Raises:
        PluginError: If the architecture names one of them, and the class is not made of layers with outputs for boxes.
    """
    named = {row[2] for row in (*cfg["backbone"], *cfg["head"])}.intersection(layers)
    if not named:
        return kind
    if not issubclass(kind, DetectionModel):
        what = f"a {kind.__name__} cannot be built with the layers of plugins ({', '.join(sorted(named))})."
        raise PluginError(Problem(what, "use a model that detects boxes"))
    # The engine's subclasses of the detection model reach its constructor by `super()`, so ours comes before it.
    members = {"plugin_layers": layers, "__module__": __name__, "__doc__": kind.__doc__}
    bases = (LayeredModel,) if kind is DetectionModel else (kind, LayeredModel)
    return type(kind.__name__, bases, members)
