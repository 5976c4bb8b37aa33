"""Comparison of a dataset with the models that are to be trained or evaluated on it: classes, channels, task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_detect.checks import SHOWN
from trainer_detect.rows import description
from trainer_host.data import class_names, counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import DataContext, Finding, ModelFacts
    from trainer_host.data import Description


LONGEST = 40
"""Characters of a name that a message shows; a file may hold anything."""


def check_models(ctx: DataContext) -> Iterator[Finding]:
    """Yield where the models of a run do not fit its dataset, with both sides.

    Training from weights of the engine's own files is expected to change classes and channels, and draws no warning.
    """
    data = description(ctx)
    for model in ctx.models:
        if ctx.mode == "val":
            yield from _evaluated_channels(data, model)
        elif not model.published:
            yield from _trained_channels(data, model)
            if model.trained and model.setting == "pretrained":  # another architecture is refused when it is built
                yield from _other_task(data, model, ctx)
        if ctx.args.single_cls:
            continue  # every class counts as one
        if ctx.mode == "val":
            yield from _evaluated_classes(data, model)
        elif not model.published:
            yield from _trained_classes(data, model) if model.trained else _overridden_classes(data, model)


def _channels(data: Description, model: ModelFacts) -> tuple[int, int] | None:
    """Return the channels of the dataset and of the model if they differ."""
    own, given = data.get("channels"), model.keys.get("channels")
    return (own, given) if type(own) is int and type(given) is int and own != given else None


def _evaluated_channels(data: Description, model: ModelFacts) -> Iterator[Finding]:
    if found := _channels(data, model):
        message = f"channels is {found[0]} in the dataset and {found[1]} in the model {model.name}."
        fix = f"write channels: {found[1]} if the images have them, or give a model for {found[0]}"
        yield data.of_key("channels", "model-channels", message, fix)


def _trained_channels(data: Description, model: ModelFacts) -> Iterator[Finding]:
    if found := _channels(data, model):
        message = f"channels is {found[0]} in the dataset and {found[1]} in the model {model.name}:"
        message += " the first layer is adapted." if model.trained else f" a model for {found[0]} is built."
        fix = f"write channels: {found[1]} in the dataset if the images have them, or ignore this"
        yield data.of_key("channels", "model-channels", message, fix, "warning")


def _other_task(data: Description, model: ModelFacts, ctx: DataContext) -> Iterator[Finding]:
    task = model.keys.get("task")
    if isinstance(task, str) and task not in {ctx.engine_task, ctx.task}:
        message = f"the task is {ctx.task}, but the weights {model.name} are for {task}: the head weights are not used."
        yield data.of_key("", "model-task", message, "ignore this if only the other layers are wanted", "warning")


# --- classes ------------------------------------------------------------------------------------------------------


def _names(data: Description, model: ModelFacts) -> tuple[dict[int, str], dict[int, str]] | None:
    """Return the classes of dataset and model, unless they agree or one of them has no names but its numbers."""
    own, given = class_names(data.get("names")), model.keys.get("names")
    if not own or not isinstance(given, dict) or _same(own, given):
        return None
    unnamed = any(all(str(number) == str(name) for number, name in names.items()) for names in (own, given))
    return None if unnamed and len(own) == len(given) else (own, given)


def _same(one: dict[int, str], other: dict[int, str]) -> bool:
    return {k: _plain(v) for k, v in one.items()} == {k: _plain(v) for k, v in other.items()}


def _plain(name: str) -> str:
    return str(name).strip().casefold()  # as the engine compares them


def _sides(data: dict[int, str], model: dict[int, str], name: str) -> str:
    own, given = (listed([f"{name:.{LONGEST}}" for name in names.values()], SHOWN) for names in (data, model))
    if len(data) == len(model):
        same = sorted(map(_plain, data.values())) == sorted(map(_plain, model.values()))
        order = ", in another order" if same else ""
        return f"the classes of the dataset are {own}, those of the model {name} {given}{order}"
    many = f"{counted(len(data), 'class', 'classes')}"
    return f"the dataset has {many} ({own}), the model {name} has {len(model)} ({given})"


def _of_classes(data: Description, own: Any, given: Any, message: str, fix: str) -> Finding:
    """Return a warning of other names, or of another number of classes."""
    return data.of_key("names", "model-names" if len(own) == len(given) else "model-classes", message, fix, "warning")


def _evaluated_classes(data: Description, model: ModelFacts) -> Iterator[Finding]:
    found = _names(data, model)
    if found is None:
        return
    own, given = found
    if all(_plain(given.get(number, "")) == _plain(name) for number, name in own.items()):
        return  # the model has more classes, which is harmless
    message = f"{_sides(own, given, model.name)}: classes are matched by number."
    if len(own) > len(given):
        message = f"{_sides(own, given, model.name)}: objects of the classes from {len(given)} on are not evaluated."
    fix = "write names and labels in the order of the model, or use a model of these classes"
    yield _of_classes(data, own, given, message, fix)


def _trained_classes(data: Description, model: ModelFacts) -> Iterator[Finding]:
    found = _names(data, model)
    if found is None:
        return
    own, given = found
    common = {*map(_plain, own.values())} & {*map(_plain, given.values())}
    used = "the weights of a class are found by its name" if common else "no names match"
    if not common and len(own) == len(given):
        used += ", so each class starts with the weights of the class with its number"
    fix = "ignore this for new classes; if the same are meant, write their names as the model has them"
    yield _of_classes(data, own, given, f"{_sides(own, given, model.name)}: {used}.", fix)


def _overridden_classes(data: Description, model: ModelFacts) -> Iterator[Finding]:
    own, given = len(class_names(data.get("names"))), model.keys.get("nc")
    if own and type(given) is int and own != given:
        message = f"the dataset has {counted(own, 'class', 'classes')}, but {model.name} has nc: {given};"
        message += f" a model for {own} is built."
        fix = f"write nc: {own} in {model.name}, or ignore this"
        yield data.of_key("names", "model-classes", message, fix, "warning")
