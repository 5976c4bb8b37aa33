"""DeepLabCut projects, read as they are: points, boxes around them, what is held out, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from trainer_host import DataContext, Finding
from trainer_host.data.description import EMPTY, FOUND, Description
from trainer_host.plugin.plugin_options import parse_options
from trainer_pose.formats import completed
from trainer_pose.formats.deeplabcut import EXTENSION, DeepLabCut
from trainer_pose.formats.deeplabcut_table import read_h5

PROJECT = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "mouse-openfield-dlc"
LABELS = PROJECT.with_name("mouse-openfield") / "labels"

CONFIG = """
Task: mice
scorer: Ann
multianimalproject:
video_sets:
  C:\\videos\\m1.avi:
    crop: 0, 200, 0, 100
bodyparts:
- nose
- left_ear
- right_ear
skeleton:
- - nose
  - left_ear
"""
MULTI = """
scorer: Ann
multianimalproject: true
bodyparts: MULTI!
multianimalbodyparts: [nose, tail]
uniquebodyparts: [corner]
individuals: [a, b]
"""
HEAD = """scorer,Ann,Ann,Ann,Ann,Ann,Ann
bodyparts,nose,nose,left_ear,left_ear,right_ear,right_ear
coords,x,y,x,y,x,y
"""
ROWS = """labeled-data/m1/img0.png,20,40,60,50,60,30
labeled-data/m1/img1.png,100,50,,,nan,NaN
labeled-data/m1/img2.png,,,,,,
"""


def project(folder: Path, config: str = CONFIG, **videos: str) -> Path:
    """Write a project with a table for each video, and 200 x 100 pixels for each frame that the tables name."""
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    for video, text in (videos or {"m1": HEAD + ROWS}).items():
        home = folder / "labeled-data" / video
        home.mkdir(parents=True, exist_ok=True)
        (home / "CollectedData_Ann.csv").write_text(text, encoding="utf-8")
        for number in range(3):
            cv2.imwrite(str(home / f"img{number}.png"), np.zeros((100, 200, 3), np.uint8))
    return folder / "config.yaml"


def read(source: Path, **options: Any) -> Description:
    chosen, wrong = parse_options("deeplabcut", DeepLabCut, options)
    assert not wrong
    ctx = DataContext(
        task="pose",
        engine_task="pose",
        args=SimpleNamespace(),
        options={"deeplabcut": chosen},
        source=str(source),
    )
    found = EXTENSION.hooks.read_dataset(ctx)
    assert isinstance(found, Description)
    return found


def frames(data: Description) -> dict[str, list[list[float]]]:
    """Return the rows of each frame, by video and name."""
    found = {}
    for split in data.splits.values():
        for i, image in enumerate(split.images):
            rows = [split.values[split.starts[r] :][: split.row_lengths[r]].tolist() for r in split.rows_of(i)]
            found["/".join(Path(image).parts[-2:])] = rows
    return found


def one(data: Description, code: str) -> Finding:
    found = {f.code: f for f in data.findings}
    assert code in found, data.findings
    return found[code]


# What is read


def test_points_and_boxes(tmp_path: Path) -> None:
    data = read(project(tmp_path), margin=0.25)
    assert data["names"] == {0: "animal"}
    assert (data["nc"], data["channels"], data["kpt_shape"]) == (1, 3, [3, 3])
    assert data["kpt_names"] == {0: ["nose", "left_ear", "right_ear"]}
    assert data["skeleton"] == [[0, 1]]
    rows = frames(data)
    # The points reach from (20, 30) to (60, 50): their longer extent is 40, so that the margin is 10.
    assert rows["m1/img0.png"] == [[0, 0.2, 0.4, 0.3, 0.4, 0.1, 0.4, 2, 0.3, 0.5, 2, 0.3, 0.3, 2]]
    # One point alone has a box of a twentieth of the image's longer side.
    assert rows["m1/img1.png"] == [[0, 0.5, 0.5, 0.05, 0.1, 0.5, 0.5, 2, *[0] * 6]]
    assert rows["m1/img2.png"] == []
    assert "1 frame without a labelled point, taken as background: img2.png" in one(data, "dlc-empty-frame").message
    assert one(data, "dlc-one-point").severity == "warning"
    states = {s: split.labelled.tolist() for s, split in data.splits.items()}
    assert sorted(n for found in states.values() for n in found) == [EMPTY, FOUND, FOUND]


def test_a_table_without_a_labelled_point_has_frames_alone(tmp_path: Path) -> None:
    blank = HEAD + "".join(f"labeled-data/m1/img{n}.png,,,,,,\n" for n in range(3))
    data = read(project(tmp_path, m1=blank))
    assert [len(s.row_lengths) for s in data.splits.values()] == [0, 0]
    assert "3 frames without a labelled point" in one(data, "dlc-empty-frame").message


def test_rows_have_their_lines(tmp_path: Path) -> None:
    data = read(project(tmp_path))
    table = tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv"
    lines = {
        line: split.label_files[i]
        for split in data.splits.values()
        for line, i in zip(split.line, split.image, strict=True)
    }
    assert lines == {4: str(table), 5: str(table)}


def test_boxes_stay_within_the_image(tmp_path: Path) -> None:
    row = "labeled-data/m1/img0.png,0,0,200,100,100,50\n"
    data = read(project(tmp_path, m1=HEAD + row), margin=1)
    assert frames(data)["m1/img0.png"][0][:5] == [0, 0.5, 0.5, 1, 1]


def test_the_path_in_three_columns(tmp_path: Path) -> None:
    wide = HEAD.replace("scorer,", "scorer,,,").replace("bodyparts,", "bodyparts,,,").replace("coords,", "coords,,,")
    rows = ROWS.replace("/", ",")
    other = tmp_path / "wide"
    other.mkdir()
    assert frames(read(project(other, m1=wide + rows))) == frames(read(project(tmp_path)))


def test_paths_of_windows(tmp_path: Path) -> None:
    data = read(project(tmp_path, m1=HEAD + ROWS.replace("/", "\\")))
    assert set(frames(data)) == {"m1/img0.png", "m1/img1.png", "m1/img2.png"}


def test_several_animals_and_parts_that_there_is_one_of(tmp_path: Path) -> None:
    columns = [("a", "nose"), ("a", "tail"), ("b", "nose"), ("b", "tail"), ("single", "corner")]
    pairs = [(i, p, c) for i, p in columns for c in "xy"]
    head = "".join(
        f"{name}," + ",".join(cells) + "\n"
        for name, cells in (
            ("scorer", ["Ann"] * 10),
            ("individuals", [i for i, _, _ in pairs]),
            ("bodyparts", [p for _, p, _ in pairs]),
            ("coords", [c for _, _, c in pairs]),
        )
    )
    rows = "labeled-data/m1/img0.png,20,10,40,10,100,50,120,60,200,100\nlabeled-data/m1/img1.png,,,,,100,50,,,,\n"
    data = read(project(tmp_path, MULTI, m1=head + rows))
    assert data["names"] == {0: "animal", 1: "single"}
    assert data["kpt_shape"] == [3, 3]
    assert data["kpt_names"][1] == ["nose", "tail", "corner"]
    found = frames(data)
    first = [[row[0], *row[5:]] for row in found["m1/img0.png"]]
    assert first == [
        [0, 0.1, 0.1, 2, 0.2, 0.1, 2, 0, 0, 0],
        [0, 0.5, 0.5, 2, 0.6, 0.6, 2, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 1, 1, 2],
    ]
    assert [row[0] for row in found["m1/img1.png"]] == [0]


def test_a_folder_is_its_config(tmp_path: Path) -> None:
    assert read(project(tmp_path).parent).file == str(tmp_path / "config.yaml")
    assert set(EXTENSION.hooks.sniff_dataset(str(tmp_path))) >= {"names", "kpt_shape"}


@pytest.mark.parametrize("text", ["train: a\nval: b\nnames: [x]\n", "scorer: Ann\n", "bodyparts: [a]\n", "[", ""])
def test_other_files_are_left_to_others(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    for source in (tmp_path / "data.yaml", tmp_path, tmp_path / "none.yaml", "coco8", "x" * 5000, "\0"):
        assert EXTENSION.hooks.sniff_dataset(str(source)) is None


# What is held out


def test_whole_videos_are_held_out_where_there_are_several(tmp_path: Path) -> None:
    config = project(tmp_path, **dict.fromkeys(("m1", "m2", "m3"), HEAD + ROWS))
    for data in (read(config), read(config, holdout="video")):
        videos = {s: {Path(f).parent.name for f in split.images} for s, split in data.splits.items()}
        assert videos["train"] | videos["val"] == {"m1", "m2", "m3"}
        assert not videos["train"] & videos["val"]
        assert "3 of 9 frames" in one(data, "holdout").message or "6 of 9" in one(data, "holdout").message
    assert sorted(len(s) for s in read(config, holdout=0.5).splits.values()) != [3, 6]


def test_one_video_is_divided_by_frames(tmp_path: Path) -> None:
    config = project(tmp_path)
    data = read(config)
    assert {len(s) for s in data.splits.values()} == {1, 2}
    assert one(data, "holdout").severity == "warning"
    assert "one video, m1" in one(read(config, holdout="video"), "dlc-holdout").message


@pytest.mark.parametrize("rows", ["", ROWS.splitlines(keepends=True)[0]])
def test_too_little_to_divide(tmp_path: Path, rows: str) -> None:
    assert one(read(project(tmp_path, m1=HEAD + rows)), "split-empty").severity == "error"


@pytest.mark.parametrize("options", [{"margin": -1}, {"holdout": "frame"}, {"holdout": 0}, {"holdout": 1.5}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    assert parse_options("deeplabcut", DeepLabCut, options)[1]


# What is wrong


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ("labeled-data/m1/img0.png,1,2,3,4,5", "dlc-columns", "6 cells, but the head of the table has 7"),
        ("labeled-data/m1/img0.png,1,2,3,4,5,x7", "dlc-number", "'x7'"),
        ("labeled-data/m1/img0.png,1,2,3,4,5,inf", "dlc-number", "'inf'"),
        ("labeled-data/m1/img0.png,1,2,3,4,5,", "dlc-point", "right_ear has one of x and y"),
        (",1,2,3,4,5,6", "dlc-frame", "has no frame"),
        ("labeled-data/m1/img9.png,1,2,3,4,5,6", "dlc-image-missing", "img9.png"),
        ("labeled-data/m1/img1.png,1,2,3,4,5,6", "dlc-duplicate", "first in line 5"),
    ],
)
def test_faults_of_a_row_have_its_line(tmp_path: Path, row: str, code: str, said: str) -> None:
    rows = ROWS.splitlines()
    data = read(project(tmp_path, m1=HEAD + "\n".join([rows[2], rows[1], row]) + "\n"))
    finding = one(data, code)
    assert finding.severity == "error"
    assert finding.line == 6
    assert finding.file == str(tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv")
    assert said in finding.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "dlc-header"),
        (HEAD.replace("coords", "values") + ROWS, "dlc-header"),
        (HEAD.replace(",Ann\n", "\n") + ROWS, "dlc-header"),
        (HEAD.replace("nose", "snout").replace("_ear", "_eye") + ROWS, "dlc-bodyparts"),
        ('scorer,"' + "a" * 200_000 + '"', "dlc-csv"),
        ("scorer,\udcff\n", "dlc-encoding"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, code: str) -> None:
    config = project(tmp_path)
    table = tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv"
    table.write_bytes(text.encode("utf-8", "surrogateescape"))
    finding = one(read(config), code)
    assert (finding.severity, finding.file) == ("error", str(table))


def test_body_parts_that_differ_are_reported(tmp_path: Path) -> None:
    data = read(project(tmp_path, CONFIG.replace("- nose\n- left_ear", "- snout\n- left_ear", 1)))
    reported = [f.message for f in data.findings if f.code == "dlc-bodyparts"]
    assert reported == [
        "1 body part not in config.yaml, and not read: nose.",
        "1 body part without a column here: snout.",
    ]
    assert one(data, "dlc-skeleton").severity == "warning"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("scorer: Ann\nbodyparts:\n", "dlc-config"),
        ("scorer: Ann\nbodyparts: [a, a]\n", "dlc-config"),
        ("scorer: Ann\nbodyparts: MULTI!\n", "dlc-config"),
        ("scorer: Ann\nbodyparts: {a: 1}\n", "dlc-config"),
        (CONFIG.replace("Ann", "Bob"), "dlc-scorer"),
    ],
)
def test_faults_of_the_configuration(tmp_path: Path, config: str, code: str) -> None:
    assert one(read(project(tmp_path, config)), code).severity == "error"


def test_a_project_without_labels(tmp_path: Path) -> None:
    config = project(tmp_path)
    (tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv").unlink()
    data = read(config)
    assert one(data, "dlc-unlabelled").severity == "warning"
    assert one(data, "dlc-labels").severity == "error"
    assert data.splits == {}
    (tmp_path / "labeled-data").rename(tmp_path / "elsewhere")
    assert "folder labeled-data not found" in one(read(config), "dlc-labels").message


def test_frames_without_a_line_are_counted(tmp_path: Path) -> None:
    rows = ROWS.splitlines(keepends=True)
    data = read(project(tmp_path, m1=HEAD + rows[0] + rows[1]))
    assert "img2.png" in one(data, "image-unlisted").message
    folder = tmp_path / "labeled-data" / "m1_labeled"
    folder.mkdir()
    assert "dlc-unlabelled" not in {f.code for f in read(tmp_path).findings}, "pictures of labels are no frames"


# Mirror images


def test_flip_idx_is_inferred_from_the_names(tmp_path: Path) -> None:
    data = completed(read(project(tmp_path)))
    assert data["flip_idx"] == [0, 2, 1]
    finding = one(data, "flip-idx-derived")
    assert finding.severity == "warning"
    assert "left_ear and right_ear" in finding.message
    plain = CONFIG.replace("left_ear", "near_ear").replace("right_ear", "far_ear")
    assert "flip_idx" not in completed(read(project(tmp_path, plain)))


def test_what_a_dataset_says_itself_is_left_alone() -> None:
    keys = {"kpt_shape": [2, 3], "kpt_names": {0: ["left", "right"]}}
    written = completed(Description(keys, file="data.yaml", lines={"kpt_shape": 3}))
    assert "flip_idx" not in written
    assert completed(Description({**keys, "flip_idx": [0, 1]}, file="x.json"))["flip_idx"] == [0, 1]
    assert not completed(Description({**keys, "kpt_shape": "2, 3"}, file="x.json")).findings


# H5


def test_labels_as_h5_alone_need_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = project(tmp_path)
    table = tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv"
    table.rename(table.with_suffix(".h5"))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    finding = one(read(config), "dlc-h5")
    assert finding.file == str(table.with_suffix(".h5"))
    assert "trainer-host[deeplabcut]" in finding.fix


def test_h5_in_fixed_form(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    config = project(tmp_path)
    expected = frames(read(config))
    table = tmp_path / "labeled-data" / "m1" / "CollectedData_Ann.csv"
    table.unlink()
    with h5py.File(table.with_suffix(".h5"), "w") as file:
        group = file.create_group("df_with_missing")
        levels = ([b"Ann"], [b"left_ear", b"nose", b"right_ear"], [b"x", b"y"])
        places = ([0] * 6, [1, 1, 0, 0, 2, 2], [0, 1] * 3)
        for n, (words, indices) in enumerate(zip(levels, places, strict=True)):
            group[f"block0_items_level{n}"], group[f"block0_items_label{n}"] = words, indices
        group["axis1"] = [f"labeled-data/m1/img{i}.png".encode() for i in range(3)]
        nan = np.nan
        group["block0_values"] = np.array(
            [[20, 40, 60, 50, 60, 30], [100, 50, nan, nan, nan, nan], [nan] * 6], np.float64
        )
    assert frames(read(config)) == expected


def test_nothing_of_an_h5_file_is_run(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "labels.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group["table"] = np.zeros(1, [("index", "S4"), ("values_block_0", "<f8", (2,))])
        group["table"].attrs["values_block_0_kind"] = np.bytes_(b"cos\nsystem\n(S'touch ran'\ntR.")
    (fault,) = read_h5(path).faults
    assert fault.code == "dlc-h5"
    assert "system is refused" in fault.message
    path.write_bytes(b"no such thing")
    assert read_h5(path).faults[0].code == "dlc-h5"


# A real project


@pytest.mark.skipif(not PROJECT.exists(), reason="the dataset is not here")
def test_a_real_project_has_the_points_of_its_other_forms() -> None:
    data = read(PROJECT / "config.yaml")
    assert {f.code for f in data.findings} == {"holdout"}
    found = frames(data)
    assert len(found) == 116
    written = {f.stem: f.read_text().split() for f in LABELS.glob("*/*.txt")}
    for name, rows in found.items():
        assert [row[5:] for row in rows] == [[float(w) for w in written[Path(name).stem][5:]]]
        box, other = np.array(rows[0][1:5]), np.array(written[Path(name).stem][1:5], float)
        np.testing.assert_allclose(box, other, atol=0.05)
