"""A corrected copy: what is certain is corrected, the rest is named, and the dataset stays as it is."""

import hashlib

import numpy as np
import pytest
import yaml
from PIL import Image

from trainer_host.base.errors import SettingsError, StorageError
from trainer_host.base.findings import DatasetError, Finding
from trainer_host.base.yaml_document import read_document
from trainer_host.data.corrected_copy import patch_text, write_corrected
from trainer_host.data.dataset_reader import read_dataset
from trainer_host.data.deep_check import inspect_pixels
from trainer_host.data.description import Description

ROW = "0 0.5 0.5 0.2 0.2\n"
YAML = "train: images/train\nval: images/val\nnames: [mouse, rat]\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))


def make(root, labels, text=YAML, images=None):
    """Write a dataset; labels are text or bytes by ``split/name``."""
    for place, content in labels.items():
        image = root / "images" / f"{place}.png"
        label = root / "labels" / f"{place}.txt"
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        seed = int(hashlib.sha256(place.encode()).hexdigest()[:6], 16)
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)).save(image)
        if content is not None:
            label.write_bytes(content if isinstance(content, bytes) else content.encode())
    (root / "data.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root / "data.yaml"


def tree(root):
    """Return a hash of all names, contents and times below a folder."""
    entries = [
        (str(p.relative_to(root)), p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in sorted(root.rglob("*"))
    ]
    return hashlib.sha256(repr(entries).encode()).hexdigest()


def repaired(file, folder, found=(), patch=None, proposal=None):
    """Write the copy and return its lines and what reading it finds."""
    data = read_dataset(file)
    before = tree(file.parent)
    lines = write_corrected(data, [*data.findings, *found], folder, patch or {}, proposal)
    assert tree(file.parent) == before
    return lines, read_dataset(folder / "data.yaml")


def text_of(folder, place):
    return (folder / "labels" / f"{place}.txt").read_text()


def test_a_sound_dataset_is_copied_as_it_is(tmp_path):
    labels = {"train/a": ROW, "train/deep/b": ROW * 1, "train/none": "", "train/missing": None, "val/c": ROW}
    file = make(tmp_path / "mice", labels, f"{YAML}# a comment\nauthor: someone\ndate: 2024-02-03\n")
    lines, copy = repaired(file, tmp_path / "copy")
    assert lines[0] == "The copy: 5 images as links, 4 label files."
    assert lines[1:] == ["still to do: label-missing (1)."]
    original = read_dataset(file)
    assert copy.fingerprint() == original.fingerprint()
    assert [f.code for f in copy.findings] == ["label-missing"]
    assert copy["author"] == "someone"
    link = tmp_path / "copy" / "images" / "train" / "deep" / "b.png"
    assert link.readlink() == (file.parent / "images" / "train" / "deep" / "b.png")
    assert text_of(tmp_path / "copy", "train/a") == ROW


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"\xef\xbb\xbf" + ROW.encode(), ROW),
        (ROW.encode("utf-16"), ROW),
        (b"\xfe\xff" + ROW.encode("utf-16-be"), ROW),
        (b"1.0 0.5 0.5 0.2 0.2\n0. 0.1 0.1 0.1 0.1", "1 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.1 0.1"),
        (b"0 0,5 0,5 0,25 0,2\r\n1 0,5 0,5 1 1e0\n", None),
        (b"0 0,5 0,5 0,25 0,2\n", "0 0.5 0.5 0.25 0.2\n"),
        (b"1 ,5 0,5 0,25 2,5e-1\n0 0.1 0.1 0.1 0.1\n", "1 .5 0.5 0.25 2.5e-1\n0 0.1 0.1 0.1 0.1\n"),
    ],
)
def test_what_is_certain_is_mended(tmp_path, written, expected):
    file = make(tmp_path / "mice", {"train/a": written, "val/b": ROW})
    lines, copy = repaired(file, tmp_path / "copy")
    if expected is None:
        assert "still to do: label-number (1)." in lines
        return
    assert text_of(tmp_path / "copy", "train/a") == expected
    assert not copy.findings
    assert any(line.startswith("fixed: ") for line in lines)
    assert not any("to do" in line for line in lines)


@pytest.mark.parametrize(
    "written",
    [
        b"0,0.5,0.5,0.2,0.2\n",  # commas between the numbers
        b"0 0,5 0.5 0,2 0,2 0,1\n",  # both
        b"0 0,5 0,5 0,2 wide\n",
        b"0 0.5 0.5 0.2 0.2 # a comment\n",
        b"mouse 0.5 0.5 0.2 0.2\n",
        b"0 nan 0.5 0.2 0.2\n0 nan 0.5 0.2 0.2\n",
        b"0 0.5 0.5 \xe9 0.2\n",
        b"\xff\xfe\x00\xd8\x00",
    ],
)
def test_what_is_not_certain_is_left_and_named(tmp_path, written):
    file = make(tmp_path / "mice", {"train/a": written, "val/b": ROW})
    lines, copy = repaired(file, tmp_path / "copy")
    assert (tmp_path / "copy" / "labels" / "train" / "a.txt").read_bytes() == written
    before = read_dataset(file)
    assert [(f.code, f.line, f.message) for f in copy.findings] == [
        (f.code, f.line, f.message) for f in before.findings
    ]
    assert sum(line.startswith("still to do") for line in lines) == 1


def test_repeated_rows_are_skipped_where_the_check_found_them(tmp_path):
    text = f"{ROW}1 0.5 0.5 0.2 0.2\n\n0 0.50 .5 2e-1 0.2\n{ROW}"
    file = make(tmp_path / "mice", {"train/a": text, "train/b": ROW * 2, "val/b": ROW})
    label = str(file.parent / "labels" / "train" / "a.txt")
    found = [Finding("duplicate-row", "repeats.", "delete it", label, n, "warning", "train") for n in (4, 5)]
    lines, _ = repaired(file, tmp_path / "copy", found)
    assert text_of(tmp_path / "copy", "train/a") == f"{ROW}1 0.5 0.5 0.2 0.2\n\n"
    assert text_of(tmp_path / "copy", "train/b") == ROW * 2
    assert "fixed: repeated rows removed (2)." in lines


def test_keys_and_paths_of_the_yaml_are_mended(tmp_path):
    root = tmp_path / "mice"
    text = "path: .\ntrain: ../images/train\nvalidation: images/val\nnames:\n  0: mouse\nnc: 1\n"
    lines, copy = repaired(make(root, {"train/a": ROW, "val/b": ROW}, text), tmp_path / "copy")
    assert read_document(tmp_path / "copy" / "data.yaml").content == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "mouse"},
        "nc": 1,
    }
    assert not copy.findings
    assert {"fixed: paths of the YAML (1).", "fixed: the key validation is written as val."} <= {*lines}


def test_several_folders_lists_and_the_same_split_twice(tmp_path):
    root = tmp_path / "mice"
    labels = {"one/a": ROW, "two/a": "1 0.5 0.5 0.2 0.2\n", "two/b": ROW}
    make(root, labels)
    (root / "some.txt").write_text("images/one/a.png\n./images/two/a.png\n")
    (root / "data.yaml").write_text(
        "train: [images/one, images/two]\nval: [images/one, images/two]\ntest: some.txt\nnames: [a, b]\n"
    )
    lines, copy = repaired(root / "data.yaml", tmp_path / "copy")
    assert lines[0] == "The copy: 5 images as links, 5 label files."
    assert sorted(f.relative_to(tmp_path / "copy").as_posix() for f in (tmp_path / "copy").rglob("*.png")) == [
        *("images/test/one/a.png", "images/test/two/a.png"),
        *("images/train/one/a.png", "images/train/two/a.png", "images/train/two/b.png"),
    ]
    assert {n: s.values.tolist() for n, s in copy.splits.items()} == {
        n: s.values.tolist() for n, s in read_dataset(root / "data.yaml").splits.items()
    }
    assert [f.code for f in copy.findings].count("splits-same") == 1


def test_an_image_that_a_list_names_twice_and_a_link_to_itself(tmp_path):
    file = make(
        tmp_path / "mice", {"train/a": ROW, "train/b": ROW, "val/c": ROW}, YAML.replace("images/train", "a.txt")
    )
    (file.parent / "a.txt").write_text("images/train/a.png\nimages/train/a.png\nimages/train/loop.png\n")
    (file.parent / "images" / "train" / "loop.png").symlink_to("loop.png")
    lines, copy = repaired(file, tmp_path / "copy")
    assert lines[0] == "The copy: 3 images as links, 2 label files."
    assert [f.code for f in copy.findings if f.severity == "error"] == ["link-broken"]


def test_orphans_are_skipped_and_faults_of_files_stay(tmp_path):
    file = make(tmp_path / "mice", {"train/a": ROW, "train/b": ROW, "train/c": ROW, "val/b": ROW})
    root = file.parent
    (root / "labels" / "train" / "orphan.txt").write_text(ROW)
    (root / "images" / "train" / "b.png").write_bytes(b"")
    (root / "labels" / "train" / "c.txt").unlink()
    (root / "labels" / "train" / "c.txt").mkdir()
    lines, copy = repaired(file, tmp_path / "copy")
    assert "skipped: label-orphan (1)." in lines
    assert {"still to do: image-empty (1).", "still to do: label-directory (1)."} <= {*lines}
    assert sorted(f.code for f in copy.findings) == ["image-empty", "label-directory"]


def test_suggestions_are_written_below_a_comment(tmp_path):
    file = make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW}, f"{YAML}flip_idx: [1, 2]\n")
    patch = {"flip_idx": [1, 0], "kpt_oks_sigmas": [0.5, 0.5]}
    _, copy = repaired(file, tmp_path / "copy", patch=patch)
    text = (tmp_path / "copy" / "data.yaml").read_text()
    assert text.endswith(f"check it.\n{patch_text(patch)}")
    assert patch_text(patch) == "flip_idx: [1, 0]\nkpt_oks_sigmas: [0.5, 0.5]\n"
    assert copy["flip_idx"] == [1, 0]
    assert [f.code for f in copy.findings] == []


def test_a_key_given_twice_is_said_to_be_settled(tmp_path):
    file = make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW}, f"{YAML}names: [rat]\n")
    lines, _ = repaired(file, tmp_path / "copy")
    assert [line for line in lines if "line 4" in line and "names" in line and "first" in line]


def test_the_proposed_split_is_written_as_lists(tmp_path):
    rng = np.random.default_rng(0)
    make(tmp_path / "mice", {f"train/{n}": ROW for n in "abcdefgh"} | {"val/x": ROW, "val/y": ROW})
    root = tmp_path / "mice" / "images"
    picture = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64))
    picture.save(root / "train" / "c.png")
    picture.save(root / "val" / "x.png", compress_level=1)
    data = read_dataset(tmp_path / "mice" / "data.yaml")
    pixels = inspect_pixels(data)
    lines, copy = repaired(tmp_path / "mice" / "data.yaml", tmp_path / "copy", proposal=pixels.proposal)
    assert len(copy.splits["val"]) == 2
    better = read_dataset(tmp_path / "copy" / "data-split.yaml")
    assert sum(map(len, better.splits.values())) == 10
    assert all((s.labelled == 2).all() for s in better.splits.values())
    assert not inspect_pixels(better).findings
    assert any(line.startswith("data-split.yaml has the proposed split") for line in lines)


@pytest.mark.parametrize("place", ["copy/old.txt", "mice/copy/", "mice/images/train/copy/", "copy"])
def test_the_folder_is_refused(tmp_path, place):
    file = make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW})
    target = tmp_path / place
    if place.endswith("old.txt"):
        target.parent.mkdir()
        target.write_text("mine")
        target = target.parent
    elif place == "copy":
        target.write_text("a file")
    data = read_dataset(file)
    before = tree(tmp_path / "mice")
    with pytest.raises(SettingsError):
        write_corrected(data, [], target, {})
    assert tree(tmp_path / "mice") == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "copy").mkdir()
    repaired(make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW}), tmp_path / "copy")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["copy", "mice"]


def test_nothing_is_left_where_the_copy_fails(tmp_path, monkeypatch):
    file = make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW})
    data = read_dataset(file)
    (tmp_path / "wall").write_text("a file")
    with pytest.raises(StorageError):
        write_corrected(data, [], tmp_path / "wall" / "copy", {})
    with pytest.raises(yaml.YAMLError):
        write_corrected(data, [], tmp_path / "copy", {"flip_idx": object()})
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["mice", "wall"]


def test_images_are_copied_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    _, copy = repaired(make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW}), tmp_path / "copy")
    assert not copy.findings
    assert not (tmp_path / "copy" / "images" / "train" / "a.png").is_symlink()


def test_what_is_no_folder_of_labels_is_not_mended(tmp_path):
    file = make(tmp_path / "mice", {"train/a": ROW, "val/b": ROW})
    with pytest.raises(DatasetError, match="nothing to copy"):
        write_corrected(Description({}, file=file), [], tmp_path / "copy", {})
