"""The dataset: a YAML that names the points, and for each split a CSV of images with their points, one a line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import yaml
from torch.utils.data import Dataset

from trainer_host import DataContext, DatasetError, Finding, ImagePrediction, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 64
DISCS = {"red": (40, 40, 230), "green": (40, 200, 40), "blue": (240, 110, 40)}


def read_description(ctx: DataContext) -> dict[str, Any]:
    """Return the names of the points, and the file of each split."""
    path = Path(ctx.source)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise DatasetError(Problem(f"the dataset cannot be read: {error}.", where=ctx.source)) from error
    missing = [key for key in ("points", "train", ctx.split) if key not in content]
    if missing:
        raise DatasetError(*(Problem(f"the dataset has no {key!r}.", "add it", ctx.source) for key in missing))
    splits = {split: str(path.parent / content[split]) for split in ("train", "val", "test") if split in content}
    return {"names": dict(enumerate(content["points"])), "channels": 3, **splits}


def check_rows(ctx: DataContext) -> Iterator[Finding]:
    """Yield a finding for each line that cannot be used."""
    wanted = 2 * len(ctx.data["names"])
    for file in dict.fromkeys((ctx.data["train"], ctx.data[ctx.split])):
        for line, (image, points) in enumerate(read_rows(file), 1):
            if len(points) != wanted:
                yield Finding("points", f"{len(points)} numbers.", f"write {wanted}: x and y of each point", file, line)
            if not image.is_file():
                yield Finding("no-image", f"image {image.name} not found.", "correct its name", file, line)


def read_rows(file: str) -> list[tuple[Path, list[float]]]:
    """Return each image with its points in pixels: x, y, x, y and so on."""
    try:
        with Path(file).open(newline="", encoding="utf-8") as lines:
            return [(Path(file).parent / image, list(map(float, points))) for image, *points in csv.reader(lines)]
    except (OSError, ValueError) as error:
        raise DatasetError(Problem(f"the points cannot be read: {error}.", where=file)) from error


class PointDataset(Dataset[dict[str, torch.Tensor]]):
    """Images as uint8, and their points as fractions of width and height."""

    def __init__(self, file: str, size: int) -> None:
        self.rows, self.size = read_rows(file), size
        self.im_files = [str(image) for image, _ in self.rows]  # the host draws predictions on the first of them

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        file, points = self.rows[index]
        image = read_image(file)
        fractions = torch.tensor(points).view(-1, 2) / torch.tensor([image.shape[1], image.shape[0]])
        return {"img": as_tensor(image, self.size), "points": fractions}


def read_image(file: Path) -> Any:
    """Return an image: height x width x 3, uint8, BGR."""
    content = np.fromfile(file, np.uint8)  # given a name, OpenCV ends the process if it is not UTF-8
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise DatasetError(Problem("not an image, or the file is corrupted.", where=str(file)))
    return image


def as_tensor(image: Any, size: int) -> torch.Tensor:
    """Return an image stretched to a square, as the network takes it."""
    return torch.from_numpy(cv2.resize(image, (size, size)).transpose(2, 0, 1).copy())


def draw_points(prediction: ImagePrediction) -> Any:
    """Return a copy of the image with a cross at each point."""
    image = prediction.image.copy()
    for point in prediction.objects:
        cv2.drawMarker(image, (round(point["x"]), round(point["y"])), (255, 255, 255), cv2.MARKER_CROSS, 9)
    return image


def draw_sample(folder: Path) -> Path:
    """Draw discs in three colours on noise, the same ones every time, and return the YAML."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 64), ("val", 16)):
        rows = []
        for name in (f"{split}{i:02}.png" for i in range(count)):
            image = rng.integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
            points = rng.integers(6, SIZE - 6, (len(DISCS), 2))
            for point, colour in zip(points.tolist(), DISCS.values(), strict=True):
                cv2.circle(image, point, 4, colour, -1)
            cv2.imwrite(str(folder / name), image)
            rows.append(",".join([name, *map(str, points.ravel())]))
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    description = {"points": list(DISCS), "train": "train.csv", "val": "val.csv"}
    (folder / "points.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    return folder / "points.yaml"
