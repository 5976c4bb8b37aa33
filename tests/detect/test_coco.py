"""COCO files, read as they are: classes, boxes, keypoints, splits, and what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_detect.formats.coco import EXTENSION, Coco
from trainer_detect.formats.common import box_shares, shares
from trainer_host import DataContext, Finding
from trainer_host.data.description import Description
from trainer_host.data.holdout import held_out
from trainer_host.plugin.plugin_options import parse_options

MOUSE = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "mouse-openfield"
PEOPLE = MOUSE.with_name("coco4-keypoints") / "person_keypoints.json"

CATEGORIES = [
    {"id": 7, "name": "dog", "keypoints": ["nose", "left_ear", "right_ear"], "skeleton": [[1, 2], [1, 3]]},
    {"id": 3, "name": "ball"},
]
DOG = {"id": 1, "image_id": 10, "category_id": 7, "bbox": [8, 6, 16, 12], "keypoints": [16, 12, 2, 10, 8, 1, 0, 0, 0]}
BALL = {"id": 2, "image_id": 10, "category_id": 3, "bbox": [0, 0, 8, 8], "iscrowd": 1, "segmentation": {"counts": [1]}}
IMAGES = [{"id": 10, "file_name": "a.png", "width": 64, "height": 48}, {"id": 4, "file_name": "b.png"}]


def coco(**changes: Any) -> dict[str, Any]:
    content = {"images": IMAGES, "annotations": [DOG, BALL], "categories": CATEGORIES}
    return {**content, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
    return tmp_path


def put(path: Path, content: Any = None, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content if content is not None else coco(**changes), indent=1), encoding="utf-8")
    return path


def read(*sources: Path | str, images: tuple[str, ...] = (), **options: float) -> Description:
    source = ",".join(map(str, sources))
    ctx = DataContext(
        task="detect",
        engine_task="detect",
        args=SimpleNamespace(),
        options={"coco": Coco(**{"holdout": 0.5, **options})},
        source=source,
        images=images,
    )
    found = EXTENSION.hooks.read_dataset(ctx)
    assert isinstance(found, Description)
    return found


def codes(data: Description) -> list[str]:
    return [f.code for f in data.findings if f.code != "holdout"]


def rows_of(data: Description, split: str, image: str) -> list[list[float]]:
    part = data.splits[split]
    index = [Path(f).name for f in part.images].index(image)
    return [part.values[part.starts[r] :][: part.row_lengths[r]].tolist() for r in part.rows_of(index)]


def both(folder: Path, **changes: Any) -> Description:
    """Return the dataset of which train and val are the same file."""
    file = put(folder / "all.json", **changes)
    return read(file, file)


# What is read


@pytest.mark.parametrize("path", ["/content/photos/{}", "C:\\photos\\{}", "https://example.org/photos/{}"])
def test_names_of_another_machine_are_shortened_to_what_is_there(folder: Path, path: str) -> None:
    data = both(folder, images=[{**i, "file_name": path.format(i["file_name"])} for i in IMAGES])
    assert codes(data) == ["path-habit"]
    assert data.splits["train"].images == [str(folder / "a.png"), str(folder / "b.png")]


def test_a_yaml_of_another_machine_around_files_beside_it(folder: Path) -> None:
    put(folder / "all.json")
    for path, entry, fix in (
        ("/content", "all.json", "remove path:"),
        (".", "C:\\x\\all.json", "write train: all.json"),
        ("/content", "/other/x.json", "correct it; it is relative to the YAML"),
    ):
        file = folder / "data.yaml"
        file.write_text(f"path: {path}\ntrain: {entry}\nval: {entry}\n")
        found = [f for f in read(file).findings if f.code == "split-missing-path"]
        assert found[0].fix == fix


def test_a_box_of_nulls_is_no_box(folder: Path) -> None:
    assert set(codes(both(folder, annotations=[{**DOG, "bbox": [None] * 4}]))) == {"coco-bbox-derived"}


def test_a_file_without_content(folder: Path) -> None:
    for content in ("", "\ufeff", " \n"):
        (folder / "a.json").write_text(content, encoding="utf-8")
        assert one(read(folder / "a.json"), "coco-syntax").message == "the file is empty."


def test_boxes_keypoints_classes_and_crowds(folder: Path) -> None:
    data = both(folder)
    assert codes(data) == []
    assert data["names"] == {0: "ball", 1: "dog"}, "by name, in order of the ids"
    assert (data["nc"], data["channels"], data["kpt_shape"]) == (2, 3, [3, 3])
    assert data["kpt_names"][1] == ["nose", "left_ear", "right_ear"]
    assert data["skeleton"] == [[0, 1], [0, 2]]
    assert "flip_idx" not in data
    split = data.splits["train"]
    assert [Path(f).name for f in split.images] == ["a.png", "b.png"]
    assert split.crowd.tolist() == [False, True]
    assert split.label_files == [str(folder / "all.json")] * 2
    assert rows_of(data, "train", "a.png") == [
        [1, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 2, 0.15625, 0.166667, 1, 0, 0, 0],
        [0, 0.0625, 0.083333, 0.125, 0.166667, *[0] * 9],
    ]
    assert rows_of(data, "train", "b.png") == []


def test_each_row_has_the_line_of_its_annotation(folder: Path) -> None:
    data = both(folder)
    lines = (folder / "all.json").read_text().splitlines()
    for line, number in zip(data.splits["train"].line, (1, 2), strict=True):
        assert lines[line - 1].strip() == "{"
        assert lines[line].strip() == f'"id": {number},'


def test_boxes_alone_have_no_keypoints(folder: Path) -> None:
    categories = [{"id": 3, "name": "ball"}]
    data = both(folder, categories=categories, annotations=[BALL])
    assert not {"kpt_shape", "kpt_names", "skeleton"} & set(data)
    assert data.splits["train"].row_lengths.tolist() == [5]


def test_ids_may_differ_between_files_where_names_agree(folder: Path) -> None:
    train = put(folder / "train.json")
    other = [{**CATEGORIES[0], "id": 1}, {**CATEGORIES[1], "id": "two"}]
    val = put(folder / "val.json", categories=other, annotations=[{**DOG, "category_id": 1}])
    data = read(train, val)
    assert codes(data) == []
    assert rows_of(data, "val", "a.png")[0][0] == 1


def test_three_files_are_three_splits(folder: Path) -> None:
    file = put(folder / "all.json")
    assert list(read(file, file, file).splits) == ["train", "val", "test"]
    assert "coco-files" in codes(read(file, file, file, file))


def test_a_yaml_names_the_files_and_adds_keys(folder: Path) -> None:
    put(folder / "notes" / "all.json")
    yaml = folder / "data.yaml"
    yaml.write_text(
        "train: notes/all.json\nval: notes/all.json\nimages: .\nnames: [dog, ball]\nflip_idx: [0, 2, 1]\n",
        encoding="utf-8",
    )
    data = read(yaml)
    assert codes(data) == []
    assert data["names"] == {0: "dog", 1: "ball"}, "the YAML's order"
    assert data["flip_idx"] == [0, 2, 1]
    assert data.lines["flip_idx"] == 5
    assert rows_of(data, "val", "a.png")[0][0] == 0
    for text, code in (
        ("train: notes/all.json\nval: images/val\n", "coco-mixed"),
        ("val: notes/all.json\nimages: .\n", "missing-key"),
        ("train: notes/all.json\ntest: notes/all.json\nimages: .\n", "missing-key"),
        ("train: notes/all.json\nval: notes/all.json\nimages: 5\n", "coco-images"),
        ("train: notes/all.json\nval: notes/all.json\nimages: .\nnames: [dog, cat]\n", "coco-categories"),
        ("train: notes/all.json\ntrain: notes/all.json\nimages: .\n", "duplicate-key"),
    ):
        yaml.write_text(text, encoding="utf-8")
        assert code in codes(read(yaml)), text


def test_other_datasets_are_left_to_others(folder: Path) -> None:
    yaml = folder / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames: [a]\n# not.json\n", encoding="utf-8")
    for source in (
        str(yaml),
        str(folder),
        "coco8",
        "https://example.org/a.json",
        "x" * 5000,
        "\0",
        str(folder / "none.yaml"),
    ):
        assert EXTENSION.hooks.sniff_dataset(source) is None
    assert "kpt_shape" in EXTENSION.hooks.sniff_dataset(str(put(folder / "all.json")))
    assert "kpt_shape" not in EXTENSION.hooks.sniff_dataset(str(put(folder / "none.json", categories=[])))
    assert EXTENSION.hooks.sniff_dataset(str(folder / "missing.json"))


# Images


@pytest.mark.parametrize("place", [".", "images", "../images", "images/train", "../images/train", "train"])
def test_images_are_found_near_the_file(folder: Path, place: str) -> None:
    file = put(folder / "sets" / "mice.json")
    home = (file.parent / place).resolve()
    home.mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png"):
        (folder / name).rename(home / name)
    data = read(file, file)
    assert Path(data["train"]).resolve() == home
    assert "coco-images" not in [f.code for f in data.findings if f.split == "train"]


def test_images_are_where_the_user_says(folder: Path) -> None:
    file = put(folder / "far" / "away" / "all.json")
    assert codes(read(file, file)) == ["coco-images", "coco-images"]
    assert codes(read(file, file, images=(str(folder),))) == []
    assert codes(read(file, file, images=(str(folder), str(folder)))) == []
    assert "coco-images" in codes(read(file, file, images=("a", "b", "c")))


def test_an_image_that_is_missing_can_be_skipped(folder: Path) -> None:
    (folder / "b.png").unlink()
    data = both(folder)
    assert codes(data) == ["coco-image-missing"] * 2
    finding = data.findings[0]
    assert finding.image == str(folder / "b.png")
    assert finding.split == "train"
    lines = (folder / "all.json").read_text().splitlines()
    assert finding.line is not None
    assert '"id": 4' in lines[finding.line]


def test_images_that_no_file_names_are_counted(folder: Path) -> None:
    for name in ("c.png", "d.png", "notes.txt"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    (finding,) = both(folder).findings
    assert (finding.code, finding.severity) == ("image-unlisted", "warning")
    assert "2 images of the folder" in finding.message
    assert "c.png, d.png" in finding.message


def test_a_size_that_is_not_the_images_own(folder: Path) -> None:
    wrong = [{**IMAGES[0], "width": 640, "height": 480}, IMAGES[1]]
    data = both(folder, images=wrong)
    assert codes(data) == ["coco-image-size"] * 2
    assert "64 x 48" in data.findings[0].message
    assert "640 x 480" in data.findings[0].message
    swapped = [{**IMAGES[0], "width": 48, "height": 64}, IMAGES[1]]
    assert "EXIF" in both(folder, images=swapped).findings[0].fix


def test_one_file_alone_is_divided_by_names(folder: Path) -> None:
    image = (folder / "a.png").read_bytes()
    images = [{"id": i, "file_name": f"{i:03}.png"} for i in range(40)]
    for entry in images:
        (folder / entry["file_name"]).write_bytes(image)
    (folder / "a.png").unlink()
    (folder / "b.png").unlink()
    file = put(folder / "all.json", images=images, annotations=[])
    data = read(file, holdout=0.25)
    held = [Path(f).name for f in data.splits["val"].images]
    assert 4 <= len(held) <= 16
    (finding,) = data.findings
    assert (finding.code, finding.severity) == ("holdout", "warning")
    assert f"{len(held)} of 40 images" in finding.message
    put(file, images=images[5:], annotations=[])
    again = [Path(f).name for f in read(file, holdout=0.25).splits["val"].images]
    assert again == [n for n in held if n >= "005"], "the others keep their place"


def test_one_image_cannot_be_divided(folder: Path) -> None:
    data = read(put(folder / "all.json", images=IMAGES[:1]))
    assert [f.code for f in data.findings if f.severity == "error"] == ["split-empty"]


def test_the_share_that_is_held_out_is_a_share() -> None:
    assert parse_options("coco", Coco, {"holdout": 0.3}) == (Coco(holdout=0.3), [])
    for wrong in (0, 1, -1, "much"):
        assert parse_options("coco", Coco, {"holdout": wrong})[1]


@given(st.lists(st.text(), unique=True, min_size=2), st.floats(0.01, 0.99))
def test_something_is_held_out_and_something_is_not(names: list[str], share: float) -> None:
    assert 0 < sum(held_out(names, share)) < len(names)
    assert sum(held_out(names, share)) <= max(1, 2 * share * len(names) + 0.5)


# What is wrong


def one(data: Description, code: str) -> Finding:
    found = {f.code: f for f in data.findings}
    assert code in found, data.findings
    return found[code]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"annotations": [{**DOG, "image_id": 99}]}, "coco-unknown-image", "annotation 1 is of image 99"),
        ({"annotations": [{**DOG, "image_id": [1]}]}, "coco-unknown-image", "[1]"),
        ({"annotations": [{**DOG, "category_id": 99}]}, "coco-unknown-category", "category 99"),
        ({"annotations": [DOG, {**DOG, "category_id": 3}]}, "coco-duplicate-id", "id 1"),
        ({"annotations": [{**BALL, "bbox": None}]}, "coco-bbox", "annotation 2 has no bbox"),
        ({"annotations": [{**DOG, "bbox": [1, 2, 3]}]}, "coco-bbox", "[1, 2, 3]"),
        ({"annotations": [{**DOG, "bbox": [1, 2, 3, "4"]}]}, "coco-bbox", "not four numbers"),
        ({"annotations": [{**DOG, "bbox": [1, 2, 3, float("nan")]}]}, "coco-bbox", "not four numbers"),
        ({"annotations": [{**DOG, "bbox": [1, 2, 3, 10**400]}]}, "coco-bbox", "not four numbers"),
        ({"annotations": [{**DOG, "keypoints": [1, 2, 2]}]}, "coco-keypoints", "3 numbers as keypoints"),
        ({"annotations": [{**DOG, "keypoints": "none"}]}, "coco-keypoints", "not a list"),
        ({"annotations": [7]}, "coco-entry", "entry 1 of annotations"),
        ({"annotations": None}, "coco-key", "'annotations'"),
        ({"images": {}}, "coco-key", "'images'"),
        ({"images": [{"file_name": "a.png"}]}, "coco-entry", "entry 1 of images has no id"),
        ({"images": [{"id": 10}, IMAGES[1]]}, "coco-entry", "file_name"),
        ({"images": [*IMAGES, {"id": 5, "file_name": "a.png"}]}, "coco-duplicate-image", "a.png"),
        ({"images": [*IMAGES, IMAGES[0]]}, "coco-duplicate-id", "10"),
        ({"categories": [*CATEGORIES, {"id": 9}]}, "coco-entry", "category 9"),
        ({"categories": [*CATEGORIES, {"id": 9, "name": "x", "keypoints": 3}]}, "coco-keypoint-names", "'x'"),
        (
            {"categories": [*CATEGORIES, {"id": 9, "name": "x", "keypoints": ["a"]}]},
            "coco-keypoints-differ",
            "dog 3, x 1",
        ),
        ({"categories": []}, "names-empty", "no categories"),
        ({"images": []}, "split-empty", "no images"),
    ],
)
def test_faults_are_reported_with_their_line(folder: Path, changes: dict[str, Any], code: str, said: str) -> None:
    finding = one(both(folder, **changes), code)
    assert finding.severity == "error"
    assert said in finding.message
    assert finding.file == str(folder / "all.json")
    if "annotations" in changes and isinstance(changes["annotations"], list):
        assert finding.line is not None
        before = (folder / "all.json").read_text().splitlines()[: finding.line]
        assert any('"annotations"' in line for line in before)


def test_categories_with_fewer_keypoints_are_reported_how_to_be_padded(folder: Path) -> None:
    finding = one(
        both(folder, categories=[*CATEGORIES, {"id": 9, "name": "x", "keypoints": ["a"]}]), "coco-keypoints-differ"
    )
    assert "for x, 2 more names in keypoints" in finding.fix
    assert "2 x 0, 0, 0 at the end of keypoints" in finding.fix
    padded = both(folder, categories=[*CATEGORIES, {"id": 9, "name": "x", "keypoints": ["a", "unused_1", "unused_2"]}])
    assert "coco-keypoints-differ" not in {f.code for f in padded.findings}


def test_a_fault_of_one_annotation_is_its_images(folder: Path) -> None:
    finding = one(both(folder, annotations=[{**BALL, "bbox": None}]), "coco-bbox")
    assert finding.image == str(folder / "a.png")
    assert finding.split in {"train", "val"}


def test_categories_have_to_agree(folder: Path) -> None:
    train = put(folder / "train.json")
    val = put(folder / "val.json", categories=CATEGORIES[:1], annotations=[DOG])
    finding = one(read(train, val), "coco-categories")
    assert "ball" in finding.message
    assert finding.file == str(val)


def test_keypoints_without_names_are_not_read_and_that_is_said(folder: Path) -> None:
    bare = [{"id": 7, "name": "dog"}, CATEGORIES[1]]
    finding = one(both(folder, categories=bare), "coco-keypoint-names")
    assert (finding.severity, "1 annotation with" in finding.message) == ("warning", True)


def test_names_that_lead_out_of_the_folder(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (folder / "a.png").rename(inner / "a.png")
    file = put(folder / "all.json", images=[IMAGES[0], {"id": 4, "file_name": "../b.png"}])
    data = read(file, file, images=(str(inner),))
    assert one(data, "path-outside").severity == "warning"
    assert len(data.splits["train"]) == 2


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b"", "coco-syntax", 1),
        (b"{\n", "coco-syntax", 2),
        (b'{"images": [],\n "annotations": [\n {"id": 1,}\n]}', "coco-syntax", 3),
        (b'{"images": [] "annotations": []}', "coco-syntax", 1),
        (b'{"images": [{"id": 1}\n', "coco-syntax", 2),
        (b'{"images": [1, 2\n}', "coco-syntax", 2),
        (b'{"a": 1}\n{"b": 2}', "coco-syntax", 2),
        (b"{1: 2}", "coco-syntax", 1),
        (b"[1, 2]", "coco-key", 1),
        (b"null", "coco-key", 1),
        (b'{"a": "\xff"}', "coco-encoding", 1),
        (b'\n{"a":' + b"[" * 100_000, "coco-syntax", 2),
        (b'{"a":\n' + b"1" * 10_000 + b"}", "coco-syntax", None),
        (b"\xff\xfe{\x00", "coco-encoding", 1),
    ],
    ids=lambda v: v[:24] if isinstance(v, bytes) else None,
)
def test_text_that_is_no_coco_file(folder: Path, text: bytes, code: str, line: int | None) -> None:
    file = folder / "all.json"
    file.write_bytes(text)
    finding = next(f for f in read(file, file).findings if f.file == str(file))
    assert (finding.code, finding.severity) == (code, "error")
    assert line is None or finding.line == line


def test_a_file_that_is_missing_or_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "none.json"
    assert codes(read(file, file)) == ["coco-unreadable"]
    os.mkfifo(folder / "pipe.json")
    assert codes(read(folder / "pipe.json")) == ["coco-unreadable"]
    assert "kpt_shape" not in EXTENSION.hooks.sniff_dataset(str(folder / "pipe.json"))
    with file.open("wb") as sparse:
        sparse.truncate(2 << 30)
    assert codes(read(file, file)) == ["coco-too-large"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(st.sampled_from(["id", "name", "file_name", "image_id", "bbox", "keypoints", "width"]), v)
        ),
    )
)
def test_any_content_is_reported_and_nothing_raises(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    for key in ("images", "annotations", "categories"):
        for content in (value, [value], {"id": 1, "name": "x", "file_name": "x.png", "bbox": value}):
            file = put(folder / "all.json", coco(**{key: content}))
            read(file, file)


# Boxes that are made from keypoints


def without_box(annotation: dict[str, Any], box: Any) -> dict[str, Any]:
    rest = {k: v for k, v in annotation.items() if k != "bbox"}
    return rest if box is ... else {**rest, "bbox": box}


@pytest.mark.parametrize("box", [..., None, [], [0, 0, 0, 0], [10, 8, 6, 0], [16.0, 12.0, 0.0, 0.0]])
def test_an_annotation_without_a_box_has_one_around_its_keypoints(folder: Path, box: Any) -> None:
    data = both(folder, annotations=[without_box(DOG, box), BALL])
    assert codes(data) == ["coco-bbox-derived"] * 2
    finding = one(data, "coco-bbox-derived")
    assert finding.severity == "warning"
    assert finding.message.startswith("1 object without a box")
    assert finding.line is not None
    # The points reach from (10, 8) to (16, 12): 6 x 4 and 0.6 on each side.
    row = rows_of(data, "train", "a.png")[0]
    assert np.multiply(row[1:5], (64, 48, 64, 48)) == pytest.approx([13, 10, 7.2, 5.2], abs=1e-4)
    assert row[5:8] == [0.25, 0.25, 2], "keypoints are what they were"


def test_keypoints_that_no_category_names_still_make_a_box(folder: Path) -> None:
    bare = [{"id": 7, "name": "dog"}, CATEGORIES[1]]
    data = both(folder, categories=bare, annotations=[without_box(DOG, [0, 0, 0, 0])])
    assert set(codes(data)) == {"coco-bbox-derived", "coco-keypoint-names"}
    assert len(rows_of(data, "train", "a.png")[0]) == 5


@pytest.mark.parametrize("points", [None, []])
def test_an_annotation_may_have_a_box_alone(folder: Path, points: Any) -> None:
    data = both(folder, annotations=[{**DOG, "keypoints": points}])
    assert codes(data) == []
    assert rows_of(data, "train", "a.png")[0][5:] == [0] * 9


def test_the_margin_of_such_boxes_can_be_set(folder: Path) -> None:
    assert parse_options("coco", Coco, {"margin": 0.5})[0] == Coco(margin=0.5)
    assert parse_options("coco", Coco, {"margin": -1})[1]
    file = put(folder / "all.json", annotations=[without_box(DOG, [])])
    row = rows_of(read(file, file, margin=0.5), "train", "a.png")[0]
    assert np.multiply(row[3:5], (64, 48)) == pytest.approx([12, 10], abs=1e-4)


def test_one_keypoint_alone_has_a_box_too(folder: Path) -> None:
    lone = {**DOG, "bbox": [16, 12, 0, 0], "keypoints": [16, 12, 2, 40, 40, 0, 0, 0, 0]}
    row = rows_of(both(folder, annotations=[lone]), "train", "a.png")[0]
    assert np.multiply(row[1:5], (64, 48, 64, 48)) == pytest.approx([16, 12, 3.2, 3.2], abs=1e-4)
    assert row[8:11] == [0, 0, 0], "a point outside of the image, as CVAT marks it, is not labelled"


def test_an_annotation_that_says_nothing_is_counted(folder: Path) -> None:
    nothing = {**DOG, "id": 5, "bbox": [0, 0, 0, 0], "keypoints": [0] * 9}
    data = both(folder, annotations=[DOG, nothing, BALL])
    finding = one(data, "coco-nothing-labelled")
    assert (finding.severity, finding.message[:12]) == ("warning", "1 annotation")
    assert len(rows_of(data, "train", "a.png")) == 2
    assert one(both(folder, annotations=[{**nothing, "bbox": None}]), "coco-bbox").severity == "error"


# What CVAT exports


def cvat_export(folder: Path, *subsets: str) -> Path:
    """Write what CVAT's export as COCO keypoints has: a skeleton next to a label of boxes, and ids of tracks."""
    categories = [
        {"id": 1, "name": "box", "supercategory": "", "keypoints": [], "skeleton": []},
        {
            "id": 2,
            "name": "mouse",
            "supercategory": "",
            "keypoints": ["nose", "left_ear", "right_ear"],
            "skeleton": [[1, 2], [1, 3]],
        },
    ]
    for subset in subsets:
        home = folder / "images" / subset
        home.mkdir(parents=True)
        images, annotations = [], []
        for i in range(4):
            name = f"frame_{i:06d}.PNG"
            cv2.imwrite(str(home / name), np.zeros((48, 64, 3), np.uint8))
            about = {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
            images.append({"id": i + 1, "width": 64, "height": 48, "file_name": name, **about})
            points = [10.5, 10.0, 2, 20.0, 12.25, 1, 30.0, 40.0, 0]
            attributes = {"occluded": False, "track_id": 7, "keyframe": i == 0}
            annotations.append(
                {
                    "id": i + 1,
                    "image_id": i + 1,
                    "category_id": 2,
                    "segmentation": [],
                    "area": 21.375,
                    "bbox": [10.5, 10.0, 9.5, 2.25],
                    "iscrowd": 0,
                    "attributes": attributes,
                    "keypoints": points,
                    "num_keypoints": 2,
                }
            )
        content = {"licenses": [{"name": "", "id": 0, "url": ""}], "info": {"year": ""}, "categories": categories}
        put(
            folder / "annotations" / f"person_keypoints_{subset}.json",
            {**content, "images": images, "annotations": annotations},
        )
    return folder


def test_what_cvat_exports_as_coco(tmp_path: Path) -> None:
    export = cvat_export(tmp_path, "default")
    for source in (export, export / "annotations" / "person_keypoints_default.json"):
        data = read(source)
        assert codes(data) == []
        assert (data["names"], data["kpt_shape"]) == ({0: "box", 1: "mouse"}, [3, 3])
        assert data["kpt_names"] == {i: ["nose", "left_ear", "right_ear"] for i in (0, 1)}
        rows = [row for s in data.splits.values() for row in s.table(14)[1].tolist()]
        assert len(rows) == 4
        assert [row[7] for row in rows] == [2] * 4
        assert [row[10:14] for row in rows] == [[1, 0, 0, 0]] * 4, "occluded, and outside of the image"
    assert "kpt_shape" in EXTENSION.hooks.sniff_dataset(str(export))


def test_the_subsets_of_a_project_of_cvat_are_the_splits(tmp_path: Path) -> None:
    data = read(cvat_export(tmp_path, "Train", "Validation"))
    assert codes(data) == []
    assert {n: len(s) for n, s in data.splits.items()} == {"train": 4, "val": 4}
    assert {Path(f).parent.name for f in data.splits["val"].images} == {"Validation"}


# Numbers


@given(st.lists(st.floats(-10, 3000), min_size=1, max_size=30), st.integers(1, 3000))
def test_shares_are_rounded_as_printing_them_would(pixels: list[float], size: int) -> None:
    assert shares(pixels, size).tolist() == [float(f"{p / size:.6f}") for p in pixels]


@given(st.lists(st.tuples(*[st.floats(0, 3000)] * 4), min_size=1, max_size=30), st.integers(1, 3000))
def test_boxes_become_centres_and_sizes(boxes: list[Any], size: int) -> None:
    found = box_shares(boxes, [(size, size)] * len(boxes))
    wanted = [((x + w / 2) / size, (y + h / 2) / size, w / size, h / size) for x, y, w, h in boxes]
    np.testing.assert_allclose(found, wanted, atol=0.51e-6)


@pytest.mark.skipif(not MOUSE.exists(), reason="the dataset is not here")
def test_the_forms_of_one_dataset_have_the_same_numbers() -> None:
    files = [MOUSE / "annotations" / f"keypoints_{s}.json" for s in ("train", "val")]
    data = read(*files)
    assert codes(data) == []
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 92, "val": 24}
    for split in data.splits.values():
        for i, image in enumerate(split.images):
            text = Path(image.replace("/images/", "/labels/")).with_suffix(".txt").read_text()
            written = [[float(w) for w in line.split()] for line in text.splitlines()]
            rows = [split.values[split.starts[r] :][: split.row_lengths[r]].tolist() for r in split.rows_of(i)]
            assert rows == written, "to the last bit"


@pytest.mark.skipif(not PEOPLE.exists(), reason="the dataset is not here")
def test_people() -> None:
    data = read(PEOPLE)
    assert codes(data) == []
    assert (data["names"], data["kpt_shape"]) == ({0: "person"}, [17, 3])
    assert sum(len(s.row_lengths) for s in data.splits.values()) == 14
