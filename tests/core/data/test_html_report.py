"""The HTML report of a dataset: whole, harmless, and right in its figures; read by a parser and by a browser."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from trainer_host import Box, DataContext, Finding, Histogram, LabelContext, Line, Point, Shape
from trainer_host.data.description import Description, Split
from trainer_host.data.report import write_report
from trainer_host.data.report.charts import own_histograms, size_chart
from trainer_host.data.report.overlay import draw, draw_mirrored
from trainer_host.data.report.pictures import WHOLE, View, closest_view, detail_view, load_picture

EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "input", "br", "img", "link"}


class Hooks:
    """What a task would answer."""

    def __init__(self, shapes: Sequence[Shape] = (), histograms: Sequence[Histogram] = ()) -> None:
        self.shapes, self.found, self.asked = shapes, histograms, list[LabelContext]()

    def annotate_image(self, ctx: LabelContext) -> Sequence[Shape] | None:
        self.asked.append(ctx)
        return self.shapes

    def histograms(self, ctx: DataContext) -> list[Iterator[Histogram]]:
        return [iter(self.found)]


class Page(HTMLParser):
    """Reads a page and sees that every element is closed where it should be."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in attributes.items())]


def write_image(file: str | Path, width: int = 64, height: int = 48, fill: Any = (90, 140, 200)) -> None:
    done, data = cv2.imencode(".png", np.full((height, width, 3), fill, np.uint8))
    assert done
    Path(file).write_bytes(data.tobytes())


def dataset(
    folder: Path, *images: str, rows: Sequence[Any] | None = None, split: str = "train", **keys: Any
) -> Description:
    """Return a dataset of small images, each with one row unless given."""
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in images]
    for file in files:
        if not file.exists():
            write_image(file)
    given = rows or [[[0, 0.5, 0.5, 0.2, 0.2]]] * len(files)
    found, _ = Split.from_rows(split, files, given, [f.with_suffix(".txt") for f in files])
    return Description({"names": {0: "cat"}, **keys}, file=folder / "data.yaml", splits={split: found})


def report(data: Description, findings: Sequence[Finding] = (), hooks: Hooks | None = None) -> Page:
    ctx = DataContext(task="shapes", engine_task="detect", args=SimpleNamespace(), data=data, source=data.file)
    path = Path(data.file).with_name("report.html")
    write_report(path, data, findings, hooks or Hooks(), ctx)
    return Page(path.read_text(encoding="utf-8"))


# --- the page -----------------------------------------------------------------------------------------------------


def test_it_says_what_the_dataset_is(tmp_path: Path) -> None:
    data = dataset(tmp_path / "cats", "a.png", "b.png", "c.png", rows=[[[0, 0.5, 0.5, 1, 1]] * 3, [], []])
    page = report(data)
    assert data.fingerprint() in page.text
    assert "shapes" in page.text
    assert "Ready to train. No problems found." in page.text
    assert "train 3 1 2 0 3" in page.text


@pytest.mark.parametrize(
    ("errors", "warnings", "verdict"),
    [
        (1, 0, "Not ready to train: 1 error."),
        (2, 1, "Not ready to train: 2 errors and 1 warning."),
        (0, 2, "Ready to train, with 2 warnings."),
    ],
)
def test_the_verdict(tmp_path: Path, errors: int, warnings: int, verdict: str) -> None:
    found = [Finding("bad", "It is bad.")] * errors + [Finding("odd", "It is odd.", severity="warning")] * warnings
    assert verdict in report(dataset(tmp_path, "a.png"), found).text


def test_findings_are_grouped_errors_first_with_places_and_fixes(tmp_path: Path) -> None:
    label = str(tmp_path / "labels" / "a.txt")
    found = [
        Finding("odd", "It is odd.", "make it even", label, 1, "warning"),
        Finding("bad", "It is bad 1.", "make it good", label, 2),
        Finding("bad", "It is bad 2.", "make it good", label, 3),
    ]
    text = report(dataset(tmp_path, "a.png"), found).text
    assert text.index("bad 2 times It is bad 1. Fix make it good") < text.index("odd It is odd. Fix make it even")
    assert "labels/a.txt:2 labels/a.txt:3 It is bad 2." in text


def test_many_places_are_counted(tmp_path: Path) -> None:
    found = [Finding("bad", f"It is bad {i}.", "", str(tmp_path / "a.txt"), i) for i in range(1, 1001)]
    page = report(dataset(tmp_path, "a.png"), found)
    assert "1,000 times" in page.text
    assert "and 700 more" in page.text
    assert "a.txt:300 " in page.text
    assert "a.txt:301 " not in page.text


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path) -> None:
    page = report(dataset(tmp_path, "a.png"), hooks=Hooks([Box(0.1, 0.1, 0.2, 0.2, "cat")]))
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    sources = [a[k] or "" for _, a in page.tags for k in ("src", "href", "action", "style") if k in a]
    assert all(s.startswith(("#", "data:image/jpeg;base64,", "background:hsl(")) for s in sources)
    assert not any(k.startswith("on") for _, a in page.tags for k in a)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in (policy["content"] or "")
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in source and "url(" not in source and "http://" not in source and "https://" not in source


def test_names_of_all_kinds_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<b>data"
    name = EVIL.replace("/", "") + ".png"
    data = dataset(folder, name)
    shapes = [Box(0.1, 0.1, 0.5, 0.5, EVIL), Point(0.5, 0.5, EVIL), Line(0, 0, 1, 1)]
    histogram = Histogram(EVIL, (EVIL,), {"train": (1,), EVIL: (2,)}, EVIL)
    finding = Finding(EVIL, EVIL, EVIL, str(folder / name), 1, "error", "train", data.splits["train"].images[0])
    page = report(data, [finding, finding], Hooks(shapes, [histogram]))
    assert not page.all("script") and len(page.all("b")) == 1  # the page's own, before the one fix
    assert EVIL in page.text
    assert "<b>data" in page.text
    assert name in page.text


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff\x01.png")
    try:
        write_image(tmp_path / name)
    except OSError:
        pytest.skip("the file system takes no such name")
    data = dataset(tmp_path, name, names={0: "\ud800"})
    found = [Finding("bad", f"{name} \x00", "", str(tmp_path / name), None, "error", "train", str(tmp_path / name))]
    page = report(data, found, Hooks([Point(0.5, 0.5, "\udcff")]))
    assert r"bad\udcff\x01.png" in page.text


def test_a_dataset_of_which_nothing_could_be_read(tmp_path: Path) -> None:
    data = Description({}, file=tmp_path / "data.yaml")
    page = report(data, [Finding("yaml-syntax", "It is not YAML.", "fix it", str(tmp_path / "data.yaml"), 3)])
    assert "data.yaml:3" in page.text
    assert page.all("a") == [{"href": "#findings"}]


def test_the_same_dataset_has_the_same_report(tmp_path: Path) -> None:
    data = dataset(tmp_path, "a.png", "b.png")
    report(data)
    first = (tmp_path / "report.html").read_bytes()
    report(data)
    assert (tmp_path / "report.html").read_bytes() == first


# --- charts -------------------------------------------------------------------------------------------------------


def test_bars_are_shares_of_their_split_and_numbers_are_counts(tmp_path: Path) -> None:
    counts = {"train": (30, 10), "val": (1, 1), "test": (0, 0)}
    page = report(dataset(tmp_path, "a.png"), hooks=Hooks(histograms=[Histogram("Legs", ("two", "four"), counts)]))
    assert "Legs train val two train: 75.0 % val: 50.0 % 30 1 four train: 25.0 % val: 50.0 % 10 1" in page.text
    bars = [(a["class"], a["width"]) for a in page.all("rect") if a.get("class") in {"train", "val"}][-4:]
    assert bars == [("train", "100.00%"), ("val", "66.67%"), ("train", "33.33%"), ("val", "66.67%")]


@pytest.mark.parametrize("bars", [0, 1, 80, 1000])
def test_histograms_of_any_length(tmp_path: Path, bars: int) -> None:
    histogram = Histogram("Names", tuple(map(str, range(bars))), {"train": tuple(range(bars))})
    page = report(dataset(tmp_path, "a.png"), hooks=Hooks(histograms=[histogram]))
    assert ("700 more bars not shown" in page.text) == (bars == 1000)


@pytest.mark.parametrize(
    ("objects", "labels", "counts"),
    [
        ([0, 1, 1], ("0", "1"), (1, 2)),
        ([0, 3, 7, 8], ("0", "1", "2", "3", "4", "5", "6 to 8"), (1, 0, 0, 1, 0, 0, 2)),
        ([10, 11], ("0", "1", "2", "3", "4", "5", "6 to 10", "11"), (0, 0, 0, 0, 0, 0, 1, 1)),
    ],
)
def test_objects_of_an_image_are_counted(
    tmp_path: Path, objects: list[int], labels: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    rows = [[[0, 0.5, 0.5, 0.1, 0.1]] * n for n in objects]
    data = dataset(tmp_path, *(f"{i}.png" for i in range(len(objects))), rows=rows)
    (found,) = own_histograms(data)
    assert (found.labels, found.counts["train"]) == (labels, counts)


def test_sizes_of_images(tmp_path: Path) -> None:
    data = dataset(tmp_path, "a.png", "b.png")
    assert "All images are 64 &times; 48 pixels." in size_chart(data)
    write_image(tmp_path / "c.png", 32, 128)
    found = size_chart(dataset(tmp_path, "a.png", "b.png", "c.png"))
    Page(found)
    assert "train: 2 images of 64 &times; 48" in found
    assert "2 sizes, most often 64 &times; 48 (2 images); 32 &times; 128 (1 image)." in found


# --- pictures -----------------------------------------------------------------------------------------------------


def placed(drawing: str) -> list[tuple[float, float]]:
    return [(float(a["cx"] or ""), float(a["cy"] or "")) for a in Page(drawing).all("circle")]


def test_points_are_where_they_belong_also_mirrored_and_in_detail(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 640, 320)
    picture = load_picture(str(tmp_path / "a.png"), (320, 640))
    assert picture is not None
    assert (picture.width, picture.height) == (320, 160)
    assert placed(draw(picture, [Point(0.25, 0.5)], "p", "")) == [(80, 80)]
    assert placed(draw_mirrored(picture, [Point(0.75, 0.5)], "p", "")) == [(240, 80)]

    # A detail of 160 by 160 pixels from (320, 80); a pixel is two units of the drawing.
    picture = load_picture(str(tmp_path / "a.png"), (320, 640), View(0.5, 0.25, 0.25, 0.5))
    assert picture is not None
    assert (picture.width, picture.height) == (320, 320)
    assert placed(draw(picture, [Point(400 / 640, 100 / 320)], "p", "")) == [(160, 40)]
    # Mirrored the detail begins at 640 - 480 = 160.
    assert placed(draw_mirrored(picture, [Point(170 / 640, 100 / 320)], "p", "")) == [(20, 40)]


def test_numbers_of_any_size_are_drawn_harmlessly(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    picture = load_picture(str(tmp_path / "a.png"), (48, 64))
    assert picture is not None
    nan, inf = float("nan"), float("inf")
    shapes = [Point(nan, 0.5), Point(inf, 0.5), Box(0, 0, nan, 1), Line(0, 0, 1, -inf), Point(1e30, -1e30, "far")]
    shapes += [Box(0.5, 0.5, -0.2, 1e300, "odd", 10**400), Point(0, 0, "x" * 1000, colour=-1)]
    drawing = draw(picture, shapes, "p", "")
    assert not re.search("nan|inf|e[+]", drawing)
    assert len(placed(drawing)) == 2


def test_names_hide_neither_each_other_nor_points(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 320, 320)
    picture = load_picture(str(tmp_path / "a.png"), (320, 320))
    assert picture is not None
    far = Page(draw(picture, [Point(0.2, 0.2, "one"), Point(0.8, 0.8, "two")], "p", ""))
    assert len(far.all("text")) == 2
    close = Page(draw(picture, [Point(0.5, 0.5 + i / 1000, f"name {i}") for i in range(30)], "p", ""))
    assert 0 < len(close.all("text")) < 30
    crowded = Page(draw(picture, [Point(i / 50, i / 50, f"name {i}") for i in range(50)], "p", ""))
    assert len(crowded.all("text")) == 0
    assert len(crowded.all("circle")) == 50


def test_a_name_is_next_to_its_own_point_or_has_a_line_to_it(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 320, 320)
    picture = load_picture(str(tmp_path / "a.png"), (320, 320))
    assert picture is not None
    places = {"snout": (0.5, 0.5), "left": (0.53, 0.5), "right": (0.56, 0.5), "tail": (0.59, 0.5), "alone": (0.1, 0.1)}
    drawn = str(draw(picture, [Point(x, y, name) for name, (x, y) in places.items()], "p", ""))
    found = re.findall(r'<text class="name of-point" x="([\d.]+)" y="([\d.]+)">(\w+)<', drawn)
    texts = [(float(x), float(y), name) for x, y, name in found]
    led = re.findall(r'<line class="leader" x1="([\d.]+)" y1="([\d.]+)"', drawn)
    ends = [(float(x) / 320, float(y) / 320) for x, y in led]
    assert len(texts) == len(places)
    for left, base, name in texts:
        right, middle = left + len(name) * 6.4, base - 3.6
        away = {
            n: math.hypot(max(left - x * 320, 0, x * 320 - right), middle - y * 320) for n, (x, y) in places.items()
        }
        own = any(math.dist(end, places[name]) < 0.001 for end in ends)
        assert own or min(away, key=lambda n: away[n]) == name
    assert not any(math.dist(end, places["alone"]) < 0.001 for end in ends)


def test_small_objects_are_shown_in_detail() -> None:
    view = closest_view([Point(0.5, 0.5), Point(0.6, 0.6)], (1000, 1000))
    assert np.allclose([view.left, view.top, view.width, view.height], [0.47, 0.47, 0.16, 0.16])
    edge = closest_view([Box(0, 0.9, 0.05, 0.1)], (1000, 1000))
    assert np.allclose([edge.left, edge.top, edge.width, edge.height], [0, 0.84, 0.16, 0.16])
    assert closest_view([], (1000, 1000)) == WHOLE
    assert closest_view([Box(0.1, 0.1, 0.7, 0.7)], (1000, 1000)) == WHOLE
    assert closest_view([Point(-0.5, 0.5), Point(0.6, 0.6)], (1000, 1000)) == WHOLE
    assert closest_view([Point(0.001, 0.5)], (20, 30)) == WHOLE


def test_of_a_crowd_one_object_is_shown_in_detail() -> None:
    crowd: list[Shape] = [Box(0.6, 0.6, 0.1, 0.2), *(Point(0.65, 0.6 + i / 200) for i in range(30))]
    assert detail_view(crowd, (1000, 1000)) == WHOLE
    crowd += [Box(0.1, 0.1, 0.1, 0.1), *(Point(0.15, 0.1 + i / 200) for i in range(15))]
    view = detail_view(crowd, (1000, 1000))
    assert np.allclose([view.left, view.top, view.width, view.height], [0.525, 0.575, 0.25, 0.25])


def pixels(kind: str) -> Any:
    colour = np.zeros((300, 500, 3), np.uint8)
    colour[:, :250] = (0, 0, 255)
    kinds = {
        "grayscale": colour[..., 2],
        "16 bit": colour.astype(np.uint16) * 257,
        "alpha": cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA),
        "large": cv2.resize(colour, (4000, 2400), interpolation=cv2.INTER_NEAREST),
        "small": cv2.resize(colour, (50, 30), interpolation=cv2.INTER_NEAREST),
    }
    return kinds.get(kind, colour)


PLAIN_KINDS = ("colour", "grayscale", "large", "small")
KINDS = [(kind, suffix) for kind in PLAIN_KINDS for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif")]
KINDS += [(kind, suffix) for kind in ("16 bit", "alpha") for suffix in (".png", ".tif")]


@pytest.mark.parametrize(("kind", "suffix"), KINDS)
def test_pictures_of_all_kinds_are_shrunk(tmp_path: Path, kind: str, suffix: str) -> None:
    image = pixels(kind)
    file = tmp_path / f"a{suffix}"
    file.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    picture = load_picture(str(file), image.shape[:2])
    assert picture is not None
    shown = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(shown.shape) == min(480, image.shape[1])
    assert shown[5, 5, 2] > 240 and shown[-5, -5, 2] < 15
    assert (picture.width, picture.height) == (320, pytest.approx(192, abs=1))


def test_what_cannot_or_must_not_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    write_image(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("text.jpg", "empty.jpg", "none.jpg", "pipe.jpg", "."):
        assert load_picture(str(tmp_path / name), (48, 64)) is None
    assert load_picture(str(tmp_path / "a.png"), (0, 0)) is None
    assert load_picture(str(tmp_path / "a.png"), (20_000, 9_000)) is None


def test_samples_are_spread_and_shown_with_their_mirror_image(tmp_path: Path) -> None:
    rows = [[[0, 0.5, 0.5, 0.5, 0.5]] * (2 if i % 10 == 4 else 1) for i in range(120)]
    data = dataset(tmp_path, *(f"{i:03}.png" for i in range(120)), rows=rows)
    hooks = Hooks([Box(0, 0, 1, 1, "cat"), Point(0.5, 0.5, "tip", colour=2), Point(0.5, 0.5, "tail", colour=1)])
    page = report(data, hooks=hooks)
    shown = [a["aria-label"] or "" for a in page.all("svg", role="img")]
    assert [s for s in shown if "mirrored" not in s] == [f"{i:03}.png with its labels" for i in range(4, 120, 10)]
    mirrored = {c.image for c in hooks.asked if c.mirrored}
    assert mirrored == set(range(4, 120, 10))
    assert all(c.data is data and c.split == "train" for c in hooks.asked)
    uses = [a["href"] for a in page.all("use")]
    assert uses == [f"#{a['id']}" for a in page.all("image")]
    assert page.text.index("tail") < page.text.index("tip")


def test_all_splits_have_samples_and_bad_images_are_none(tmp_path: Path) -> None:
    data = dataset(tmp_path, *(f"{i:02}.png" for i in range(30)))
    data = replace(data, splits={**data.splits, **dataset(tmp_path, "v.png", split="val").splits})
    bad = data.splits["train"].of_image(0, "bad", "It is bad.")
    page = report(data, [bad])
    samples = [a["aria-label"] or "" for a in page.all("svg", role="img")]
    assert sum("v.png with" in s for s in samples) == 1
    assert sum("00.png" in s for s in samples) == 1  # among the faulty ones
    assert len(page.all("figure")) == 6 + 1 + 1


def test_images_at_fault_are_spread_over_the_kinds_of_findings(tmp_path: Path) -> None:
    data = dataset(tmp_path, *(f"{i:02}.png" for i in range(50)))
    train = data.splits["train"]
    found = [train.of_row(i, "often", f"It is bad {i}.") for i in range(45)]
    found += [train.of_image(i, "rare", f"It is odd {i}.", severity="warning") for i in (44, 48, 49)]
    found.append(Finding("gone", "It is gone.", image=str(tmp_path / "gone.png"), file=str(tmp_path / "gone.png")))
    page = report(data, found)
    assert len(page.all("figure", **{"class": "card fault"})) == 24
    assert "24 images are shown of 48." in page.text
    for words in ("It is bad 44.", "It is odd 49.", "This image cannot be shown. gone.png It is gone."):
        assert words in page.text


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    data = dataset(tmp_path, "a.png")
    page = report(data, [data.splits["train"].of_image(0, "image-bomb", "It is a bomb.")])
    assert not page.all("image")
    assert "This image cannot be shown." in page.text


def test_a_report_of_large_images_stays_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    image = cv2.imencode(".jpg", cv2.resize(noise, (1600, 1200)))[1].tobytes()
    names = [f"{i:02}.jpg" for i in range(40)]
    for name in names:
        (tmp_path / name).write_bytes(image)
    data = dataset(tmp_path, *names)
    report(data, [data.splits["train"].of_image(i, "odd", "It is odd.", severity="warning") for i in range(40)])
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


# --- a browser ----------------------------------------------------------------------------------------------------

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="there is no browser")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")


def browse(page: Path, folder: Path) -> tuple[list[str], Any]:
    """Return what a browser has to say of a page, and how it looks, as BGR."""
    assert BROWSER is not None
    shot = folder / "shot.png"
    words = [f"--user-data-dir={folder / 'profile'}", f"--screenshot={shot}", "--window-size=1200,1400", page.as_uri()]
    done = subprocess.run(
        [BROWSER, *OPTIONS, *words], capture_output=True, text=True, errors="replace", timeout=120, check=True
    )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return said, cv2.imread(str(shot), cv2.IMREAD_COLOR)


@needs_browser
def test_a_browser_shows_it_without_a_complaint(tmp_path: Path) -> None:
    halves = np.zeros((400, 400, 3), np.uint8)
    halves[:, :200], halves[:, 200:] = (0, 0, 255), (255, 0, 0)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", halves)[1].tobytes())
    data = dataset(tmp_path, "a.png")
    report(data, [Finding(EVIL, EVIL, EVIL)], Hooks([Box(0.1, 0.1, 0.8, 0.8, EVIL)]))
    said, look = browse(tmp_path / "report.html", tmp_path)
    assert said == []
    # Along some row the image, red and blue, and its mirror image, blue and red.
    red = (look[..., 2] > 240) & (look[..., :2] < 15).all(2)
    blue = (look[..., 0] > 240) & (look[..., 1:] < 15).all(2)
    best = int((red | blue).sum(1).argmax())
    runs = [name for name, run in groupby("RB"[int(b)] for r, b in zip(red[best], blue[best], strict=True) if r or b)]
    assert runs == ["R", "B", "R"]
    assert int(red[best].sum()) > 200


@needs_browser
def test_the_policy_keeps_a_browser_from_loading_anything(tmp_path: Path) -> None:
    report(dataset(tmp_path, "a.png"))
    page = tmp_path / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</main>", '<img src="other.png" alt=""></main>'))
    said, _ = browse(page, tmp_path)
    assert any("other.png" in line for line in said)
