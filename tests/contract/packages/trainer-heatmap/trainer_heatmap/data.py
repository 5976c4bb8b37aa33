"""The dataset: a YAML that names the points, and for each split a CSV with one image and its points a line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import yaml
from torch.utils.data import Dataset

from trainer_host import DatasetError, Finding, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_host import DataContext

SIZE = 64
DISCS = {"red": (40, 40, 230), "green": (40, 200, 40), "blue": (240, 110, 40)}


def read_description(ctx: DataContext) -> dict[str, Any]:
    """Return the points' names and the file of each split."""
    path = Path(ctx.source)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DatasetError(Problem(f"the dataset cannot be read: {error}.", where=str(path))) from error
    missing = [key for key in ("points", "train", ctx.split) if key not in (content or {})]
    if missing:
        raise DatasetError(*(Problem(f"the dataset has no {key!r}.", "Add it.", str(path)) for key in missing))
    splits = {split: str(path.parent / content[split]) for split in ("train", "val", "test") if split in content}
    return {"names": dict(enumerate(map(str, content["points"]))), "channels": 3, **splits}


def read_rows(file: str) -> Iterator[tuple[Path, list[float]]]:
    """Yield each image with its points in pixels: x, y, x, y and so on."""
    try:
        for line, (image, *numbers) in enumerate(csv.reader(Path(file).read_text(encoding="utf-8").splitlines()), 1):
            yield Path(file).parent / image, [float(number) for number in numbers]
    except OSError as error:
        raise DatasetError(Problem(f"the file cannot be read: {error.strerror}.", where=file)) from error
    except ValueError as error:
        raise DatasetError(Problem(f"{error}.", "Write image,x,y,x,y and so on.", f"{file}:{line}")) from error


def check_rows(ctx: DataContext) -> Iterator[Finding]:
    """Yield a finding for each line that cannot be used."""
    wanted = 2 * len(ctx.data["names"])
    for file in dict.fromkeys((ctx.data["train"], ctx.data[ctx.split])):
        for line, (image, numbers) in enumerate(read_rows(file), 1):
            if len(numbers) != wanted:
                yield Finding("points", f"{len(numbers)} numbers.", f"write {wanted}: x and y of each point", file, line)
            if not image.is_file():
                yield Finding("no-image", f"there is no image {image.name}.", "correct its name", file, line)


class PointDataset(Dataset[dict[str, torch.Tensor]]):
    """Images as uint8, and their points as fractions of width and height."""

    def __init__(self, file: str, size: int) -> None:
        self.rows, self.size = list(read_rows(file)), size
        self.im_files = [str(image) for image, _ in self.rows]  # the host draws predictions on the first of them

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        file, numbers = self.rows[index]
        image = read_image(file)
        points = torch.tensor(numbers).view(-1, 2) / torch.tensor([image.shape[1], image.shape[0]])
        return {"img": as_tensor(image, self.size), "points": points}


def read_image(file: Path) -> Any:
    """Return an image as OpenCV reads it: height x width x 3, uint8, BGR."""
    image = cv2.imread(str(file))
    if image is None:
        raise DatasetError(Problem("this is no image.", where=str(file)))
    return image


def as_tensor(image: Any, size: int) -> torch.Tensor:
    """Return an image stretched to a square, as the network takes it."""
    return torch.from_numpy(cv2.resize(image, (size, size)).transpose(2, 0, 1).copy())


def draw_points(image: Any, points: list[Mapping[str, Any]]) -> Any:
    """Return a copy of an image with a cross and a name for each point."""
    drawn, size = image.copy(), max(image.shape[:2])
    for point in points:
        place = (round(point["x"]), round(point["y"]))
        cv2.drawMarker(drawn, place, (255, 255, 255), cv2.MARKER_CROSS, max(size // 12, 5))
        cv2.putText(drawn, point["name"], place, cv2.FONT_HERSHEY_SIMPLEX, size / 640 + 0.2, (255, 255, 255))
    return drawn


def draw_sample(folder: Path) -> Path:
    """Draw discs in three colours on noise, the same ones every time; return the YAML."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 64), ("val", 16)):
        rows = []
        for i in range(count):
            image = rng.integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
            points = rng.integers(6, SIZE - 6, (len(DISCS), 2)).tolist()
            for point, colour in zip(points, DISCS.values(), strict=True):
                cv2.circle(image, point, 4, colour, -1)
            cv2.imwrite(str(folder / f"{split}{i:02}.png"), image)
            rows.append(",".join(map(str, [f"{split}{i:02}.png", *sum(points, [])])))
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = folder / "points.yaml"
    data.write_text(yaml.safe_dump({"points": list(DISCS), "train": "train.csv", "val": "val.csv"}), encoding="utf-8")
    return data
