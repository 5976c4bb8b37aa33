"""The labels that the host hands to the engine are those of the engine's own scan, to the bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.version import Version
from PIL import Image

from tests.support.yolo_datasets import examined

pytestmark = pytest.mark.usefixtures("own_cache")

ORIENTATION = 0x0112
FORMATS = ("jpg", "JPG", "jpeg", "png", "bmp", "webp", "tif")
MODES = ("RGB", "L", "P", "RGBA")
MARK = "\ufeff" if Version(version("ultralytics")) >= Version("8.4.185") else ""
"""A byte-order mark, at which earlier releases of the engine drop an image."""
STEMS = ("plain {}", "günter-{}", "a.b.{}", "{}", "images{}", "x_{}")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    import ultralytics.data  # noqa: F401  outside of any captured stream, which its log would otherwise keep


@pytest.fixture(autouse=True)
def no_fonts(engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the engine from fetching the font that it draws with."""
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda *_: None)


@dataclass
class Made:
    """A dataset, and the settings that it is read with."""

    file: Path
    task: str = "detect"
    settings: dict[str, Any] = field(default_factory=dict)


def both(made: Made, split: str, rect: bool = False) -> tuple[Any, Any]:
    """Return the datasets of the host and of the engine, which reads after the host and writes next to the labels."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    from trainer_detect.dataset import parsed_dataset
    from trainer_host import LoaderContext

    mode = "train" if split == "train" else "val"
    args = get_cfg(overrides={"imgsz": 64, "task": made.task, "split": "val", **made.settings})
    read = examined(made.file, made.task, **made.settings)
    assert [f for f in read.findings if f.severity == "error"] == []
    random.seed(5)
    kept = {"task": made.task, "engine_task": made.task, "args": args, "data": read}
    ours = parsed_dataset(LoaderContext(**kept, path=read[split], mode=mode, batch_size=4), rect=rect)
    state = random.getstate()

    random.seed(5)
    data = check_det_dataset(str(made.file))
    if args.single_cls:
        data["names"], data["nc"] = {0: "item"}, 1
    stock = build_yolo_dataset(args, data[split], 4, data, mode=mode, rect=rect, stride=32)
    assert random.getstate() == state
    return ours, stock


def compare(made: Made, split: str, rect: bool = False) -> Any:
    ours, stock = both(made, split, rect)
    assert ours.im_files == stock.im_files
    assert ours.label_files == stock.label_files or rect
    assert len(ours.labels) == len(stock.labels) == ours.ni == stock.ni
    for one, other in zip(ours.labels, stock.labels, strict=True):
        assert list(one) == list(other)
        for key, value in other.items():
            assert same(one[key], value), (other["im_file"], key, one[key], value)
    if rect:
        assert same(ours.batch_shapes, stock.batch_shapes)
        assert same(ours.batch, stock.batch)
    return ours


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal in type, shape and every bit."""
    if type(one) is not type(other):
        return False
    if isinstance(other, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# Datasets drawn at random


class Maker:
    """Draws one dataset.

    Args:
        folder: Where it goes.
        seed: By which it differs from others.
        kind: What its rows are: one of `KINDS`.
    """

    def __init__(self, folder: Path, seed: int, kind: str) -> None:
        self.folder, self.draw, self.kind = folder / "data set", random.Random(seed), kind
        self.points = self.draw.randint(1, 4)
        self.classes = self.draw.randint(1, 4)

    def make(self) -> Made:
        pose = self.kind.startswith("pose")
        keys: dict[str, Any] = {s: self.split(s) for s in ("train", "val")}
        keys["names"] = [f"thing {i}" for i in range(self.classes)]
        if "pose" in self.kind:
            keys["kpt_shape"] = [self.points, int(self.kind[-1])]
        file = self.folder / "data.yaml"
        file.write_text(yaml.safe_dump(keys), encoding="utf-8")
        settings: dict[str, Any] = {"fliplr": 0.0}
        if self.draw.random() < 0.2:
            settings["single_cls"] = True
        if self.draw.random() < 0.2:
            settings["classes"] = self.draw.sample(range(self.classes), self.draw.randint(1, self.classes))
        if self.draw.random() < 0.3:
            settings["fraction"] = self.draw.choice([0.3, 0.5, 0.99])
        return Made(file, "pose" if pose else "detect", settings)

    def split(self, name: str) -> Any:
        """Write a split, and return what the YAML says of it."""
        folders = [f"{name}/images", f"{name}/images/deeper/images"][: self.draw.randint(1, 2)]
        files = [self.image(folder, i) for folder in folders for i in range(self.draw.randint(2, 6))]
        for i, file in enumerate(files):
            self.label(file, certain=i == 0)
        form = self.draw.choice(["folder", "folder", "folders", "list", "lists"])
        if form == "folder":
            return folders[0]
        if form == "folders":
            return folders[:1]
        self.draw.shuffle(files)
        half = len(files) // 2
        parts = [files] if form == "list" else [files[:half], files[half:]]
        lists = [self.list_file(f"{name}{i}.txt", part) for i, part in enumerate(parts) if part]
        return lists[0] if len(lists) == 1 else lists

    def list_file(self, name: str, files: list[Path]) -> str:
        lines = [str(f) if self.draw.random() < 0.5 else f"./{f.relative_to(self.folder).as_posix()}" for f in files]
        mark, end = self.draw.choice(["", MARK]), self.draw.choice(["\n", "\r\n"])
        (self.folder / name).write_bytes((mark + end.join(lines) + self.draw.choice(["", end])).encode())
        return name

    def image(self, folder: str, number: int) -> Path:
        suffix = self.draw.choice(FORMATS)
        file = self.folder / folder / f"{self.draw.choice(STEMS).format(number)}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        size = self.draw.randint(10, 70), self.draw.randint(10, 70)
        noise = np.random.default_rng(self.draw.getrandbits(32)).integers(0, 256, (*size[::-1], 3), np.uint8)
        picture = Image.fromarray(noise)
        options: dict[str, Any] = {}
        if suffix == "png":
            picture = picture.convert(self.draw.choice(MODES))
        if suffix in {"jpg", "png"} and self.draw.random() < 0.5:
            exif = Image.Exif()
            exif[ORIENTATION] = self.draw.randint(1, 8)
            options["exif"] = exif
        picture.save(file, **options)
        return file

    def label(self, image: Path, certain: bool) -> None:
        """Write an image's label file: the first has rows, others may be missing, empty, or hold only blanks."""
        head, _, tail = str(image).rpartition("/images/")
        file = Path(f"{head}/labels/{tail.rpartition('.')[0]}.txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        chance = 1.0 if certain else self.draw.random()
        if chance < 0.15:
            return
        count = 0 if chance < 0.3 else self.draw.randint(1, 5)
        as_polygons = self.kind == "polygon" or (self.kind == "either" and self.draw.random() < 0.5)
        rows = [self.row(as_polygons) for _ in range(count)]
        if count and self.draw.random() < 0.4:
            rows += [self.draw.choice(rows) for _ in range(self.draw.randint(1, 3))]
            self.draw.shuffle(rows)
        end = self.draw.choice(["\n", "\r\n", "\n\n", " \n", "\r"])
        text = self.draw.choice(["", MARK, " ", "\n"]) + end.join(rows) + self.draw.choice(["", end])
        file.write_bytes(text.encode())

    def row(self, polygon: bool) -> str:
        first = [str(self.draw.randrange(self.classes))]
        if self.draw.random() < 0.1:
            first = [self.draw.choice(["{}.0", "+{}", "0{}", "{}e0"]).format(first[0])]
        if polygon:
            return self.join(first + [self.share() for _ in range(2 * self.draw.randint(3, 6))])
        box = [self.share(0.4, 0.6), self.share(0.4, 0.6), self.share(0.1, 0.7), self.share(0.1, 0.7)]
        points = self.point_words() if "pose" in self.kind and self.draw.random() < self.with_points() else []
        return self.join(first + box + points)

    def with_points(self) -> float:
        """The share of rows that have keypoints: all where they are trained on."""
        return 1.0 if self.kind.startswith("pose") else 0.7

    def point_words(self) -> list[str]:
        dims = int(self.kind[-1])
        words = []
        for _ in range(self.points):
            words += [self.share(-0.005, 1.005), self.share(-0.005, 1.005)]
            words += [str(self.draw.choice([0, 1, 2]))] if dims == 3 else []
        return words

    def share(self, low: float = 0.0, high: float = 1.0) -> str:
        value = self.draw.uniform(low, high)
        style = self.draw.choice(["{}", "{:.6f}", "{:.20f}", "{:.3g}", "{:e}", "{:+.4f}"])
        return "-0.0" if low <= 0 and self.draw.random() < 0.02 else style.format(value)

    def join(self, words: list[str]) -> str:
        return self.draw.choice([" ", " ", "\t", "  ", " \t "]).join(words)


KINDS = ("box", "polygon", "either", "pose2", "pose3", "boxes of pose2", "boxes of pose3")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_labels_equal_those_of_the_engine(tmp_path: Path, kind: str, seed: int) -> None:
    made = Maker(tmp_path, seed, kind).make()
    compare(made, "train")
    compare(made, "val")


@pytest.mark.parametrize("kind", ["box", "pose3"])
@pytest.mark.parametrize("seed", range(100, 104))
def test_rectangles_equal_those_of_the_engine(tmp_path: Path, kind: str, seed: int) -> None:
    made = Maker(tmp_path, seed, kind).make()
    compare(made, "val", rect=True)
    compare(made, "train", rect=True)


# Datasets with one thing in them


def simple(folder: Path, rows: dict[str, str], keys: dict[str, Any] | None = None, suffix: str = "png") -> Made:
    """Write a dataset with an image and a label file of each name."""
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for i, (name, text) in enumerate(rows.items()):
            shade = 10 * i + (5 if split == "val" else 0)
            Image.new("RGB", (40, 30), (shade, 60, 60)).save(folder / "images" / split / f"{name}.{suffix}")
            (folder / "labels" / split / f"{name}.txt").write_bytes(text.encode())
    file = folder / "data.yaml"
    reported = {"train": "images/train", "val": "images/val", "names": ["one", "two"], **(keys or {})}
    file.write_text(yaml.safe_dump(reported))
    return Made(file, "pose" if "kpt_shape" in reported else "detect", {"fliplr": 0.0})


ROWS: dict[str, dict[str, str]] = {
    "duplicates": {"a": "1 .5 .5 .2 .2\n0 .4 .4 .2 .2\n1 .5 .5 .2 .2\n", "b": "0 .5 .5 .1 .1\n"},
    "duplicates in single precision": {"a": "0 .1 .5 .2 .2\n0 .1000000000000001 .5 .2 .2\n0 .05 .5 .2 .2\n"},
    "zeros of either sign": {"a": "1 .3 .3 .2 .2\n0 0.0 .5 .2 .2\n0 -0.0 .5 .2 .2\n"},
    "the same row in two files": {"a": "0 .5 .5 .2 .2\n", "b": "0 .5 .5 .2 .2\n"},
    "polygons of one box": {"a": "0 .1 .1 .9 .1 .9 .9\n0 .1 .1 .9 .9 .1 .9\n0 .1 .1 .9 .1 .9 .9\n1 .2 .2 .3 .2 .3 .3"},
    "boxes and polygons apart": {"a": "0 .1 .1 .9 .1 .9 .9\n", "b": "0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n"},
    "only backgrounds but one": {"a": "", "b": "\n \n", "c": "0 .5 .5 .2 .2"},
    "carriage returns": {"a": "0 .5 .5 .2 .2\r0 .4 .5 .2 .2\r\r\n1 .3 .5 .2 .2"},
    "odd blanks": {"a": "\t0  .5\t.5 .2 .2 \n\n\n   1 .3 .5 .2 .2\n"},
    "vertical tabs and form feeds": {"a": "0 .5 .5 .2 .2\x0b1 .3 .5 .2 .2\x0c0 .1 .1 .1 .1\n"},
    "blanks of other scripts": {"a": "0\u00a0.5\u2003.5 .2 .2\u20281 .3 .5 .2 .2\x851 .2 .2 .1 .1\n"},
    "a mark before the text": {"a": f"{MARK}0 .5 .5 .2 .2\n", "b": MARK},
    "many digits": {"a": f"0 0.{'3' * 400} .5 {'0' * 30}.25 2{'0' * 9}e-10\n"},
    "tiny numbers": {"a": "0 .5 .5 1e-30 1e-45\n0 .5 .5 1e-46 1e-320\n"},
    "a little outside": {"a": "0 1.01 -0.01 .2 .2\n0 -0.005 1.005 1.01 1\n"},
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_rows_equal_those_of_the_engine(tmp_path: Path, rows: dict[str, str]) -> None:
    compare(simple(tmp_path, rows), "train")


@pytest.mark.parametrize("dims", [2, 3])
def test_rows_of_keypoints_with_duplicates(tmp_path: Path, dims: int) -> None:
    point = ".3 -0.005" + " 0" * (dims - 2)
    row = f"0 .5 .5 .2 .2 {point} .4 .4{' 2' * (dims - 2)}\n"
    other = row.replace(".4 .4", ".4 .41")
    made = simple(tmp_path, {"a": other + row + other, "b": "", "c": row}, {"kpt_shape": [2, dims]})
    ours = compare(made, "train")
    assert [len(label["keypoints"]) for label in ours.labels] == [2, 0, 1]


def test_boxes_whose_keypoints_differ_are_one_box_to_a_task_of_boxes(tmp_path: Path) -> None:
    rows = "".join(f"0 .5 .5 .2 .2 .3 .{i} 2\n" for i in range(1, 4))
    made = simple(tmp_path, {"a": rows, "b": "0 .4 .5 .2 .2\n"}, {"kpt_shape": [1, 3]})
    made.task = "detect"
    assert [len(label["cls"]) for label in compare(made, "train").labels] == [1, 1]


@pytest.mark.parametrize("settings", [{"single_cls": True}, {"classes": [1]}, {"single_cls": True, "classes": [1]}])
def test_settings_that_change_labels(tmp_path: Path, settings: dict[str, Any]) -> None:
    rows = {"a": "0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n", "b": "1 .3 .3 .1 .1\n", "c": "0 .1 .1 .1 .1 \n"}
    made = simple(tmp_path, rows)
    made.settings |= settings
    compare(made, "train")
    again = examined(made.file, "detect", **made.settings).splits["train"]
    assert again.values[::5].tolist() == [0, 1, 1, 0], "what was read is not what the engine has changed"


def test_a_number_of_images_instead_of_a_share(tmp_path: Path) -> None:
    made = simple(tmp_path, dict.fromkeys("abcdef", "0 .5 .5 .2 .2\n"))
    for fraction, count in ((2, 2), (100, 6), (0.5, 3), (0.01, 1)):
        made.settings["fraction"] = fraction
        assert len(compare(made, "train")) == count


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_turned_images(tmp_path: Path, suffix: str, orientation: int) -> None:
    made = simple(tmp_path, {"a": "0 .5 .5 .2 .2\n", "b": "0 .5 .5 .2 .2\n"}, suffix=suffix)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "train" / f"a.{suffix}", exif=exif)
    compare(made, "train")


def hidden(root: Path) -> None:
    (root / "images" / "train" / ".hidden.png").write_bytes((root / "images" / "train" / "a.png").read_bytes())
    (root / "images" / "train" / ".folder").mkdir()
    Image.new("RGB", (20, 20)).save(root / "images" / "train" / ".folder" / "b.png")


def linked(root: Path) -> None:
    (root / "images" / "train" / "linked.png").symlink_to(root / "images" / "val" / "a.png")
    (root / "labels" / "train" / "linked.txt").symlink_to(root / "labels" / "val" / "a.txt")


def linked_folder(root: Path) -> None:
    (root / "images" / "more").mkdir()
    Image.new("RGB", (20, 20)).save(root / "images" / "more" / "m.png")
    (root / "images" / "train" / "more").symlink_to(root / "images" / "more")


def beside(root: Path) -> None:
    (root / "images" / "train" / "notes.txt").write_text("nothing")
    (root / "images" / "train" / "noending").write_text("nothing")
    (root / "labels" / "train" / "classes.txt").write_text("one\ntwo\n")


def ordered(root: Path) -> None:
    for name in ("A", "b", "a-", "a_", "a0", "a ", "Z", "é", "a.b"):
        shade = sum(name.encode()) % 256
        Image.new("RGB", (20, 20), (shade, 0, 0)).save(root / "images" / "train" / f"{name}.png")
    (root / "images" / "train" / "a").mkdir()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(root / "images" / "train" / "a" / "z.png")


@pytest.mark.parametrize("change", [hidden, linked, linked_folder, beside, ordered], ids=lambda f: f.__name__)
def test_what_lies_in_the_folders(tmp_path: Path, change: Callable[[Path], None]) -> None:
    made = simple(tmp_path, {"a": "0 .5 .5 .2 .2\n"})
    change(tmp_path)
    compare(made, "train")


SOURCES: dict[str, tuple[Any, dict[str, str]]] = {
    "a folder twice": (["images/train", "images/train"], {}),
    "a folder and one in it": (["images", "images/train"], {}),
    "a list with an image twice": ("list.txt", {"list.txt": "./images/train/a.png\n./images/train/a.png\n"}),
    "a list and a folder": (["list.txt", "images/train"], {"list.txt": "./images/train/a.png\n"}),
    "a list with other files": ("list.txt", {"list.txt": "./images/train/a.png\n\n./images/train/b.png\n"}),
}


@pytest.mark.parametrize(("train", "files"), SOURCES.values(), ids=SOURCES.keys())
def test_images_from_several_places(tmp_path: Path, train: Any, files: dict[str, str]) -> None:
    made = simple(tmp_path, {"a": "0 .5 .5 .2 .2\n", "b": "1 .5 .5 .2 .2\n"}, {"train": train})
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    compare(made, "train")


def test_a_list_with_paths_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = simple(tmp_path, {"a": "0 .5 .5 .2 .2\n", "b": "1 .5 .5 .2 .2\n"}, {"train": "list.txt"})
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path.name}/images/train/{n}.png\n" for n in "ba"))
    monkeypatch.chdir(tmp_path.parent)
    ours, stock = both(made, "train")
    assert [Path(f).resolve() for f in stock.im_files] == [Path(f) for f in ours.im_files]
    assert all(same(one["bboxes"], other["bboxes"]) for one, other in zip(ours.labels, stock.labels, strict=True))
