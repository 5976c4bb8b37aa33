"""The setting ``freeze``, checked against the model: the engine ignores unknown layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.settings import shown_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Module


def freeze_problems(freeze: Any, architecture: Mapping[str, Any]) -> list[Problem]:
    """Return a problem if layers are to be frozen that an architecture does not have, or all of them.

    A part of `refuse_freeze` that needs no model: a dataset may take minutes to read before there is one.
    """
    layers = len(architecture.get("backbone") or ()) + len(architecture.get("head") or ())
    if not layers or not isinstance(freeze, (int, list, tuple)) or isinstance(freeze, bool):
        return []
    given, known = f"freeze={shown_value(freeze)}", f"the model has {layers} layers, 0 to {layers - 1}"
    if isinstance(freeze, int):
        fix = f"freeze fewer layers, such as freeze={min(10, layers - 1)} for the first ones"
        return [Problem(f"{given} leaves nothing to train; {known}.", fix)] if freeze >= layers else []
    numbers = {layer: str(layer).partition(".")[0] for layer in freeze}
    absent = [str(layer) for layer, number in numbers.items() if not number.isdigit() or int(number) >= layers]
    what = f"{given}: unknown layer {', '.join(absent)}; {known}."
    return [Problem(what, "name layers of the model, such as freeze=[0,1,2]")] if absent else []


def refuse_freeze(freeze: Any, model: Module) -> None:
    """Refuse to freeze layers that a model does not have, or all of them.

    The engine freezes parameters below ``model.N`` for each layer N, where N may also be a name such as ``23.cv2``.

    Raises:
        SettingsError: If nothing would be left to train, or if a layer is unknown.
    """
    if not freeze:
        return
    modules = {name for name, _ in model.named_modules()}
    layers = sum(name.startswith("model.") and name.removeprefix("model.").isdigit() for name in modules)
    given = f"freeze={shown_value(freeze)}"
    if not layers:
        raise SettingsError(Problem(f"{given}: this model has no numbered layers.", "remove freeze"))
    known = f"the model has {layers} layers, 0 to {layers - 1}"
    fix = f"freeze fewer layers, such as freeze={min(10, max(layers - 1, 0))} for the first ones"
    wanted = range(freeze) if isinstance(freeze, int) else freeze
    absent = [str(layer) for layer in wanted if f"model.{layer}" not in modules]
    if absent and not isinstance(freeze, int):
        what = f"{given}: unknown layer {', '.join(absent)}; {known}."
        raise SettingsError(Problem(what, "name layers of the model, such as freeze=[0,1,2]"))
    # The engine looks for these texts anywhere in a parameter's name.
    frozen = (*(f"model.{layer}." for layer in wanted), ".dfl")
    if all(any(part in name for part in frozen) for name, _ in model.named_parameters()):
        raise SettingsError(Problem(f"{given} leaves nothing to train; {known}.", fix))
