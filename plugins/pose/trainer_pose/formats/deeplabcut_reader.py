"""A DeepLabCut project as a dataset: boxes around labelled points, and a part that is held out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer_detect.formats.common import (
    LEAST,
    box_shares,
    boxes_around,
    held_out_finding,
    one_image_finding,
    shares,
    unlisted,
)
from trainer_host import Finding
from trainer_host.data import Description, Split, counted, held_out, listed, read_images
from trainer_pose.formats.deeplabcut_project import Project, label_files
from trainer_pose.formats.deeplabcut_table import ONLY, Table, read_csv, read_h5

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Holdout = Literal["video"] | float | None

SHARE = 0.2
"""The fraction of the frames or videos that is held out by default."""
ANIMAL, SINGLE = "animal", "single"
VISIBLE = 2.0


@dataclass
class Frames:
    """The labelled frames of one folder.

    Attributes:
        file: The file with the labels.
        images: The path of each frame.
        lines: The line of each frame in the file.
        rows: The numbers of each frame's objects.
    """

    file: Path
    images: list[str]
    lines: list[int]
    rows: list[list[list[float]]]

    @property
    def video(self) -> str:
        """The video that the frames are from."""
        return self.file.parent.name


def read_project(project: Project, margin: float, holdout: Holdout) -> Description:
    """Read a project with the labels of all its videos.

    Args:
        project: Its configuration.
        margin: How far a box reaches beyond its points, as a fraction of their longer extent.
        holdout: The part that is held out for validation.
    """
    names = [ANIMAL, SINGLE] if project.unique else [ANIMAL]
    keys: dict[str, Any] = {"names": dict(enumerate(names)), "nc": len(names), "channels": 3}
    keys["kpt_shape"] = [len(project.parts), 3]
    keys["kpt_names"] = {i: list(project.parts) for i in range(len(names))}
    if project.skeleton:
        keys["skeleton"] = project.skeleton
    folders = []
    for file, kind in label_files(project).items() if project.parts else ():
        table = read_csv(file) if kind == "CSV" else read_h5(file)
        folders.append(_frames(project, file, table, margin))
    splits = {}
    for name, part in _parts(project, folders, holdout).items():
        splits[name] = _split(project, name, part)
        keys[name] = str(project.file.parent / "labeled-data")
    project.findings += unlisted(splits.values(), "CollectedData file")
    read = Description(keys, file=str(project.file), splits=splits, lines=project.lines)
    return read.with_findings(project.findings)


def _frames(project: Project, file: Path, table: Table, margin: float) -> Frames:
    """Return the frames of a folder with their objects; problems are noted."""
    images = [os.path.abspath(file.parent / name) for name in table.frames]  # noqa: PTH100 - links
    for fault in table.faults:
        image = images[fault.frame] if fault.frame is not None else None
        finding = Finding(fault.code, fault.message, fault.fix, str(file), fault.line, image=image)
        project.findings.append(finding)
    frames = Frames(file, images, table.lines, [[] for _ in images])
    if not images or not _judge_parts(project, file, table):
        return frames
    facts, _ = read_images("train", images)
    sizes = facts.shapes[:, ::-1].astype(np.float64)
    few = 0
    for individual in table.individuals:
        points = table.points(individual, project.parts)
        labelled: NDArray[np.bool_] = np.isfinite(points.sum(axis=2))
        _judge_halves(project, frames, points, labelled)
        has = np.flatnonzero(labelled.any(axis=1) & (sizes[:, 0] > 0))
        few += int((labelled.sum(axis=1) == 1).sum())
        number = float(individual == ONLY and project.unique > 0)
        rows = _rows(points[has], labelled[has], sizes[has], margin, number)
        for frame, row in zip(has.tolist(), rows.tolist(), strict=True):
            frames.rows[frame].append(row)
    _note_few(project, frames, few)
    return frames


def _rows(
    points: NDArray[np.float64], labelled: NDArray[np.bool_], sizes: NDArray[np.float64], margin: float, number: float
) -> NDArray[np.float64]:
    """Return the numbers of objects: class, box, and points with their visibility."""
    placed = np.zeros((*labelled.shape, 3))
    placed[..., :2] = np.where(labelled[..., None], shares(points, sizes[:, None]), 0)
    placed[..., 2] = np.where(labelled, VISIBLE, 0)
    classes = np.full((len(points), 1), number)
    boxes = boxes_around(points, labelled, sizes, margin)
    numbers = placed.reshape(len(points), 3 * points.shape[1])
    return np.hstack([classes, box_shares(boxes, sizes), numbers])


def _judge_parts(project: Project, file: Path, table: Table) -> bool:
    """Note body parts that the table or the configuration lacks; return whether there is any in both."""
    own = list(dict.fromkeys(c.part for c in table.columns))
    known = [p for p in own if p in project.parts]
    extra, absent = sorted(set(own) - set(known)), [p for p in project.parts if p not in own]
    if own and not known:
        what = f"none of the body parts of the table is in config.yaml: {listed(own)}."
        project.findings.append(Finding("dlc-bodyparts", what, "correct bodyparts in config.yaml", str(file), 1))
        return False
    for parts, where in ((extra, "not in config.yaml, and not read"), (absent, "without a column here")):
        if parts:
            what = f"{counted(len(parts), 'body part')} {where}: {listed(parts)}."
            fix = "write the same body parts in config.yaml and in the table"
            project.findings.append(Finding("dlc-bodyparts", what, fix, str(file), 1, "warning"))
    return True


def _judge_halves(project: Project, frames: Frames, points: NDArray[np.float64], labelled: NDArray[np.bool_]) -> None:
    """Note points of which one coordinate is missing."""
    halves = ~labelled & ~np.isnan(points).all(axis=2)
    for frame, part in np.argwhere(halves).tolist():
        what = f"the body part {project.parts[part]} has one of x and y."
        fix = "write both, or none if it is not labelled"
        place = str(frames.file), frames.lines[frame] or None
        project.findings.append(Finding("dlc-point", what, fix, *place, image=frames.images[frame]))


def _note_few(project: Project, frames: Frames, few: int) -> None:
    """Warn of frames that have no point, and of objects that have one."""
    empty = [os.path.basename(i) for i, rows in zip(frames.images, frames.rows, strict=True) if not rows]  # noqa: PTH119
    if empty:
        what = f"{counted(len(empty), 'frame')} without a labelled point, taken as background: {listed(empty)}."
        fix = "remove the lines of frames that do show an animal"
        project.findings.append(Finding("dlc-empty-frame", what, fix, str(frames.file), None, "warning"))
    if few:
        what = f"{counted(few, 'object')} with one labelled point; the box has {LEAST:.0%} of the image's longer side."
        fix = "label more of their points"
        project.findings.append(Finding("dlc-one-point", what, fix, str(frames.file), None, "warning"))


Part = list[tuple[Frames, int]]


def _parts(project: Project, folders: Sequence[Frames], holdout: Holdout) -> dict[str, Part]:
    """Return the frames of each split."""
    frames = [(folder, i) for folder in folders for i in range(len(folder.images))]
    if not frames and all(f.severity == "warning" for f in project.findings):
        project.add("split-empty", "the label tables have no frames.", "label frames")
    if len(frames) == 1:
        project.findings.append(one_image_finding(project.file))
    if len(frames) < 2:
        return {"train": frames} if frames else {}
    videos = [f.video for f in folders if f.images]
    if holdout == "video" and len(videos) == 1:
        what = f"there is only one video, {videos[0]}, so none can be held out."
        project.add("dlc-holdout", what, "give a fraction of the frames: deeplabcut.holdout=0.2")
    if holdout == "video" or (holdout is None and len(videos) > 1):
        chosen = {v for v, out in zip(videos, held_out(videos, SHARE), strict=True) if out}
        held = [folder.video in chosen for folder, _ in frames]
        remedy = f"give a fraction of the frames of every video: deeplabcut.holdout={SHARE}"
        what = f"held out for validation: the video {listed(sorted(chosen))}, {sum(held)} of {len(held)} frames."
        finding = Finding("holdout", what, remedy, str(project.file), None, "warning")
    else:
        share = SHARE if not isinstance(holdout, float) else holdout
        held = held_out([f"{f.video}/{os.path.basename(f.images[i])}" for f, i in frames], share)  # noqa: PTH119
        remedy = "label a second video to hold it out, as frames of one video resemble each other"
        finding = held_out_finding(project.file, sum(held), len(held), remedy)
    project.findings.append(finding)
    parts = {"train": [f for f, out in zip(frames, held, strict=True) if not out]}
    return parts | {"val": [f for f, out in zip(frames, held, strict=True) if out]}


def _split(project: Project, name: str, part: Part) -> Split:
    images = [folder.images[i] for folder, i in part]
    rows = [folder.rows[i] for folder, i in part]
    files = [str(folder.file) for folder, _ in part]
    lines = [folder.lines[i] for folder, i in part]
    split, findings = Split.from_rows(
        name, images, rows, files, lines=[[line] * len(r) for line, r in zip(lines, rows, strict=True)]
    )
    missing = {i for i in images if not os.path.lexists(i)}
    project.findings += [f for f in findings if f.image not in missing]
    for image, file, line in zip(images, files, lines, strict=True):
        if image in missing:
            what = f"the frame {os.path.basename(image)} is not in the folder."  # noqa: PTH119
            fix = "add the image, or remove its line"
            project.findings.append(Finding("dlc-image-missing", what, fix, file, line or None, "error", name, image))
    return split
