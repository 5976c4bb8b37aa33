"""What a dataset's report shows of boxes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainer_detect.annotations import annotate, histograms
from trainer_host import Box, DataContext, LabelContext
from trainer_host.data.description import Description, Split

ARGS = SimpleNamespace(fliplr=0.5, flipud=0.0, single_cls=False)


def dataset(rows: list[list[list[float]]], crowd: list[list[bool]] | None = None, **keys: Any) -> Description:
    """Return a dataset of images that are not there, with rows for each of them."""
    images = [Path(f"/none/{i}.jpg") for i in range(len(rows))]
    labels = [f.with_suffix(".txt") for f in images]
    split, _ = Split.from_rows("train", images, rows, labels, crowd=crowd)
    return Description({"names": {0: "cat", 1: "dog"}, **keys}, file="/none/data.yaml", splits={"train": split})


def shapes(data: Description, image: int, mirrored: bool = False, task: str = "detect") -> list[Any]:
    ctx = LabelContext(task=task, engine_task=task, args=ARGS, data=data, image=image, mirrored=mirrored)
    return annotate(ctx)


def bars(data: Description) -> dict[str, dict[str, tuple[int, ...]]]:
    ctx = DataContext(task="detect", engine_task="detect", args=ARGS, data=data)
    return {h.title: h.counts for h in histograms(ctx)}


def close(box: Box, left: float, top: float, width: float, height: float) -> bool:
    return bool(np.allclose([box.left, box.top, box.width, box.height], [left, top, width, height]))


def test_boxes_have_their_corner_and_the_name_of_their_class() -> None:
    data = dataset([[[1, 0.5, 0.5, 0.2, 0.4]], [[0, 0.25, 0.5, 0.5, 1.0], [7, 0.5, 0.5, 0.1, 0.1]]])
    (box,) = shapes(data, 0)
    assert close(box, 0.4, 0.3, 0.2, 0.4)
    assert (box.label, box.colour) == ("dog", 1)
    assert [b.label for b in shapes(data, 1)] == ["cat", "class 7"]


def test_mirrored_boxes_are_as_far_from_the_other_edge() -> None:
    (box,) = shapes(dataset([[[0, 0.25, 0.5, 0.3, 0.4]]]), 0, mirrored=True)
    assert close(box, 0.6, 0.3, 0.3, 0.4)


def test_a_polygon_is_shown_by_the_box_around_it() -> None:
    (box,) = shapes(dataset([[[0, 0.1, 0.2, 0.5, 0.3, 0.3, 0.8]]]), 0)
    assert close(box, 0.1, 0.2, 0.4, 0.6)


def test_crowds_are_marked_and_not_counted() -> None:
    data = dataset([[[0, 0.5, 0.5, 0.2, 0.2], [0, 0.5, 0.5, 0.6, 0.6]]], crowd=[[False, True]])
    assert [b.label for b in shapes(data, 0)] == ["cat", "cat (crowd)"]
    assert bars(data)["Objects of each class"] == {"train": (1, 0)}


@pytest.mark.parametrize(
    "row", [[0.0], [0, 0.5, 0.5, 0.2], [0, 0.5, float("nan"), 0.2, 0.2], [0, 0.1, 0.2, 0.3, 0.4, 0.5]]
)
def test_rows_that_are_no_box_are_skipped(row: list[float]) -> None:
    data = dataset([[row, [0, 0.5, 0.5, 0.2, 0.2]]])
    assert len(shapes(data, 0)) == 1


def test_a_task_with_columns_of_its_own_has_the_box_first() -> None:
    (box,) = shapes(dataset([[[0, 0.5, 0.5, 0.2, 0.4, 0.9, 0.9]]]), 0, task="other")
    assert close(box, 0.4, 0.3, 0.2, 0.4)


@pytest.mark.parametrize("names", [None, {}, "cat", ["cat"], {"cat": 0}, {0: ["cat"]}])
def test_broken_names_do_no_harm(names: Any) -> None:
    data = dataset([[[0, 0.5, 0.5, 0.2, 0.2], [1e30, 0.5, 0.5, 0.2, 0.2]]], names=names)
    assert len(shapes(data, 0)) == 2
    assert bars(data)


def test_classes_and_sizes_are_counted() -> None:
    data = dataset([[[1, 0.5, 0.5, 0.005, 0.3], [1, 0.5, 0.5, 0.2, 0.3]], [[0, 0.5, 0.5, 0.7, 0.6]]])
    found = bars(data)
    assert found["Objects of each class"] == {"train": (1, 2)}
    assert found["Widths of the boxes"] == {"train": (1, 0, 0, 0, 0, 1, 1)}
    assert found["Heights of the boxes"] == {"train": (0, 0, 0, 0, 0, 2, 1)}


def test_a_dataset_without_rows_has_no_histograms() -> None:
    assert bars(dataset([[], []])) == {}
