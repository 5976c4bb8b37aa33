"""Labels of CVAT, Label Studio and labelme, read as they are: boxes, keypoints, images, splits, and what is wrong."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.label_tool_files import (
    LABELS,
    cvat_images,
    cvat_meta,
    cvat_skeleton,
    cvat_video,
    draw,
    labelme_file,
    labelme_folder,
    labelme_shape,
    labelme_shapes,
    put,
    studio_box,
    studio_file,
    studio_min,
    studio_point,
    studio_regions,
    studio_task,
)
from trainer_detect.formats import coco, cvat, label_studio, labelme
from trainer_host import DataContext, Finding
from trainer_host.data.description import Description

EXTENSIONS = {"cvat": cvat, "label-studio": label_studio, "labelme": labelme}
OPTIONS = {
    "cvat": cvat.CvatOptions,
    "label-studio": label_studio.LabelStudioOptions,
    "labelme": labelme.LabelmeOptions,
}


def read(plugin: str, *sources: Path | str, images: tuple[Path, ...] = (), **options: Any) -> Description:
    ctx = DataContext(
        task="pose",
        engine_task="pose",
        args=SimpleNamespace(),
        options={plugin: OPTIONS[plugin](**options)},
        source=",".join(map(str, sources)),
        images=tuple(map(str, images)),
    )
    found = EXTENSIONS[plugin].EXTENSION.hooks.read_dataset(ctx)
    assert isinstance(found, Description)
    return found


def who_reads(source: Path | str) -> list[str]:
    """Return the extensions that take a dataset for theirs."""
    found = {**EXTENSIONS, "coco": coco}
    return [name for name, module in found.items() if module.EXTENSION.hooks.sniff_dataset(str(source)) is not None]


def reported(plugin: str, source: Path) -> set[str]:
    keys = EXTENSIONS[plugin].EXTENSION.hooks.sniff_dataset(str(source))
    assert keys is not None
    return set(keys)


def codes(data: Description) -> set[str]:
    return {f.code for f in data.findings} - {"holdout", "image-unlisted"}


def one(data: Description, code: str) -> Finding:
    found = [f for f in data.findings if f.code == code]
    assert found, data.findings
    return found[0]


def rows(data: Description) -> dict[str, list[list[float]]]:
    """Return the rows of each image by its name, boxes and points in pixels of an image of 64 x 48."""
    found = {}
    for split in data.splits.values():
        for i, image in enumerate(split.images):
            found[Path(image).name] = [
                in_pixels(split.values[split.starts[r] :][: split.row_lengths[r]].tolist()) for r in split.rows_of(i)
            ]
    return found


def in_pixels(row: list[float]) -> list[float]:
    row[1:5] = [row[1] * 64, row[2] * 48, row[3] * 64, row[4] * 48]
    for i in range(5, len(row), 3):
        row[i : i + 2] = [row[i] * 64, row[i + 1] * 48]
    return [round(v, 2) for v in row]


def line_of(finding: Finding) -> str:
    assert finding.file
    assert finding.line
    return Path(finding.file).read_text(encoding="utf-8").splitlines()[finding.line - 1]


# CVAT


def test_skeletons_of_cvat(tmp_path: Path) -> None:
    file = cvat_images(tmp_path)
    for source in (file, tmp_path):
        assert who_reads(source) == ["cvat"]
        assert {"names", "kpt_shape"} <= reported("cvat", source)
        data = read("cvat", source)
        assert codes(data) == {"annotation-box-derived"}
        assert (data["names"], data["kpt_shape"]) == ({0: "arena", 1: "mouse"}, [3, 3])
        assert data["kpt_names"][1] == ["nose", "left_ear", "right_ear"]
        assert data["skeleton"] == [[0, 1], [0, 2]]
        found = rows(data)
        assert len(found) == 8
        # The points reach from (10, 10) to (20, 12.25), and a side has at least a twentieth of 64 pixels.
        assert found["mouse_0.jpg"] == [[1, 15, 11.13, 12, 4.25, 10, 10, 2, 20, 12.25, 1, 0, 0, 0]]
    split = data.splits["train"]
    text = file.read_text().splitlines()
    assert all("<skeleton" in text[line - 1] for line in split.line)


def test_boxes_of_cvat_and_the_box_of_a_skeletons_group(tmp_path: Path) -> None:
    box = '    <box label="arena" source="manual" occluded="0" xtl="8.00" ytl="6.00" xbr="40.00" ybr="30.00"{}></box>\n'
    group = ' group_id="3"'
    shapes = cvat_skeleton(10, group) + box.format(group) + box.format("")
    data = read("cvat", cvat_images(tmp_path, shapes=shapes))
    assert codes(data) == set()
    assert rows(data)["mouse_0.jpg"] == [
        [1, 24, 18, 32, 24, 10, 10, 2, 20, 12.25, 1, 0, 0, 0],
        [0, 24, 18, 32, 24, *[0] * 9],
    ]


def test_cvat_without_keypoints_is_for_boxes(tmp_path: Path) -> None:
    labels = "<labels><label><name>mouse</name><type>rectangle</type><attributes></attributes></label>"
    shapes = """<box label="mouse" xtl="8" ytl="6" xbr="40" ybr="30" rotation="90.00"></box>
    <polygon label="mouse" points="8.00,6.00;40.00,6.00;8.00,30.00"></polygon>
    <mask label="mouse" rle="1, 2" left="8" top="6" width="32" height="24"></mask>
    <ellipse label="mouse" cx="24" cy="18" rx="16" ry="12"></ellipse>
    <polyline label="mouse" points="1,2;3,4"></polyline>
    <tag label="mouse" source="manual"></tag>
"""
    data = read("cvat", cvat_images(tmp_path, 3, shapes, labels))
    assert "kpt_shape" not in data
    assert "kpt_shape" not in reported("cvat", tmp_path)
    assert codes(data) == {"annotation-skipped", "annotation-boxed"}
    assert one(data, "annotation-skipped").message == "labels of other kinds are skipped: 3 polylines, 3 tags."
    assert "3 polygons" in one(data, "annotation-boxed").message
    assert rows(data)["mouse_0.jpg"] == [[0, 24, 18, 24, 32], *[[0, 24, 18, 32, 24]] * 3]


def test_points_of_cvat_that_are_no_skeleton(tmp_path: Path) -> None:
    labels = "".join(
        f"<label><name>{n}</name><type>{t}</type></label>"
        for n, t in (("mouse", "rectangle"), ("nose", "points"), ("paw", "points"))
    )
    shapes = """<box label="mouse" xtl="8" ytl="6" xbr="40" ybr="30" group_id="1"></box>
    <points label="nose" points="10,10" occluded="1" group_id="1"></points>
    <points label="paw" points="1,2;3,4"></points>
"""
    data = read("cvat", cvat_images(tmp_path, 2, shapes, f"<labels>{labels}"))
    assert codes(data) == {"annotation-box-derived"}
    assert data["names"] == {0: "mouse", 1: "paw"}, "a label that only names points is not a class"
    assert data["kpt_names"][0] == ["1", "2", "nose"]
    found = rows(data)["mouse_0.jpg"]
    assert [row[0] for row in found] == [1, 0]
    assert found[0][5:] == [1, 2, 2, 3, 4, 2, 0, 0, 0]
    assert found[1][11:] == [10, 10, 1]


@pytest.mark.parametrize(("start", "step"), [(0, 1), (10, 3)])
def test_video_of_cvat(tmp_path: Path, start: int, step: int) -> None:
    file = cvat_video(tmp_path, start=start, step=step)
    data = read("cvat", file)
    assert codes(data) == {"annotation-box-derived"}
    found = rows(data)
    assert len(found) == 8
    assert found[f"frame_{start:06d}.PNG"][0][5:] == [10, 10, 2, 20, 12, 1, 0, 0, 0]
    assert found[f"frame_{start + 7 * step:06d}.PNG"] == [], "the mouse left, so that it is background"


def test_a_video_that_cvat_exports_for_images(tmp_path: Path) -> None:
    text = cvat_meta("interpolation", start_frame=0, stop_frame=3)
    for i in range(4):
        draw(tmp_path / "images" / f"frame_{i:06d}.PNG", i)
        text += f'<image id="{i}" name="frame_{i:06d}" width="64" height="48">{cvat_skeleton(10)}</image>\n'
    put(tmp_path / "annotations.xml", f"{text}</annotations>")
    data = read("cvat", tmp_path)
    assert codes(data) == {"annotation-box-derived"}
    assert [len(found) for found in rows(data).values()] == [1] * 4


def test_videos_of_a_project_of_cvat(tmp_path: Path) -> None:
    text = cvat_meta("interpolation", start_frame=0, stop_frame=3)
    for task, subset in ((1, "a"), (2, "b"), (3, "c")):
        text += f'<track id="{task}" label="arena" task_id="{task}" subset="{subset}" source="manual">\n'
        for i in range(2):
            draw(tmp_path / "images" / subset / f"frame_{i:06d}.PNG", 10 * task + i)
            text += f'<box frame="{i}" outside="0" occluded="0" keyframe="1" xtl="8" ytl="6" xbr="40" ybr="30"></box>\n'
        text += "</track>\n"
    put(tmp_path / "annotations.xml", f"{text}</annotations>")
    data = read("cvat", tmp_path)
    assert codes(data) == set()
    assert sum(len(s) for s in data.splits.values()) == 6
    assert "task " in one(data, "holdout").message


def test_frames_of_a_video_that_are_not_there(tmp_path: Path) -> None:
    file = cvat_video(tmp_path)
    for number in (1, 2, 7):
        (tmp_path / "images" / f"frame_{number:06d}.PNG").unlink()
    data = read("cvat", file)
    finding = one(data, "annotation-frames")
    assert finding.severity == "warning"
    assert finding.message.startswith("2 labelled frames of") or finding.message.startswith("1 labelled frame of")
    assert len(rows(data)) == 5
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    data = read("cvat", file)
    finding = one(data, "annotation-images")
    assert [f.code for f in data.findings if f.severity == "error"] == ["annotation-images"]
    assert "ffmpeg -i mice.mp4 -start_number 0 images/frame_%06d.png" in finding.fix


def test_subsets_and_tasks_of_a_project_of_cvat(tmp_path: Path) -> None:
    text = cvat_meta()
    for i, subset in enumerate(("Train", "Train", "Validation")):
        draw(tmp_path / "images" / subset / f"{i}.jpg", i)
        text += f'<image id="{i}" name="{i}.jpg" subset="{subset}" task_id="{i}" width="64" height="48"></image>\n'
    put(tmp_path / "annotations.xml", f"{text}</annotations>")
    data = read("cvat", tmp_path)
    assert {n: [Path(f).name for f in s.images] for n, s in data.splits.items()} == {
        "train": ["0.jpg", "1.jpg"],
        "val": ["2.jpg"],
    }
    put(tmp_path / "annotations.xml", f"{text}</annotations>".replace("Validation", "other").replace("Train", "other"))
    for i in range(3):
        draw(tmp_path / "images" / "other" / f"{i}.jpg", i)
    data = read("cvat", tmp_path)
    assert "task " in one(data, "holdout").message, "whole tasks are held out"


def test_labels_of_several_kinds_of_animals(tmp_path: Path) -> None:
    rat = "<label><name>rat</name><type>skeleton</type></label><label><name>tail</name><parent>rat</parent></label>"
    data = read("cvat", cvat_images(tmp_path, labels=LABELS + rat))
    assert data["kpt_shape"] == [4, 3]
    assert data["kpt_names"][1] == ["nose", "left_ear", "right_ear", "tail"]
    assert one(data, "annotation-keypoints-differ").severity == "warning"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('<box label="mouse" xtl="x" ytl="1" xbr="2" ybr="3"></box>', "'x' as xtl"),
        ('<box label="mouse" xtl="nan" ytl="1" xbr="2" ybr="3"></box>', "'nan' as xtl"),
        ('<box label="mouse" ytl="1" xbr="2" ybr="3"></box>', "has no xtl"),
        ('<box xtl="0" ytl="1" xbr="2" ybr="3"></box>', "has no label"),
        ('<points label="mouse" points="1,2,3"></points>', "'1,2,3' as points"),
        ('<skeleton label="mouse"><points label="nose" points="1,2;3,4"></points></skeleton>', "2 places"),
        ('<polygon label="mouse" points=""></polygon>', "as points"),
    ],
)
def test_faulty_shapes_of_cvat_are_reported_with_their_line(tmp_path: Path, shape: str, said: str) -> None:
    finding = one(read("cvat", cvat_images(tmp_path, 2, f"    {shape}\n")), "annotation-entry")
    assert said in finding.message
    assert finding.image
    assert shape.split()[0] in line_of(finding)


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotations>&y;</annotations>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations><version>&x;</version></annotations>'


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("<annotations>\n<image>\n</annotations>", "annotation-syntax", 3),
        ("<annotations>", "annotation-syntax", 1),
        (BOMB, "annotation-syntax", 1),
        (FILE, "annotation-syntax", 1),
        ("<annotations>" + "<a>" * 1000, "annotation-syntax", 1),
        ("<annotations><version>1.1</version></annotations>", "annotation-key", 1),
        ('<?xml version="1.0" encoding="x-none"?><annotations></annotations>', "annotation-syntax", 1),
        ("<annotations><image id='0'></image></annotations>", "annotation-entry", 1),
    ],
)
def test_text_that_cvat_does_not_write(tmp_path: Path, text: str, code: str, line: int) -> None:
    data = read("cvat", put(tmp_path / "annotations.xml", text))
    assert (one(data, code).line, one(data, code).severity) == (line, "error")


def test_other_xml_is_left_to_others(tmp_path: Path) -> None:
    assert who_reads(put(tmp_path / "voc.xml", "<annotation><object></object></annotation>")) == []
    assert who_reads(tmp_path / "none.xml") == ["cvat"]
    assert codes(read("cvat", tmp_path / "none.xml")) == {"annotation-unreadable"}
    os.mkfifo(tmp_path / "pipe.xml")
    assert who_reads(tmp_path / "pipe.xml") == []
    with (tmp_path / "large.xml").open("wb") as sparse:
        sparse.write(b"<annotations>")
        sparse.truncate(2 << 30)
    assert codes(read("cvat", tmp_path / "large.xml")) == {"annotation-too-large"}


# Label Studio


@pytest.mark.parametrize("short", [False, True], ids=["json", "json-min"])
def test_label_studio(tmp_path: Path, short: bool) -> None:
    file = studio_file(tmp_path, short)
    assert who_reads(file) == ["label-studio"]
    assert {"names", "kpt_shape"} <= reported("label-studio", file)
    data = read("label-studio", file)
    assert codes(data) == set()
    assert (data["names"], data["kpt_shape"], data["kpt_names"]) == (
        {0: "mouse"},
        [2, 3],
        {0: ["left_ear", "nose"]},
    ), "names that no label declares are in order of the alphabet"
    assert rows(data) == {f"mouse_{i}.png": [[0, 19.2, 14.4, 25.6, 19.2, 25.6, 12, 2, 16, 12, 2]] for i in range(8)}
    text = file.read_text().splitlines()
    assert all(text[line - 1].strip() == "{" for s in data.splits.values() for line in s.line)


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/18/0a1b2c3d-my%20mouse.png",
        "/data/upload/18/0a1b2c3d-my mouse.png",
        "/data/local-files/?d=photos/my%20mouse.png",
        "http://localhost:8080/data/upload/1/0a1b2c3d-my%20mouse.png?token=1",
        "https://example.org/photos/my%20mouse.png",
        "s3://bucket/photos/my%20mouse.png",
        "gs://bucket/my mouse.png",
        "C:\\photos\\my mouse.png",
        "/somewhere/else/my mouse.png",
        "my mouse.png",
        "../../my mouse.png",
    ],
)
@pytest.mark.parametrize("place", [".", "images", "photos", "../images"])
def test_images_of_label_studio_are_found(tmp_path: Path, image: str, place: str) -> None:
    home = tmp_path / "labels"
    draw(home / place / "my mouse.png")
    draw(home / place / "other.png", 1)
    file = put(home / "export.json", [studio_task(1, image), studio_task(2, "/data/upload/1/ffffffff-other.png")])
    data = read("label-studio", file, images=(home / "photos",) if place == "photos" else ())
    assert codes(data) == set()
    assert set(rows(data)) == {"my mouse.png", "other.png"}


def test_an_image_under_the_name_of_its_upload(tmp_path: Path) -> None:
    for i in range(2):
        draw(tmp_path / f"0a1b2c3d-{i}.png", i)
    tasks = [studio_task(i, f"/data/upload/18/0a1b2c3d-{i}.png") for i in range(2)]
    assert codes(read("label-studio", put(tmp_path / "a.json", tasks))) == set()


def studio(folder: Path, *tasks: dict[str, Any]) -> Description:
    for i in range(len(tasks) + 1):
        draw(folder / f"{i}.png", i)
    return read("label-studio", put(folder / "a.json", [*tasks, studio_task(99, f"{len(tasks)}.png")]))


def test_which_points_belong_to_which_box(tmp_path: Path) -> None:
    second = studio_box("box2", "mouse", 50, 50, 40, 40)
    loose = studio_point("p3", "nose", 60, 60)
    related = [
        studio_point("p4", "nose", 1, 1),
        {"type": "relation", "from_id": "box2", "to_id": "p4", "direction": "right"},
    ]
    for regions in ([*studio_regions(False), second, loose], [*studio_regions(), second, *related]):
        data = studio(tmp_path, studio_task(1, "0.png", regions))
        assert codes(data) == set()
        assert sorted(sum(row[7::3]) for row in rows(data)["0.png"]) == [2, 4]
    outside = studio(tmp_path, studio_task(1, "0.png", [*studio_regions(), second, studio_point("p4", "nose", 1, 1)]))
    finding = one(outside, "annotation-group")
    assert "unknown object of the point 'nose'; no box is around it" in finding.message
    assert finding.image == str(tmp_path / "0.png")
    twice = studio(tmp_path, studio_task(1, "0.png", [*studio_regions(), studio_point("p4", "nose", 30, 30)]))
    assert "a second point 'nose'" in one(twice, "annotation-group").message


def test_points_without_any_box_are_one_object(tmp_path: Path) -> None:
    data = studio(tmp_path, studio_task(1, "0.png", studio_regions(False)[:2]))
    assert codes(data) == {"annotation-box-derived"}
    assert data["names"] == {0: "mouse", 1: "object"}
    assert rows(data)["0.png"][0][5:] == [25.6, 12, 2, 16, 12, 2]


def test_tasks_without_an_annotation_and_with_several(tmp_path: Path) -> None:
    bare = {**studio_task(1, "0.png"), "annotations": []}
    skipped = studio_task(2, "1.png")
    skipped["annotations"][0]["was_cancelled"] = True
    nothing = studio_task(3, "2.png", [])
    several = studio_task(4, "3.png", [])
    late = {**several["annotations"][0], "result": studio_regions(), "updated_at": "2026-01-01T00:00:00Z"}
    several["annotations"].append(late)
    data = studio(tmp_path, bare, skipped, nothing, several)
    assert codes(data) == {"annotation-unlabelled", "annotation-several"}
    assert one(data, "annotation-unlabelled").message.startswith("2 tasks without")
    found = rows(data)
    assert set(found) == {"2.png", "3.png", "4.png"}
    assert (len(found["2.png"]), len(found["3.png"])) == (0, 1)


def test_the_ground_truth_is_used(tmp_path: Path) -> None:
    task = studio_task(1, "0.png", [])
    task["annotations"][0]["ground_truth"] = True
    task["annotations"].append(
        {**task["annotations"][0], "ground_truth": False, "result": studio_regions(), "updated_at": "2099"}
    )
    assert rows(studio(tmp_path, task))["0.png"] == []


def test_short_tasks_of_one_image_are_one(tmp_path: Path) -> None:
    draw(tmp_path / "0.png"), draw(tmp_path / "1.png", 1)
    tasks = [studio_min(1, "0.png"), studio_min(1, "0.png", [], updated_at="2099"), studio_min(2, "1.png")]
    tasks.append({"image": "2.png", "id": 3, "annotation_id": None})
    data = read("label-studio", put(tmp_path / "a.json", tasks))
    assert codes(data) == {"annotation-several", "annotation-unlabelled"}
    assert rows(data)["0.png"] == []


def test_other_regions_of_label_studio(tmp_path: Path) -> None:
    box = studio_box("a", "mouse", 10, 10, 40, 40)
    turned = {**box, "value": {**box["value"], "x": 50, "y": 10, "width": 30, "height": 80, "rotation": 90}}
    polygon = {
        **box,
        "id": "b",
        "type": "polygonlabels",
        "value": {"points": [[10, 10], [50, 10], [10, 50]], "closed": True, "polygonlabels": ["mouse"]},
    }
    ellipse = {
        **box,
        "id": "c",
        "type": "ellipselabels",
        "value": {"x": 30, "y": 30, "radiusX": 20, "radiusY": 20, "rotation": 0, "ellipselabels": ["mouse"]},
    }
    brush = {**box, "id": "d", "type": "brushlabels", "value": {"format": "rle", "rle": [1], "brushlabels": ["mouse"]}}
    choice = {"id": "e", "type": "choices", "value": {"choices": ["good"]}, "to_name": "image", "from_name": "c"}
    pair = [
        {
            **box,
            "id": "f",
            "type": "rectangle",
            "value": {k: v for k, v in box["value"].items() if k != "rectanglelabels"},
        }
    ]
    pair.append({**pair[0], "type": "labels", "value": {**pair[0]["value"], "labels": ["rat"]}})
    data = studio(tmp_path, studio_task(1, "0.png", [turned, polygon, ellipse, brush, choice, *pair]))
    assert codes(data) == {"annotation-boxed", "annotation-skipped"}
    assert one(data, "annotation-skipped").message == "labels of other kinds are skipped: 1 brush mask."
    found = [row[:5] for row in rows(data)["0.png"]]
    # Turned by a right angle around its upper left corner, (32, 4.8), 19.2 x 38.4 pixels reach to the left.
    assert found == [[0, 12.8, 14.4, 38.4, 19.2], *[[0, 19.2, 14.4, 25.6, 19.2]] * 2, [1, 19.2, 14.4, 25.6, 19.2]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"original_width": None}, "no original_width"),
        ({"image_rotation": 90}, "rotated by 90"),
        ({"value": {"x": "a", "y": 1, "width": 1, "height": 1, "rectanglelabels": ["mouse"]}}, "has a, which"),
        ({"value": {"x": 1e99, "y": 1, "width": 1, "height": 1, "rectanglelabels": ["mouse"]}}, "has 1e+99, which"),
    ],
)
def test_faulty_regions_of_label_studio(tmp_path: Path, value: dict[str, Any], said: str) -> None:
    box = {**studio_box("a", "mouse", 10, 10, 40, 40), **value}
    finding = one(studio(tmp_path, studio_task(7, "0.png", [box])), "annotation-entry")
    assert said in finding.message
    assert "task 7, region a" in finding.message
    assert finding.image == str(tmp_path / "0.png")


def test_a_task_that_names_no_image(tmp_path: Path) -> None:
    draw(tmp_path / "0.png")
    tasks = [{**studio_task(1, ""), "data": {"text": "words"}}, studio_task(2, "0.png"), 5]
    data = read("label-studio", put(tmp_path / "a.json", tasks))
    assert {f.message for f in data.findings if f.code == "annotation-entry"} == {
        "task 1: its data names no image.",
        "entry 3 is not a task.",
    }
    assert "annotation-image-missing" not in codes(data)
    tasks[0] = {**studio_task(1, ""), "data": {"text": "words"}, "file_upload": "0a1b2c3d-0.png"}
    assert "its data" not in str(read("label-studio", put(tmp_path / "a.json", tasks)).findings)


# labelme


def test_labelme(tmp_path: Path) -> None:
    folder = labelme_folder(tmp_path / "mice")
    assert who_reads(folder) == ["labelme"]
    assert {"names", "kpt_shape"} <= reported("labelme", folder)
    data = read("labelme", folder)
    assert codes(data) == set()
    assert (data["names"], data["kpt_names"]) == ({0: "mouse"}, {0: ["left_ear", "nose"]})
    assert rows(data) == {f"mouse_{i}.jpg": [[0, 19.2, 14.4, 25.6, 19.2, 25.6, 12, 1, 16, 12, 2]] for i in range(8)}
    split = data.splits["train"]
    file = Path(split.label_files[0])
    assert file == Path(split.images[0]).with_suffix(".json")
    assert file.read_text().splitlines()[split.line[0] - 1].strip() == "{"


def test_splits_of_labelme(tmp_path: Path) -> None:
    train, val = labelme_folder(tmp_path / "train", 3), labelme_folder(tmp_path / "val", 2)
    for source in ((tmp_path,), (train, val)):
        data = read("labelme", *source)
        assert {n: len(s) for n, s in data.splits.items()} == {"train": 3, "val": 2}
        assert codes(data) == set()
    yaml = put(tmp_path / "data.yaml", "train: train/*.json\nval: val/*.json\nkpt_names: [nose, left_ear]\n")
    data = read("labelme", yaml)
    assert {n: len(s) for n, s in data.splits.items()} == {"train": 3, "val": 2}
    assert rows(data)["mouse_0.jpg"][0][5:] == [16, 12, 2, 25.6, 12, 1], "in the order of the YAML"
    put(yaml, "train: train/*.json\nval: val/*.json\nkpt_names: [nose]\n")
    assert "left_ear" in one(read("labelme", yaml), "annotation-keypoints").message


def test_images_of_labelme(tmp_path: Path) -> None:
    draw(tmp_path / "photos" / "a.jpg"), draw(tmp_path / "photos" / "b.jpg", 1)
    home = tmp_path / "labels"
    labelme_file(home / "a.json", "..\\photos\\a.jpg")
    labelme_file(home / "sub" / "b.json", "C:\\Users\\ann\\b.jpg", imageHeight=None, imageWidth=None)
    assert codes(read("labelme", home)) == {"annotation-image-missing"}
    data = read("labelme", home, images=(tmp_path / "photos",))
    assert codes(data) == set()
    assert set(rows(data)) == {"a.jpg", "b.jpg"}


def test_images_that_the_files_of_labelme_carry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    home = tmp_path / "labels"
    for i in range(2):
        image = draw(tmp_path / f"{i}.png", i)
        labelme_file(home / f"{i}.json", f"..\\other\\{i}.jpg", imageData=base64.b64encode(image.read_bytes()).decode())
    data = read("labelme", home)
    assert codes(data) == set()
    assert set(rows(data)) == {"0.png", "1.png"}
    assert {Path(f).read_bytes() for s in data.splits.values() for f in s.images} == {
        (tmp_path / f"{i}.png").read_bytes() for i in range(2)
    }
    assert sorted(f.name for f in home.iterdir()) == ["0.json", "1.json"], "nothing is written to the dataset"
    first = data.fingerprint()
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert read("labelme", home).fingerprint() == first
    for carried in ("AAAA", "not base64!", base64.b64encode(b"#!/bin/sh").decode()):
        labelme_file(home / "0.json", "../../x.sh", imageData=carried)
        assert "annotation-image-missing" in codes(read("labelme", home))


def labelled(folder: Path, *shapes: Any) -> Description:
    for i in range(2):
        draw(folder / f"{i}.jpg", i)
        labelme_file(folder / f"{i}.json", f"{i}.jpg", list(shapes))
    return read("labelme", folder)


def test_groups_of_labelme(tmp_path: Path) -> None:
    second = [labelme_shape("rat", "rectangle", [[30, 30], [60, 46]], 2), labelme_shape("nose", "point", [[31, 31]], 2)]
    data = labelled(tmp_path, *labelme_shapes(), *second)
    assert codes(data) == set()
    assert sorted(row[5:] for row in rows(data)["0.jpg"]) == [[0, 0, 0, 31, 31, 2], [25.6, 12, 1, 16, 12, 2]]
    loose = labelled(tmp_path, *labelme_shapes(None), *second)
    assert rows(loose) == rows(data), "a point without a group is of the box around it"
    alone = labelled(tmp_path, *labelme_shapes()[1:])
    assert codes(alone) == {"annotation-box-derived"}
    assert alone["names"] == {0: "object"}
    twice = one(labelled(tmp_path, *labelme_shapes(), labelme_shape("nose", "point", [[1, 1]])), "annotation-group")
    assert "shape 4: the object has a second point 'nose'" in twice.message
    assert line_of(twice).strip() == "{"


def test_other_shapes_of_labelme(tmp_path: Path) -> None:
    shapes = [
        labelme_shape("mouse", "polygon", [[6.4, 4.8], [32, 4.8], [32, 24]], None),
        labelme_shape("mouse", "mask", [[6.4, 4.8], [32, 24]], None, mask="iVBORw0KGgo="),
        labelme_shape("mouse", "circle", [[19.2, 14.4], [19.2, 24]], None),
        labelme_shape("mouse", "linestrip", [[1, 1], [2, 2]], None),
        labelme_shape("mouse", "new", [[1, 1], [2, 2]], None),
    ]
    data = labelled(tmp_path, *shapes)
    assert codes(data) == {"annotation-boxed", "annotation-skipped"}
    assert "2 circles, 2 masks, 2 polygons" in one(data, "annotation-boxed").message
    assert "kpt_shape" not in data
    assert rows(data)["0.jpg"] == [*[[0, 19.2, 14.4, 25.6, 19.2]] * 2, [0, 19.2, 14.4, 19.2, 19.2]]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (5, "is not a shape"),
        (labelme_shape("", "point", [[1, 1]]), "has no label"),
        (labelme_shape("a", "point", [[1, 1], [2, 2]]), "is a point with points"),
        (labelme_shape("a", "rectangle", [[1, 1]]), "is a rectangle with points"),
        (labelme_shape("a", "point", [["x", 1]]), "is a point with points"),
        (labelme_shape("a", "point", [[float("nan"), 1]]), "is a point with points"),
        ({**labelme_shape("a", "point", [[1, 1]]), "group_id": [1]}, "as group_id"),
    ],
)
def test_faulty_shapes_of_labelme(tmp_path: Path, shape: Any, said: str) -> None:
    finding = one(labelled(tmp_path, shape), "annotation-entry")
    assert said in finding.message
    assert finding.image


def test_files_of_labelme_that_are_not_right(tmp_path: Path) -> None:
    labelme_folder(tmp_path, 3)
    put(tmp_path / "notes.json", {"a": 1})
    labelme_file(tmp_path / "none.json", "x", imagePath=None)
    labelme_file(tmp_path / "again.json", "mouse_0.jpg")
    put(tmp_path / "broken.json", '{"shapes": [\n{"shape_type": \n')
    data = read("labelme", tmp_path)
    assert codes(data) == {
        "annotation-other-files",
        "annotation-entry",
        "annotation-duplicate-image",
        "annotation-syntax",
        "annotation-image-missing",
    }
    assert one(data, "annotation-syntax").file == str(tmp_path / "broken.json")
    assert one(data, "annotation-syntax").line == 3
    assert "mouse_0.jpg" in one(data, "annotation-duplicate-image").message


# All of them


def test_a_dataset_with_a_yaml_is_not_a_folder_of_labels(tmp_path: Path) -> None:
    labelme_folder(tmp_path, 2)
    cvat_images(tmp_path, 2)
    put(tmp_path / "data.yaml", "train: images\nval: images\nnames: [a]\n")
    assert who_reads(tmp_path) == []


def test_a_yaml_names_files_of_tools(tmp_path: Path) -> None:
    cvat_images(tmp_path / "a", 2)
    cvat_images(tmp_path / "b", 2)
    yaml = put(
        tmp_path / "data.yaml",
        "train: a/annotations.xml\nval: b/annotations.xml\nimages: {train: a/images, val: b/images}\n"
        "names: [mouse, arena]\nflip_idx: [0, 2, 1]\n",
    )
    assert who_reads(yaml) == ["cvat"]
    data = read("cvat", yaml)
    assert codes(data) == {"annotation-box-derived"}
    assert (data["names"], data["flip_idx"]) == ({0: "mouse", 1: "arena"}, [0, 2, 1])
    assert {n: len(s) for n, s in data.splits.items()} == {"train": 2, "val": 2}
    put(yaml, "train: a/annotations.xml\nval: b/annotations.xml\nnames: [rat]\n")
    assert "annotation-categories" in codes(read("cvat", yaml))
    put(yaml, "train: a/annotations.xml\nval: b/images\n")
    assert "annotation-mixed" in codes(read("cvat", yaml))


def test_what_is_held_out_can_be_chosen(tmp_path: Path) -> None:
    file = cvat_images(tmp_path, 40)
    few, many = (len(read("cvat", file, holdout=share).splits["val"]) for share in (0.05, 0.6))
    assert few < 10 < many
    both = read("cvat", file, file)
    assert {n: len(s) for n, s in both.splits.items()} == {"train": 40, "val": 40}


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just(10**400),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=8,
)


def changed(value: Any, choose: Any) -> Any:
    """Return JSON of which one part, however deep, is something else."""
    if isinstance(value, (dict, list)) and value and choose(st.integers(0, 5)):
        key = choose(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = changed(copy[key], choose)
        return copy
    return choose(VALUES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_whatever_a_json_holds_is_a_finding(tmp_path: Path, data: st.DataObject) -> None:
    draw(tmp_path / "0.png")
    related = {"type": "relation", "from_id": "box1", "to_id": "p1"}
    documents: dict[str, Any] = {
        "label-studio": [studio_task(1, "0.png", [*studio_regions(), related]), studio_min(2, "0.png")],
        "labelme": json.loads(labelme_file(tmp_path / "x.json", "0.png").read_text()),
    }
    (tmp_path / "x.json").unlink()
    for plugin, document in documents.items():
        file = put(tmp_path / f"{plugin}.json", json.dumps(changed(document, data.draw)))
        for source in (file, tmp_path):
            if plugin in who_reads(source):
                found = read(plugin, source)
                assert found.findings
        file.unlink()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_whatever_an_xml_holds_is_a_finding(tmp_path: Path, data: st.DataObject) -> None:
    make = data.draw(st.sampled_from([cvat_images, cvat_video]))
    file = make(tmp_path, 2)
    text = file.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    put(file, text[:start] + data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=8)) + text[end:])
    for plugin in who_reads(file):
        assert read(plugin, file).findings


def test_classes_that_names_does_not_have(tmp_path: Path) -> None:
    cvat_images(tmp_path)
    file = put(tmp_path / "data.yaml", "train: annotations.xml\nval: annotations.xml\nnames: [rat]\n")
    found = one(read("cvat", file), "annotation-categories")
    assert "only in this file: arena, mouse; only in names: rat" in found.message
    assert 'write names: ["arena", "mouse"] in the YAML' in found.fix
