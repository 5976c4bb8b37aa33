"""Keypoints with a set of their own for each class: what differs from the pose task.

``kpt_shape`` counts the keypoints of all classes together, and ``kpt_sets`` says which of them each class has. Labels
have visibility 0 for the others, so that these are not trained; predictions omit them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host import Finding, Sample, TaskSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from trainer_host import DataContext, ModelContext, PredictionContext, SampleContext


def sets_of(data: Mapping[str, Any]) -> dict[int, list[int]]:
    """Return the keypoints of each class, which a dataset gives by the class's number or name."""
    numbers = {name: number for number, name in data["names"].items()}
    return {numbers.get(key, key): points for key, points in (data.get("kpt_sets") or {}).items()}


class ClassKeypointHooks:
    """Boxes with the keypoints of their class."""

    @hookimpl
    def check_dataset(self, ctx: DataContext) -> Iterator[Finding]:
        sets, names, (count, dims) = sets_of(ctx.data), ctx.data["names"], ctx.data.get("kpt_shape") or (0, 0)
        if sets.keys() != names.keys() or not {p for points in sets.values() for p in points} <= set(range(count)):
            fix = f"write kpt_sets: a list of numbers from 0 to {count - 1} for each class"
            yield ctx.data.of_key("kpt_sets", "kpt-sets", "kpt_sets does not say what keypoints each class has.", fix)
            return
        own = np.array([[point in sets[number] for point in range(count)] for number in sorted(sets)])
        for split in ctx.data.splits.values():
            rows, values = split.table(5 + count * dims)
            classes = values[:, 0].astype(int).clip(0, len(own) - 1)
            foreign = (values[:, 5:].reshape(-1, count, dims)[..., -1] > 0) & ~own[classes]
            for index in foreign.any(axis=1).nonzero()[0].tolist():
                name, point = names[int(classes[index])], foreign[index].argmax()
                what = f"keypoint {point} is labelled, which no {name} has."
                yield split.of_row(int(rows[index]), "kpt-sets", what, "write 0 0 0 for it, or correct the class")

    @hookimpl
    def set_model_attributes(self, ctx: ModelContext) -> None:
        model: Any = ctx.model
        model.kpt_sets = sets_of(ctx.data)  # so that the checkpoint knows them

    @hookimpl(wrapper=True)
    def build_predictor(self, ctx: PredictionContext) -> Generator[None, Any, Any]:
        predictor = yield
        model: Any = ctx.model

        def own_keypoints(source: Any) -> Iterator[Any]:
            for prediction in predictor(source):
                for found in prediction.objects:
                    found["keypoints"] = [found["keypoints"][i] for i in model.kpt_sets[found["class"]]]
                yield prediction

        return own_keypoints

    @hookimpl
    def build_sample(self, ctx: SampleContext) -> Sample:
        from trainer_class_keypoints.sample import SETTINGS, draw_sample

        return Sample(draw_sample(ctx.folder), SETTINGS)


TASK = TaskSpec(hooks=ClassKeypointHooks(), base="pose", dataset_keys=("names", "kpt_shape", "kpt_sets"))
