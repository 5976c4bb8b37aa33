"""What only decoding shows: damaged pictures, and pictures that nearly repeat in another split."""

import io
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from trainer_host.base.findings import Finding
from trainer_host.data.deep_check import inspect_pixels
from trainer_host.data.description import Description, Split
from trainer_host.data.near_duplicates import SIDE, Pair, find_pairs, proposed_split, video_of


def scene(seed, size=(160, 120), shift=(0, 0), light=0):
    """Draw a smooth picture that no other seed gives; a shift is in shares of the size."""
    rng = np.random.default_rng(seed)
    base = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8))
    large = base.resize((size[0] * 2, size[1] * 2), Image.Resampling.BICUBIC)
    left, top = round(size[0] * (0.5 + shift[0])), round(size[1] * (0.5 + shift[1]))
    picture = large.crop((left, top, left + size[0], top + size[1]))
    return picture.point(lambda v: v * 0.8 + 20 + light)


def arena(x, y, animal=14):
    """Draw what a camera that stands still sees: a floor with a gradient, and an animal on it."""
    across, down = np.meshgrid(np.arange(160), np.arange(120))
    floor = 150 + 60 * np.sin(across / 40) + 20 * np.cos(down / 30)
    floor[np.hypot((across - x * 160) / 2, down - y * 120) < animal / 2] = 20
    return Image.fromarray(floor.astype(np.uint8))


def dataset(root, **splits):
    """Save pictures as a dataset; a split is a mapping of names to images or bytes."""
    out = {}
    findings = []
    for name, pictures in splits.items():
        folder = root / "images" / name
        folder.mkdir(parents=True)
        for file, picture in pictures.items():
            if isinstance(picture, bytes):
                (folder / file).write_bytes(picture)
            else:
                picture.save(folder / file, **({"quality": 90} if file.endswith("jpg") else {}))
        files = sorted(folder.iterdir())
        out[name], found = Split.from_rows(name, files, [[] for _ in files], [f.with_suffix(".txt") for f in files])
        findings += found
    return Description({"names": {0: "mouse"}, "nc": 1}, file=root / "data.yaml", splits=out, findings=findings)


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def damaged(content, at=0.5):
    """Overwrite some bytes with zeros."""
    place = int(len(content) * at)
    return content[:place] + bytes(200) + content[place + 200 :]


def damaged_png(picture):
    """Return a PNG whose packed data break off, though all its chunks have the right checksum."""
    data = zlib.compress(b"\0" * 3000)[:-6]
    whole = encoded(picture, "PNG")
    chunk = b"IDAT" + data
    start = whole.index(b"IDAT") - 4
    return whole[:start] + struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[-12:]


def found(data):
    return {(f.code, f.file.rpartition("/")[-1], f.severity) for f in inspect_pixels(data).findings}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("baseline.jpg", damaged(encoded(scene(1), "JPEG", quality=90))),
        ("progressive.jpg", damaged(encoded(scene(1), "JPEG", quality=90, progressive=True))),
        ("ended.jpg", encoded(scene(1), "JPEG", quality=90)[:-400] + b"\xff\xd9"),
        ("grey.jpg", damaged(encoded(scene(1).convert("L"), "JPEG", quality=90))),
        ("left.jpg", encoded(scene(1), "JPEG", quality=90)[:-2] + bytes(range(60)) + b"\xff\xd9"),
        ("picture.png", damaged_png(scene(1))),
        ("picture.tif", damaged(encoded(scene(1), "TIFF", compression="tiff_lzw"))),
    ],
)
def test_damage_within_a_picture_is_found(tmp_path, name, content):
    whole = name.rpartition(".")
    data = dataset(tmp_path, train={name: content, f"whole.{whole[2]}": scene(2)})
    assert not data.findings
    findings = inspect_pixels(data).findings
    assert [(f.code, f.file, f.image, f.split, f.severity) for f in findings] == [
        ("image-undecodable", *[str(tmp_path / "images" / "train" / name)] * 2, "train", "error")
    ]
    assert findings[0].message.endswith(".")


def test_images_with_known_errors_are_not_decoded_again(tmp_path):
    data = dataset(tmp_path, train={"cut.jpg": encoded(scene(1), "JPEG")[:900], "text.jpg": b"no image"})
    assert data.findings
    assert found(data) == set()


def test_unusual_images_are_whole(tmp_path):
    deep = Image.fromarray((np.random.default_rng(0).random((64, 64)) * 65535).astype(np.uint16))
    pictures = {
        "trailing.jpg": encoded(scene(1), "JPEG") + b"behind the end",
        "padded.jpg": encoded(scene(2), "JPEG")[:-2] + bytes(50) + b"\xff\xd9",
        "junk.jpg": encoded(scene(2), "JPEG")[:-2] + b"\1\2\3\xff\xd9",
        "cmyk.jpg": encoded(scene(3).convert("CMYK"), "JPEG"),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(scene(4).quantize(16), "PNG"),
        "clear.png": encoded(scene(5).convert("RGBA"), "PNG"),
        "bilevel.png": encoded(scene(6).convert("1"), "PNG"),
        "picture.bmp": scene(7),
        "picture.webp": scene(8),
        "tiny.png": scene(9, (11, 10)),
    }
    assert found(dataset(tmp_path, train=pictures)) == set()


def test_the_same_picture_saved_otherwise_is_found(tmp_path):
    train = {f"{i}.jpg": scene(i) for i in range(8)}
    val = {
        "again.jpg": encoded(scene(3), "JPEG", quality=40),
        "small.png": scene(5).resize((80, 60)),
        "shifted.jpg": scene(6, shift=(0.01, 0.005)),
        "lit.jpg": scene(7, light=30),
        "other.jpg": scene(20),
        "mirrored.jpg": scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }
    data = dataset(tmp_path, train=train, val=val)
    expected = {("near-duplicate", f, "warning") for f in ("again.jpg", "small.png", "shifted.jpg", "lit.jpg")}
    assert found(data) == {*expected, ("near-duplicates", "data.yaml", "warning")}
    first = next(f for f in inspect_pixels(data).findings if f.file.endswith("again.jpg"))
    assert "images/train/3.jpg in train" in first.message
    assert first.split == "val"


def test_a_copy_that_is_reported_already_is_not_told_again(tmp_path):
    copy = encoded(scene(1), "JPEG")
    data = dataset(tmp_path, train={"a.jpg": copy, "b.jpg": scene(2)}, val={"c.jpg": copy, "d.jpg": scene(3)})
    file = str(tmp_path / "images" / "val" / "c.jpg")
    known = Finding("splits-share-images", "twice.", "remove it", file, None, "warning", "val", file)
    data = data.with_findings([known])
    assert found(data) == set()


def test_a_still_camera_does_not_make_frames_the_same(tmp_path):
    places = [(0.15 + 0.14 * (i % 6), 0.2 + 0.3 * (i // 6)) for i in range(12)]
    train = {f"{i}.png": arena(*place) for i, place in enumerate(places[:9])}
    val = {f"{i}.png": arena(*place) for i, place in enumerate(places[9:])}
    val["next.png"] = arena(places[2][0] + 0.006, places[2][1])
    data = dataset(tmp_path, train=train, val=val)
    assert {f.file.rpartition("/")[-1] for f in inspect_pixels(data).findings} == {"next.png", "data.yaml"}


def test_pictures_that_show_nothing_are_not_the_same(tmp_path):
    grey = {f"{v}.png": Image.new("L", (64, 64), v) for v in (0, 90, 91, 255)}
    noise = {f"n{i}.png": np.random.default_rng(i).integers(99, 102, (64, 64), np.uint8) for i in range(4)}
    flat = {**grey, **{name: Image.fromarray(n) for name, n in noise.items()}}
    assert found(dataset(tmp_path, train=flat, val=flat)) == set()


def test_the_proposal_keeps_pairs_together(tmp_path):
    letters = "abcdefghijklmnopqrst"
    train = {f"{letter}.jpg": scene(i) for i, letter in enumerate(letters)}
    val = {f"{letter}_again.jpg": scene(i, light=10) for i, letter in enumerate("abcd")}
    val |= {f"{letter}.jpg": scene(200 + i) for i, letter in enumerate("yz")}
    pixels = inspect_pixels(dataset(tmp_path, train=train, val=val))
    sizes = {name: len(files) for name, files in pixels.proposal.items()}
    assert sizes == {"train": 20, "val": 6}
    place = {f.rpartition("/")[-1]: name for name, files in pixels.proposal.items() for f in files}
    assert len(place) == 26
    assert all(place[f"{letter}.jpg"] == place[f"{letter}_again.jpg"] for letter in "abcd")
    assert pixels.moved == 4
    assert "moves 4 images" in pixels.findings[-1].fix


def test_the_proposal_keeps_videos_whole():
    frames = {v: [f"/d/images/x/{v}_{i:04d}.jpg" for i in range(10)] for v in ("cat", "dog", "owl", "pig", "rat")}
    flat = [f for files in frames.values() for f in files]
    images = {"train": [f for i, f in enumerate(flat) if i % 5], "val": [f for i, f in enumerate(flat) if not i % 5]}
    order = images["train"] + images["val"]
    pairs = [
        Pair(order.index(f), order.index(v), 0.9) for v in images["val"] for f in images["train"] if f[:-5] == v[:-5]
    ]
    proposal = proposed_split(images, [Pair(*sorted(p[:2]), p[2]) for p in pairs])
    assert {name: len(files) for name, files in proposal.items()} == {"train": 40, "val": 10}
    assert len({video_of(f) for f in proposal["val"]}) == 1


def test_one_video_is_cut_into_runs():
    images = {"train": [f"img{i}.jpg" for i in range(100) if i % 5], "val": [f"img{i}.jpg" for i in range(0, 100, 5)]}
    order = [*images["train"], *images["val"]]
    index = {name: i for i, name in enumerate(order)}
    pairs = [Pair(*sorted((index[f"img{i}.jpg"], index[f"img{i + 1}.jpg"])), 0.9) for i in range(99)]
    proposal = proposed_split(images, pairs)
    assert {name: len(files) for name, files in proposal.items()} == {"train": 80, "val": 20}
    numbers = sorted(int(f[3:-4]) for f in proposal["val"])
    assert numbers == list(range(numbers[0], numbers[0] + 20))


@pytest.mark.parametrize(
    ("image", "video"),
    [
        ("/d/images/train/clipA_0001.jpg", ("", "clipA")),
        ("/d/images/train/clip-2-0001.png", ("", "clip-2")),
        ("/d/images/val/cow_12_jpg.rf.0a1b2c3d.jpg", ("", "cow")),
        ("/d/labeled-data/night/img007.png", ("night", "img")),
        ("/d/images/train/portrait.jpg", ("", "portrait")),
    ],
)
def test_the_name_of_a_frame_tells_its_video(image, video):
    assert video_of(image) == video


def test_pairs_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (30, SIDE, SIDE)).astype(np.uint8)
    thumbs = np.concatenate([base, base[:10]])
    splits = np.array([0] * 30 + [1] * 10)
    assert [p[:2] for p in find_pairs(thumbs, splits)] == [(i, 30 + i) for i in range(10)]


def test_only_one_huge_image_is_decoded_at_a_time(tmp_path, monkeypatch):
    from trainer_host.data import deep_check as deep

    busy, most, guard = 0, 0, threading.Lock()
    shrink = deep._shrunk

    def counted(image):
        nonlocal busy, most
        with guard:
            busy, most = busy + 1, max(most, busy + 1)
        time.sleep(0)
        result = shrink(image)
        with guard:
            busy -= 1
        return result

    monkeypatch.setattr(deep, "MANY_PIXELS", 100)
    monkeypatch.setattr(deep, "_shrunk", counted)
    assert found(dataset(tmp_path, train={f"{i}.png": scene(i) for i in range(20)})) == set()
    assert most == 1
