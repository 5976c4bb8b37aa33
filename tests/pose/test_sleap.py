"""Files of SLEAP, read as they are: skeletons, instances, and the frames that a package carries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.label_tool_files import draw, put, sleap_file
from trainer_host import DataContext, Finding, StorageError
from trainer_host.data.description import Description
from trainer_pose.formats import sleap_file as reader
from trainer_pose.formats.sleap import EXTENSION, SleapOptions


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(cache))
    return cache


def read(*sources: Path, images: tuple[str, ...] = (), **options: Any) -> Description:
    ctx = DataContext(
        task="pose",
        engine_task="pose",
        args=SimpleNamespace(),
        options={"sleap": SleapOptions(**options)},
        source=",".join(map(str, sources)),
        images=images,
    )
    found = EXTENSION.hooks.read_dataset(ctx)
    assert isinstance(found, Description)
    return found


def codes(data: Description) -> set[str]:
    return {f.code for f in data.findings} - {"holdout"}


def one(data: Description, code: str) -> Finding:
    return next(f for f in data.findings if f.code == code)


def pixels(data: Description) -> dict[str, np.ndarray[Any, Any]]:
    """Return what is seen on each image, as red, green and blue."""
    return {Path(f).name: cv2.imread(f)[..., ::-1] for s in data.splits.values() for f in s.images}


USUAL = {"annotation-skipped", "annotation-box-derived"}


@pytest.mark.parametrize("carried", ["png", "hdf5", "images"])
def test_instances_and_frames(tmp_path: Path, carried: str) -> None:
    file = sleap_file(tmp_path / "a.slp", carried=carried, channel_order="RGB")
    assert set(EXTENSION.hooks.sniff_dataset(str(file))) >= {"names", "kpt_shape"}
    data = read(file)
    assert codes(data) == USUAL
    assert one(data, "annotation-skipped").message == "labels of other kinds are skipped: 1 predicted instance."
    assert (data["names"], data["kpt_shape"]) == ({0: "animal"}, [3, 3])
    assert data["kpt_names"] == {0: ["nose", "left_ear", "right_ear"]}
    assert data["skeleton"] == [[0, 1], [0, 2]]
    assert data["flip_idx"] == [0, 2, 1], "as the symmetry of the skeleton says"
    found = [row for s in data.splits.values() for row in s.table(14)[1].tolist()]
    assert len(found) == 8
    assert found[0][5:] == [0.25, 0.25, 2, 0.4, 0.25, 1, 0, 0, 0]
    originals = [cv2.imread(str(f))[..., ::-1] for f in sorted((tmp_path / "session0").iterdir())]
    for image in pixels(data).values():
        assert any(np.array_equal(image, original) for original in originals)


@pytest.mark.parametrize("order", [None, "BGR"])
def test_colours_of_old_packages_change_places(tmp_path: Path, order: str | None) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp", **({"channel_order": order} if order else {}))
    original = cv2.imread(str(tmp_path / "session0" / "0.png"))
    assert np.array_equal(pixels(read(file))["session0_frame_000000.png"], original), "blue is where red was"
    grey = sleap_file(tmp_path / "b.pkg.slp", channels=1)
    assert np.array_equal(pixels(read(grey))["session0_frame_000000.png"], original[..., ::-1])


def test_points_of_old_files_are_counted_from_a_corner(tmp_path: Path) -> None:
    split = read(sleap_file(tmp_path / "a.pkg.slp", version=1.0)).splits["train"]
    assert split.values[5:7].tolist() == [round(15.5 / 64, 6), round(11.5 / 48, 6)]


def test_whole_videos_are_held_out(tmp_path: Path) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp", videos=3, frames=4)
    data = read(file)
    held = {Path(f).name.partition("_")[0] for f in data.splits["val"].images}
    trained = {Path(f).name.partition("_")[0] for f in data.splits["train"].images}
    assert held
    assert not held & trained
    assert held | trained == {"session0", "session1", "session2"}
    assert len(read(file, holdout=0.5).splits["val"]) not in {0, 4, 8, 12}
    both = read(file, sleap_file(tmp_path / "b.pkg.slp", frames=2))
    assert {n: len(s) for n, s in both.splits.items()} == {"train": 12, "val": 2}


def test_a_package_is_the_same_wherever_its_images_are_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp")
    first = read(file).fingerprint()
    assert read(file).fingerprint() == first
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "elsewhere"))
    moved = tmp_path / "moved"
    moved.mkdir()
    assert read(file.rename(moved / "a.pkg.slp")).fingerprint() == first


def test_an_image_in_the_cache_that_was_changed_is_put_there_again(tmp_path: Path, own_cache: Path) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp", channel_order="RGB")
    before = pixels(read(file))
    for image in (own_cache / "extracted").rglob("*.png"):
        draw(image, 999)
    after = pixels(read(file))
    assert all(np.array_equal(image, after[name]) for name, image in before.items())


def test_a_cache_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(put(tmp_path / "file", "") / "cache"))
    for made in ({}, {"channel_order": "RGB"}):
        with pytest.raises(StorageError, match="TRAINER_CACHE_DIR"):
            read(sleap_file(tmp_path / "a.pkg.slp", **made))


def test_frames_of_a_video_have_to_be_carried(tmp_path: Path) -> None:
    file = sleap_file(tmp_path / "a.slp", carried="video")
    data = read(file)
    assert [f.code for f in data.findings if f.severity == "error"] == ["annotation-images"]
    assert "Export Labels Package" in one(data, "annotation-images").fix
    for i in range(8):
        draw(tmp_path / "photos" / "session0" / f"frame_{i:06d}.jpg", i)
    assert codes(read(file, images=(str(tmp_path / "photos"),))) == USUAL


def test_frames_without_an_instance(tmp_path: Path) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp")
    with h5py.File(file, "r+") as content:
        frames = content["frames"][()]
        frames["instance_id_end"][1:4] = frames["instance_id_start"][1:4]
        content["frames"][...] = frames
        content.create_dataset("negative_frames", data=np.array([(0, 2)], [("video_id", "<u4"), ("frame_idx", "<u8")]))
    data = read(file)
    assert one(data, "annotation-unlabelled").message.startswith("2 frames without")
    assert sum(len(s) for s in data.splits.values()) == 6, "one shows nothing, and was marked so"


def test_h5py_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sleap_file(tmp_path / "a.pkg.slp")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "trainer-host[sleap]" in one(read(file), "annotation-unreadable").fix


def test_files_that_are_not_sleaps(tmp_path: Path) -> None:
    assert codes(read(tmp_path / "none.slp")) == {"annotation-unreadable"}
    assert codes(read(put(tmp_path / "text.slp", "words"))) == {"annotation-key"}
    with h5py.File(tmp_path / "other.slp", "w") as file:
        file.create_dataset("x", data=[1])
    assert codes(read(tmp_path / "other.slp")) == {"annotation-key"}
    with (tmp_path / "large.slp").open("wb") as sparse:
        sparse.truncate(2 << 30)
    assert codes(read(tmp_path / "large.slp")) == {"annotation-too-large"}
    assert EXTENSION.hooks.sniff_dataset(str(tmp_path / "a.h5")) is None


def test_nothing_of_another_file_is_read(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret", "words of the user")
    other = sleap_file(tmp_path / "other.slp")
    for number, lead in enumerate(("link", "storage", "virtual")):
        file = sleap_file(tmp_path / f"{number}.slp")
        with h5py.File(file, "r+") as content:
            kept = content["points"]
            del content["points"]
            if lead == "link":
                content["points"] = h5py.ExternalLink(str(other), "points")
            elif lead == "storage":
                content.create_dataset("points", kept.shape, np.uint8, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
            else:
                layout = h5py.VirtualLayout(kept.shape, kept.dtype)
                layout[:] = h5py.VirtualSource(str(other), "points", kept.shape)
                content.create_virtual_dataset("points", layout)
        data = read(file)
        assert codes(data) == {"annotation-key"}, lead
        assert "leads to another file" in one(data, "annotation-key").message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_whatever_a_file_holds_is_a_finding(tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "a.pkg.slp"
    content = sleap_file(file, frames=2).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    file.write_bytes(
        content[:place] + data.draw(st.binary(max_size=6)) + content[place + data.draw(st.integers(0, 6)) :]
    )
    assert reader.read_sleap(file).kind is reader.SLEAP
    found = read(file)
    assert found.findings
