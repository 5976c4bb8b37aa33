"""Comparison of a dataset's keypoints with those of the models that are to be trained or evaluated on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_detect.checks import SHOWN
from trainer_detect.model_fit import LONGEST
from trainer_detect.rows import description, keypoint_shape
from trainer_host.data import Description, listed
from trainer_pose.suggestions import name_lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import DataContext, Finding, ModelFacts


def check_models(ctx: DataContext) -> Iterator[Finding]:
    """Yield where the keypoints of a run's models are not those of its dataset, with both sides."""
    data = description(ctx)
    own = keypoint_shape(data)
    for model in ctx.models:
        given = keypoint_shape(_as_data(model))
        if own is None or given is None or (ctx.mode != "val" and model.published):
            continue
        if own == given:
            yield from _names(data, model, ctx.mode)
        else:
            yield _other_shape(data, model, own, given, ctx.mode)


def _as_data(model: ModelFacts) -> Description:
    return Description(model.keys, file=model.name)


def _other_shape(data: Description, model: ModelFacts, own: Any, given: Any, mode: str) -> Finding:
    kind = "model" if model.trained else "architecture"
    message = f"kpt_shape is {list(own)} in the dataset and {list(given)} in the {kind} {model.name}"
    if mode == "val":
        fix = f"evaluate it on a dataset with kpt_shape: {list(given)}, or give a model for {list(own)}"
        return data.of_key("kpt_shape", "model-kpt-shape", f"{message}.", fix)
    if model.trained:
        message += ": the keypoint layers start without its weights."
        fix = "ignore this for other keypoints, or give the dataset and labels of the model's"
    else:
        message += f": a model for {list(own)} is built."
        fix = f"write kpt_shape: {list(own)} in {model.name}, or ignore this"
    return data.of_key("kpt_shape", "model-kpt-shape", message, fix, "warning")


def _names(data: Description, model: ModelFacts, mode: str) -> Iterator[Finding]:
    """Yield the first class whose keypoints have other names, or the same in another order."""
    own, given = name_lists(data), name_lists(_as_data(model))
    for number in sorted(own.keys() & given.keys()):
        here, there = own[number], given[number]
        numbers = [str(i) for i in range(len(here))]  # stand for names if a dataset has none
        if here == there or len(here) != len(there) or numbers in (here, there):
            continue
        order = ", in another order" if sorted(here) == sorted(there) else ""
        shown = [listed([f"{name:.{LONGEST}}" for name in names], SHOWN) for names in (here, there)]
        message = f"the keypoints of class {number} are {shown[0]} in the dataset"
        message += f" and {shown[1]} in the model {model.name}{order}: they are matched by position."
        fix = "put kpt_names, flip_idx and labels into the order of the model, or ignore this if only names differ"
        if mode == "train":
            fix += "; training goes on with those of the dataset"
        yield data.of_key(f"kpt_names.{number}", "model-kpt-names", message, fix, "warning")
        return
