"""What is said of images of which training loses something: alpha, further channels, values of more than 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.version import Version
from PIL import Image

from tests.support.command import command
from tests.support.untrained_models import SIDE, dataset, noise, save_pixels
from tests.support.yolo_datasets import examined
from trainer_host import Finding
from trainer_host.data import pillow_headers, scan_cache
from trainer_host.data.header_facts import ALPHA, CHANNELS, DEEP
from trainer_host.data.image_headers import read_header


def findings(root: Path, **arguments: Any) -> list[Finding]:
    """Return what is said of a dataset of such images, for training."""
    found = examined(dataset(root, keypoints=0, **arguments), "detect").findings
    return [f for f in found if f.code.startswith("image-") and f.code != "image-mode" and f.split in {"train", None}]


def cutout(opacity: int) -> Any:
    """Return colours with an alpha channel, of which one half is opaque."""
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    pixels[..., :3] = noise()
    pixels[: SIDE // 2, :, 3] = opacity
    return pixels


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_an_alpha_channel_is_reported_where_something_is_transparent(tmp_path: Path, suffix: str) -> None:
    (finding,) = findings(tmp_path / "cut", pixels=lambda: cutout(60), suffix=suffix)
    assert (finding.code, finding.severity) == ("image-alpha", "warning")
    assert "2 of 2 train images have an alpha channel" in finding.message
    assert "50% of the pixels" in finding.message
    assert findings(tmp_path / "whole", pixels=lambda: cutout(255), suffix=suffix) == []
    if suffix != "webp":
        assert findings(tmp_path / "used", pixels=lambda: cutout(60), suffix=suffix, channels=4) == []


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("most", "words"), [(4095, "of 65535 (15 of 255)"), (1023, "(3 of 255)")])
def test_deep_images_that_become_dark_are_reported_with_the_numbers(
    tmp_path: Path, suffix: str, most: int, words: str
) -> None:
    (finding,) = findings(tmp_path, pixels=lambda: noise(1, most, np.uint16), suffix=suffix)
    assert (finding.code, finding.severity, Path(str(finding.file)).suffix) == ("image-dark", "warning", f".{suffix}")
    assert "2 of 2 train images have 16-bit pixels" in finding.message
    assert words in finding.message
    assert f"multiply the values by {65536 // (most + 1)} " in finding.fix


def test_a_bright_pixel_hides_no_dark_image_and_full_depth_is_no_fault(tmp_path: Path) -> None:
    def hot() -> Any:
        pixels = noise(1, 4095, np.uint16)
        pixels[0, 0] = 65535
        return pixels

    assert [f.code for f in findings(tmp_path / "hot", pixels=hot)] == ["image-dark"]
    black = findings(tmp_path / "black", pixels=lambda: noise(1, 0, np.uint16), images=1)
    assert "image-dark" not in [f.code for f in black]
    assert findings(tmp_path / "full", pixels=lambda: noise(1, 65535, np.uint16)) == []


def test_numbers_of_channels_are_compared(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path / "pages", pixels=lambda: noise(6), suffix="tif")
    assert (finding.code, finding.severity) == ("image-channels", "warning")
    assert "6 channels or pages" in finding.message
    assert finding.fix.startswith("write channels: 6")
    assert findings(tmp_path / "all", pixels=lambda: noise(6), suffix="tif", channels=6) == []
    found = findings(tmp_path / "few", suffix="jpg", channels=4)
    assert [(f.code, f.severity, f.image) for f in found] == [("image-channels", "error", None)] * 2
    assert {f.fix for f in found} == {"write channels: 3, or use other images"}
    for channels in (1, 3):
        assert findings(tmp_path / f"{channels}", pixels=lambda: noise(1), channels=channels) == []
        assert findings(tmp_path / f"colour{channels}", channels=channels) == []


def test_one_image_among_others_can_be_skipped(tmp_path: Path) -> None:
    several = iter([noise(4), noise(3), noise(4), noise(4)])
    (finding,) = findings(tmp_path, pixels=lambda: next(several), channels=4)
    assert (finding.code, finding.severity) == ("image-channels", "error")
    assert Path(str(finding.image)).name == "1.png"
    assert "has 3 channels, but the dataset has 4" in finding.message


def test_what_headers_say_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_host.data import scan_cache as cache
    from trainer_host.data import split_reader

    file = dataset(tmp_path, keypoints=0, pixels=lambda: cutout(60))
    monkeypatch.setattr(cache, "MARGIN", -(10**12))
    first = examined(file, "detect")
    monkeypatch.setattr(split_reader, "read_header", None)
    again = examined(file, "detect")
    assert again.findings == first.findings
    assert again.splits["train"].modes.tolist() == first.splits["train"].modes.tolist() != [0, 0]
    assert len(again.splits["train"].without({again.splits["train"].images[0]}).modes) == 1


def test_the_command_names_the_file(tmp_path: Path) -> None:
    data = dataset(tmp_path, keypoints=0, pixels=lambda: noise(1, 4095, np.uint16))
    done = command("check", str(data), "--json", cwd=tmp_path)
    assert done.code == 0
    found = [f for f in done.json["findings"] if f["code"] == "image-dark"]
    assert [f["split"] for f in found] == ["train", "val"]
    assert found[0]["file"].startswith("images/train/")


KINDS = [
    *((mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *((mode, "tif") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *((mode, "jpg") for mode in ("L", "RGB")),
    *((mode, "bmp") for mode in ("1", "L", "P", "RGB", "RGBA")),
    *((mode, "webp") for mode in ("L", "RGB", "RGBA")),
    *((mode, "jp2") for mode in ("L", "LA", "RGB", "RGBA")),
]


@pytest.mark.parametrize(("mode", "suffix"), KINDS)
def test_channels_are_counted_as_the_engine_reads_them(engine: None, tmp_path: Path, mode: str, suffix: str) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    file = tmp_path / f"a.{suffix}"
    gray = Image.fromarray(noise(1))
    image = Image.fromarray(noise(1, 65535, np.uint16)) if mode == "I;16" else gray.convert(mode)
    image.save(file)
    header = read_header(str(file), file.stat().st_size)
    read = imread(file, flags=cv2.IMREAD_UNCHANGED)
    if read is not None:
        assert header.mode & CHANNELS in {0, read.shape[2]}
    with Image.open(file) as opened:  # some formats do not keep an alpha channel that is opaque
        assert bool(header.mode & ALPHA) == (opened.mode in {"LA", "RGBA"})
    assert bool(header.mode & DEEP) == (mode == "I;16")


def test_pages_are_counted_as_the_engine_stacks_them(engine: None, tmp_path: Path) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    for pages in (2, 4, 6):
        save_pixels(tmp_path / "a.tif", noise(6)[..., :pages])
        header = read_header(str(tmp_path / "a.tif"), (tmp_path / "a.tif").stat().st_size)
        assert header.mode & CHANNELS in {pages, imread(tmp_path / "a.tif", flags=cv2.IMREAD_UNCHANGED).shape[2]}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_of_a_rotated_image_is_that_of_its_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    file, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise()[:20]).save(file, exif=exif)
    header = read_header(str(file), file.stat().st_size)
    rotated = suffix != "webp" or Version(cv2.__version__) >= Version("4.13")
    assert imread(file).shape == (header.height, header.width, 3)
    assert [fault[0] for fault in header.faults] == ["image-rotated" if rotated else "image-unrotated"] * (
        orientation > 1
    )


def test_a_webp_image_that_is_not_rotated_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_cache, "MARGIN", -(10**12))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = dataset(tmp_path / "data", keypoints=0, suffix="webp", images=1)
    for file in (tmp_path / "data").rglob("*.webp"):
        Image.fromarray(noise()[:20]).save(file, exif=exif)
    monkeypatch.setattr(pillow_headers, "_opencv_turns_webp", lambda: False)
    shapes, codes = [], []
    for _ in range(2):
        found = examined(data, "detect")
        shapes.append(found.splits["train"].shapes.tolist())
        codes.append([f.code for f in found.findings if "rotated" in f.code and f.split == "train"])
        monkeypatch.setattr(pillow_headers, "_opencv_turns_webp", lambda: True)
    assert shapes == [[[20, SIDE]], [[SIDE, 20]]]
    assert codes == [["image-unrotated"], ["image-rotated"]]


@pytest.mark.parametrize(("suffix", "upright"), [("png", False), ("tif", True)])
def test_a_rotated_image_of_other_channels_is_refused_if_training_does_not_rotate_it(
    tmp_path: Path, suffix: str, upright: bool
) -> None:
    import cv2
    from ultralytics.utils.patches import imread

    data, exif = dataset(tmp_path, keypoints=0, suffix=suffix, images=1, channels=4), Image.Exif()
    exif[0x0112] = 6
    for file in tmp_path.rglob(f"*.{suffix}"):
        Image.fromarray(np.dstack([noise()[:20], np.full((20, SIDE), 255, np.uint8)])).save(file, exif=exif)
    found = examined(data, "detect")
    (finding,) = (f for f in found.findings if f.split == "train" and "rotated" in f.code)
    trained = imread(found.splits["train"].images[0], flags=cv2.IMREAD_UNCHANGED)
    assert (trained.shape == (SIDE, 20, 4)) is upright
    if upright:
        assert (finding.code, finding.severity) == ("image-rotated", "warning")
        assert found.splits["train"].shapes.tolist() == [[SIDE, 20]]
    else:
        assert (finding.code, finding.severity, finding.image) == ("image-unrotated", "error", finding.file)
        assert "which training ignores with channels: 4." in finding.message
