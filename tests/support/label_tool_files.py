"""Files as labelling tools write them, with the images that they are of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

POINTS = ("nose", "left_ear", "right_ear")
SIZE = (64, 48)
"""Width and height of every image."""
IMAGES = 8


def draw(path: Path, number: int = 0) -> Path:
    """Draw an image that differs from the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    # Encoded and written apart, because the library goes by the ending in small letters.
    path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())
    return path


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")
    return path


# CVAT

LABELS = """
      <labels>
        <label>
          <name>arena</name>
          <color>#b83df5</color>
          <type>any</type>
          <attributes>
          </attributes>
        </label>
        <label>
          <name>mouse</name>
          <color>#5986b3</color>
          <type>skeleton</type>
          <attributes>
          </attributes>
          <svg>&lt;line x1="20" y1="20" x2="40" y2="20" data-type="edge" data-node-from="1" \
data-node-to="2"&gt;&lt;/line&gt;\
&lt;line x1="20" y1="20" x2="40" y2="40" data-type="edge" data-node-from="1" data-node-to="3"&gt;&lt;/line&gt;\
&lt;circle r="1.5" cx="20" cy="20" data-type="element node" data-element-id="1" data-node-id="1" \
data-label-name="nose"&gt;&lt;/circle&gt;\
&lt;circle r="1.5" cx="40" cy="20" data-type="element node" data-element-id="2" data-node-id="2" \
data-label-name="left_ear"&gt;&lt;/circle&gt;\
&lt;circle r="1.5" cx="40" cy="40" data-type="element node" data-element-id="3" data-node-id="3" \
data-label-name="right_ear"&gt;&lt;/circle&gt;</svg>
        </label>
""" + "".join(
    f"""        <label>
          <name>{name}</name>
          <color>#d12345</color>
          <type>points</type>
          <attributes>
          </attributes>
          <parent>mouse</parent>
        </label>
"""
    for name in POINTS
)


def cvat_meta(mode: str = "annotation", labels: str = LABELS, **said: Any) -> str:
    extra = "".join(f"<{k}>{v}</{k}>" for k, v in said.items())
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>5</id>
      <name>mice</name>
      <mode>{mode}</mode>{extra}
{labels}      </labels>
      <owner><username>ann</username><email></email></owner>
    </task>
    <dumped>2024-04-23 09:05:02.335612+00:00</dumped>
    <source>mice.mp4</source>
  </meta>
"""


def cvat_skeleton(x: float, group: str = "", hidden: str = "left_ear", absent: str = "right_ear") -> str:
    places = {"nose": (x, 10.0), "left_ear": (x + 10, 12.25), "right_ear": (60.0, 40.0)}
    points = "".join(
        f"""      <points label="{n}" source="manual" outside="{int(n == absent)}" occluded="{int(n == hidden)}" \
points="{px:.2f},{py:.2f}">
      </points>
"""
        for n, (px, py) in places.items()
    )
    return f"""    <skeleton label="mouse" source="manual" z_order="0"{group}>
{points}    </skeleton>
"""


def cvat_images(
    folder: Path, count: int = IMAGES, shapes: str | None = None, labels: str = LABELS, **about: str
) -> Path:
    """Write what CVAT exports for images, with its images."""
    text = cvat_meta(labels=labels)
    extra = "".join(f' {k}="{v}"' for k, v in about.items())
    for i in range(count):
        draw(folder / "images" / f"mouse_{i}.jpg", i)
        inner = shapes if shapes is not None else cvat_skeleton(10 + i)
        text += f'  <image id="{i}" name="mouse_{i}.jpg"{extra} width="64" height="48">\n{inner}  </image>\n'
    return put(folder / "annotations.xml", text + "</annotations>\n")


def cvat_video(folder: Path, frames: int = IMAGES, start: int = 0, step: int = 1) -> Path:
    """Write what CVAT exports for video: a mouse along a track, absent from the last frame, and its frames."""
    last = start + step * (frames - 1)
    said = {"size": frames, "start_frame": start, "stop_frame": last, "frame_filter": f"step={step}"}
    text = cvat_meta("interpolation", **said)
    numbers = range(start, last + 1, step)
    about = [
        f'frame="{n}" keyframe="{int(i == 0)}" outside="{int(n == last)}" occluded="0"' for i, n in enumerate(numbers)
    ]
    text += '  <track id="0" label="mouse" source="manual">\n'
    for a in about:
        text += f'    <skeleton {a} z_order="0">\n    </skeleton>\n'
    for p, name in enumerate(POINTS):
        text += f'    <track id="{p}" label="{name}" source="manual">\n'
        for i, a in enumerate(about):
            seen = a.replace('occluded="0"', 'occluded="1"') if name == "left_ear" else a
            seen = seen.replace('outside="0"', 'outside="1"') if name == "right_ear" else seen
            place = f"{10 + i + 10 * p:.2f},{10 + 2 * p:.2f}"
            text += f'      <points {seen} points="{place}" z_order="0">\n      </points>\n'
        text += "    </track>\n"
    for i, number in enumerate(numbers):
        draw(folder / "images" / f"frame_{number:06d}.PNG", i)
    return put(folder / "annotations.xml", text + "  </track>\n</annotations>\n")


# Label Studio

REGION = {"origin": "manual", "to_name": "image", "image_rotation": 0, "original_width": 64, "original_height": 48}


def studio_box(key: str, label: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return {**REGION, "id": key, "type": "rectanglelabels", "from_name": "bbox", "value": value}


def studio_point(key: str, label: str, x: float, y: float, parent: str | None = None) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    region = {**REGION, "id": key, "type": "keypointlabels", "from_name": "kp", "value": value}
    return {**region, "parentID": parent} if parent else region


def studio_regions(parent: bool = True) -> list[dict[str, Any]]:
    """Return a mouse: its box from (6.4, 4.8) to (32, 24), and two of its points."""
    owner = "box1" if parent else None
    points = [studio_point("p1", "nose", 25, 25, owner), studio_point("p2", "left_ear", 40, 25, owner)]
    return [*points, studio_box("box1", "mouse", 10, 10, 40, 40)]


def studio_task(number: int, image: str, regions: list[dict[str, Any]] | None = None, **about: Any) -> dict[str, Any]:
    annotation = {
        "id": number + 1000,
        "completed_by": 1,
        "result": studio_regions() if regions is None else regions,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2025-05-02T13:40:45.998046Z",
        "updated_at": "2025-05-02T14:46:24.793056Z",
        "lead_time": 17.2,
        "unique_id": "c3ef7786-189d-4cab-b937-3509f99c3bac",
        "task": number,
        "project": 18,
    }
    task = {"id": number, "annotations": [annotation], "drafts": [], "predictions": [], "data": {"image": image}}
    return {**task, "meta": {}, "inner_id": number, "total_annotations": 1, "project": 18, **about}


def studio_min(number: int, image: str, regions: list[dict[str, Any]] | None = None, **about: Any) -> dict[str, Any]:
    """Return a task in the form of JSON-MIN."""
    found: dict[str, list[Any]] = {}
    for region in studio_regions(parent=False) if regions is None else regions:
        sizes = {k: region[k] for k in ("original_width", "original_height")}
        found.setdefault(region["from_name"], []).append({**region["value"], **sizes})
    times = {"created_at": "2025-05-02T13:40:45Z", "updated_at": "2025-05-02T14:46:24Z", "lead_time": 17.2}
    return {"image": image, "id": number, **found, "annotator": 1, "annotation_id": number + 1000, **times, **about}


def studio_file(
    folder: Path, short: bool = False, count: int = IMAGES, upload: str = "/data/upload/18/0a1b2c3d-"
) -> Path:
    """Write what Label Studio exports, and the images under the names that they had before they were uploaded."""
    tasks = []
    for i in range(count):
        draw(folder / "images" / f"mouse_{i}.png", i)
        tasks.append((studio_min if short else studio_task)(i + 1, f"{upload}mouse_{i}.png"))
    return put(folder / "project-18-at-2025-05-02-14-47-0a1b2c3d.json", tasks)


# labelme


def labelme_shape(
    label: str, kind: str, points: list[list[float]], group: int | None = 1, **about: Any
) -> dict[str, Any]:
    shape = {"label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": {}}
    return {**shape, "mask": None, **about}


def labelme_shapes(group: int | None = 1) -> list[dict[str, Any]]:
    """Return a mouse, its box drawn from the lower right to the upper left."""
    return [
        labelme_shape("mouse", "rectangle", [[32.0, 24.0], [6.4, 4.8]], group),
        labelme_shape("nose", "point", [[16.0, 12.0]], group),
        labelme_shape("left_ear", "point", [[25.6, 12.0]], group, flags={"occluded": True}),
    ]


def labelme_file(path: Path, image: str, shapes: list[dict[str, Any]] | None = None, **about: Any) -> Path:
    content = {"version": "5.5.0", "flags": {}, "shapes": labelme_shapes() if shapes is None else shapes}
    content |= {"imagePath": image, "imageData": None, "imageHeight": 48, "imageWidth": 64}
    return put(path, {**content, **about})


def labelme_folder(folder: Path, count: int = IMAGES) -> Path:
    """Write files of labelme next to their images."""
    for i in range(count):
        draw(folder / f"mouse_{i}.jpg", i)
        labelme_file(folder / f"mouse_{i}.json", f"mouse_{i}.jpg")
    return folder


# SLEAP

SKELETON = {
    "directed": True,
    "graph": {"name": "Skeleton-0", "num_edges_inserted": 2},
    "links": [
        {
            "edge_insert_idx": 0,
            "key": 0,
            "source": 0,
            "target": 1,
            "type": {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [1]}]},
        },
        {"edge_insert_idx": 1, "key": 0, "source": 0, "target": 2, "type": {"py/id": 1}},
        {
            "key": 0,
            "source": 2,
            "target": 1,
            "type": {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [2]}]},
        },
    ],
    "multigraph": True,
    "nodes": [{"id": 0}, {"id": 1}, {"id": 2}],
}
FRAME = [("frame_id", "<u8"), ("video", "<u4"), ("frame_idx", "<u8")]
FRAME += [("instance_id_start", "<u8"), ("instance_id_end", "<u8")]
INSTANCE = [("instance_id", "<i8"), ("instance_type", "u1"), ("frame_id", "<u8"), ("skeleton", "<u4")]
INSTANCE += [("track", "<i4"), ("from_predicted", "<i8"), ("score", "<f4"), ("point_id_start", "<u8")]
INSTANCE += [("point_id_end", "<u8"), ("tracking_score", "<f4")]
POINT = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]


def sleap_file(
    path: Path, frames: int = IMAGES, videos: int = 1, carried: str = "png", version: float = 1.2, **about: Any
) -> Path:
    """Write a file of SLEAP: in every frame a mouse that a user labelled, and in the first a predicted one too.

    Args:
        path: The file.
        frames: The frames of each video.
        videos: How many videos there are.
        carried: ``png`` for images that the file carries, ``hdf5`` for pixels, ``images`` for files,
            ``video`` for none.
        version: The version of the form.
        about: Attributes of the datasets of images.
    """
    import h5py

    nodes = [{"name": n, "weight": 1.0} for n in POINTS]
    metadata = {"version": "2.0.0", "skeletons": [SKELETON], "nodes": nodes, "videos": [], "tracks": []}
    rows: list[Any] = []
    instances: list[Any] = []
    points: list[Any] = []
    reported = []
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = version
        group.attrs["json"] = np.bytes_(json.dumps(metadata))
        for video in range(videos):
            files = [draw(path.parent / f"session{video}" / f"{i}.png", 100 * video + i) for i in range(frames)]
            backend: dict[str, Any] = {"filename": f"C:/videos/session{video}.mp4", "grayscale": False}
            if carried == "images":
                backend = {"filename": "", "filenames": [f"C:\\data\\session{video}\\{f.name}" for f in files]}
            elif carried != "video":
                _carry(file, video, files, carried, **about)
                source = {"backend": backend, "filename": backend["filename"]}
                file[f"video{video}"].create_group("source_video").attrs["json"] = json.dumps(source)
                backend = {"filename": ".", "dataset": f"video{video}/video", "input_format": "channels_last"}
            reported.append(json.dumps({"backend": backend}))
            for i in range(frames):
                kinds = [0, 1] if i == 0 else [0]
                rows.append((len(rows), video, i, len(instances), len(instances) + len(kinds)))
                for kind in kinds:
                    first = len(points)
                    instances.append((len(instances), kind, rows[-1][0], 0, 0, -1, 0, first, first + 3, 0))
                    points += [(16, 12, True, False), (25.6, 12, False, False), (np.nan, np.nan, False, False)]
        text = h5py.string_dtype()
        file.create_dataset("videos_json", data=reported, dtype=text)
        file.create_dataset("tracks_json", data=['[0, "a"]'], dtype=text)
        file.create_dataset("frames", data=np.array(rows, FRAME))
        file.create_dataset("instances", data=np.array(instances, INSTANCE))
        file.create_dataset("points", data=np.array(points, POINT))
        file.create_dataset("pred_points", data=np.zeros(0, [*POINT, ("score", "<f8")]))
    return path


def _carry(file: Any, video: int, files: list[Path], form: str, **about: Any) -> None:
    import h5py

    group = file.create_group(f"video{video}")
    if form == "hdf5":
        pixels = np.stack([cv2.imread(str(f))[..., ::-1] for f in files])
        dataset = group.create_dataset("video", data=pixels)
    else:
        dataset = group.create_dataset("video", (len(files),), h5py.vlen_dtype(np.int8))
        for i, f in enumerate(files):
            dataset[i] = np.frombuffer(f.read_bytes(), np.int8)
        about = {"format": form, "channels": 3, "height": SIZE[1], "width": SIZE[0], **about}
    for key, value in about.items():
        dataset.attrs[key] = value
    group.create_dataset("frame_numbers", data=np.arange(len(files)))
