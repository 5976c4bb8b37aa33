"""One file of SLEAP: skeletons, the instances that users labelled, and the frames, which a package carries.

The skeletons are stored in the form of a pickle written as JSON. Nothing of it is run: names and numbers are taken.
"""

from __future__ import annotations

import json
import re
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer_detect.formats.json_text import Unreadable, refused
from trainer_detect.formats.kinds import Kind
from trainer_detect.formats.tool_labels import HIDDEN, VISIBLE, LabelledObject, Labels, Picture, path_endings
from trainer_host.data import counted
from trainer_pose.formats.hdf5 import FAULTS, part_of, text_of, values_of
from trainer_pose.formats.sleap_images import EmbeddedImages

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_detect.formats.tool_labels import Point

SLEAP = Kind("sleap", "SLEAP file", ".slp")
EXTRA = "pip install 'trainer-host[sleap]'"
REMEDY = "in SLEAP choose Predict > Export Labels Package..., and give the .pkg.slp, which carries its frames"
GIVE = "give a .slp or .pkg.slp file; open and save it in SLEAP to renew it"
ANIMAL = "animal"
UNNAMED = re.compile(r"Skeleton-\d+")
"""SLEAP's default name of a skeleton."""
EDGE, SYMMETRY = 1, 2
HALF_PIXEL = 1.1
"""The version before which points were counted from the corner of a pixel, not from its centre."""


class Skeleton(NamedTuple):
    """A skeleton: its class, its keypoints in order, lines between them, and pairs that a mirror exchanges."""

    name: str
    points: list[str]
    lines: list[tuple[str, str]]
    pairs: list[tuple[str, str]]


class Video(NamedTuple):
    """A video: what it is called, the images that it consists of, and the images that the file carries of it."""

    name: str
    files: list[str]
    embedded: EmbeddedImages | None


def read_sleap(path: Path) -> Labels:
    """Read a file of SLEAP. Nothing raises; problems are among its findings."""
    labels = Labels(path, SLEAP, remedy=REMEDY)
    try:
        import h5py
    except ImportError:
        labels.add("annotation-unreadable", "SLEAP files need h5py, which is not installed.", EXTRA)
        return labels
    try:
        if why := refused(path):
            labels.unreadable(why)
            return labels
        if not h5py.is_hdf5(path):
            labels.add("annotation-key", "not a SLEAP file: it is not HDF5.", GIVE)
            return labels
        with h5py.File(path, "r") as file:
            _take(labels, file)
    except FileNotFoundError:
        labels.unreadable(Unreadable("unreadable", "file not found.", "give the path of a SLEAP file"))
    except (*FAULTS, RecursionError) as error:
        labels.pictures.clear()
        what = f"the labels cannot be read: {' '.join(str(error).split())[:120]}."
        labels.add("annotation-key", what, GIVE)
    return labels


def _take(labels: Labels, file: Any) -> None:
    about = part_of(file, "metadata").attrs
    metadata = json.loads(text_of(about["json"]))
    version = float(about.get("format_id", 1.0))
    skeletons = _skeletons(metadata)
    for skeleton in skeletons:
        labels.classes[skeleton.name] = skeleton.points
        labels.skeleton += [line for line in skeleton.lines if line not in labels.skeleton]
        labels.mirrored |= dict([*skeleton.pairs, *(pair[::-1] for pair in skeleton.pairs)])
    videos = [_video(file, json.loads(text_of(v)), i, version) for i, v in enumerate(values_of(file, "videos_json"))]
    _take_frames(labels, file, skeletons, videos, 0.5 if version < HALF_PIXEL else 0.0)


def _skeletons(metadata: dict[str, Any]) -> list[Skeleton]:
    nodes = [str(n["name"]) for n in metadata["nodes"]]
    found = []
    for graph in metadata["skeletons"]:
        graph = graph.get("nx_graph", graph)
        names = [nodes[n["id"]] for n in graph["nodes"]]
        kinds: list[int] = []
        ends: dict[int, list[tuple[str, str]]] = {EDGE: [], SYMMETRY: []}
        for link in graph["links"]:
            made = link["type"].get("py/reduce")
            if made:  # the first mention of a type defines it, and later ones count these
                kinds.append(int(made[1]["py/tuple"][0]))
            number = int(link["type"].get("py/id", 0))
            kind = kinds[-1] if made else kinds[number - 1] if 0 < number <= len(kinds) else number
            if kind in ends:
                ends[kind].append((nodes[link["source"]], nodes[link["target"]]))
        name = str(graph.get("graph", {}).get("name", ""))
        name = name if name and not UNNAMED.fullmatch(name) else ANIMAL
        found.append(Skeleton(name, names, ends[EDGE], ends[SYMMETRY]))
    return found


def _video(file: Any, content: dict[str, Any], number: int, version: float) -> Video:
    backend = content.get("backend") or {}
    given = backend.get("filenames") or backend.get("filename") or content.get("filename") or ""
    embedded = None
    dataset = backend.get("dataset")
    if isinstance(dataset, str) and dataset in file:
        embedded = EmbeddedImages.of(file, dataset, backend, version)
        source = (content.get("source_video") or {}).get("filename") or _source_of(file, dataset) or given
        given = source[0] if isinstance(source, list) and source else source
    files = [str(f) for f in given] if isinstance(given, list) else []
    path = PureWindowsPath(files[0] if files else str(given or ""))
    name = path.parent.name if files else path.stem
    return Video(f"{name or 'video'} ({number})", files, embedded)


def _source_of(file: Any, dataset: str) -> Any:
    """Return the path of the video that the images of a package are from."""
    group = part_of(file, dataset.rpartition("/")[0] or "/")
    if "source_video" not in group or "json" not in group["source_video"].attrs:
        return None
    source = json.loads(text_of(group["source_video"].attrs["json"]))
    return source.get("filename") or (source.get("backend") or {}).get("filename")


def _take_frames(labels: Labels, file: Any, skeletons: list[Skeleton], videos: list[Video], shift: float) -> None:
    frames, instances = values_of(file, "frames"), values_of(file, "instances")
    points = values_of(file, "points")
    shown = {tuple(map(int, row)) for row in values_of(file, "negative_frames")} if "negative_frames" in file else set()
    unlabelled = predicted = 0
    by_id = _videos_by_number(videos, {int(frame["video"]) for frame in frames})
    for frame in frames:
        number = int(frame["video"])
        place = by_id[number]
        index, objects = int(frame["frame_idx"]), []
        picture = _picture(videos[place], index)
        for row in instances[int(frame["instance_id_start"]) : int(frame["instance_id_end"])]:
            if row["instance_type"]:
                predicted += 1
                continue
            skeleton = skeletons[int(row["skeleton"])]
            who = f"frame {index} of {videos[place].name}, instance {int(row['instance_id'])}"
            own = points[int(row["point_id_start"]) : int(row["point_id_end"])]
            found = {n: p for n, p in zip(skeleton.points, (_point(p, shift) for p in own), strict=True) if p}
            objects.append(LabelledObject(skeleton.name, None, found, 0, who))
        if not objects and (number, index) not in shown:
            unlabelled += 1
            continue
        picture.objects = objects
        labels.pictures.append(picture)
    if predicted:
        labels.skipped["predicted instance"] += predicted
    if unlabelled:
        what = f"{counted(unlabelled, 'frame')} without a labelled instance, not used."
        labels.add("annotation-unlabelled", what, "label them, or mark them as negative", severity="warning")


def _videos_by_number(videos: list[Video], used: set[int]) -> dict[int, int]:
    """Return the place of each video by the number that frames have: its place, or that of its embedded images."""
    places = {i: i for i in range(len(videos))}
    if used == set(places):
        return places
    return places | {v.embedded.number: i for i, v in enumerate(videos) if v.embedded}


def _point(row: Any, shift: float) -> Point | None:
    x, y = float(row["x"]) - shift, float(row["y"]) - shift
    if x != x or y != y:  # NaN, which stands for a point that is not labelled
        return None
    return x, y, VISIBLE if row["visible"] else HIDDEN


def _picture(video: Video, index: int) -> Picture:
    stem = f"frame_{index:06d}"
    folder = video.name.rpartition(" ")[0]
    key = f"{video.name}/{index}"
    if video.embedded and (place := video.embedded.put(index, f"{folder}_{stem}")):
        return Picture([place], group=video.name, key=key)
    if 0 <= index < len(video.files):
        names = list(dict.fromkeys([video.files[index], *path_endings(video.files[index])]))
        return Picture(names, group=video.name, key=key)
    names = [f"{folder}/{stem}.png", f"{folder}/{stem}.jpg", f"{stem}.png", f"{stem}.jpg"]
    return Picture(names, group=video.name, key=key, optional=True)
