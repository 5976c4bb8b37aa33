"""What is given as a dataset and is not one: what it is, and the way in, through every door and before its task."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import trainer_host
from tests.corpus.generator import draw_base
from tests.support.command import Done, command
from tests.support.yolo_datasets import draw
from trainer_host import DatasetError, SettingsError, UnsafeError
from trainer_host.data.known_formats import known_file, known_json
from trainer_host.data.source_recognition import error_for
from trainer_host.engine.ultralytics.dataset_source import unusable

Trainer = Callable[..., Done]

LABELME = {"version": "5.4.1", "flags": {}, "shapes": [{"label": "nose", "points": [[1, 2]]}], "imagePath": "a.png"}
VOC = "<annotation><folder>x</folder><object><name>cat</name></object></annotation>"
FILES: dict[str, tuple[str | bytes, str, str]] = {
    "images.xml": (
        '<?xml version="1.0"?><annotations><version>1.1</version><image id="0" name="a.png"/></annotations>',
        "CVAT for images 1.1",
        "Ultralytics YOLO or as COCO",
    ),
    "video.xml": ('<annotations><track id="0" label="m"/></annotations>', "CVAT for video 1.1", "Ultralytics YOLO"),
    "voc.xml": (VOC, "Pascal VOC", "Ultralytics YOLO or COCO"),
    "bomb.xml": (f"<!DOCTYPE a [{'<!ENTITY x SYSTEM [/etc/passwd]>' * 999}]><annotation/>", "Pascal VOC", "COCO"),
    "labelme.json": (json.dumps(LABELME), "labelme", "trainer check ."),
    "results.json": (
        json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]),
        "COCO results",
        "give the file of the annotations",
    ),
    "list.json": (json.dumps([{"image_id": 1, "category_id": 1}]), "without images and categories", "complete COCO"),
    "studio.json": (json.dumps([{"id": 1, "annotations": [], "data": {}}]), "Label Studio", "images=DIR"),
    "via.json": (json.dumps({"a1": {"filename": "a.png", "regions": []}}), "VIA", "export it as COCO"),
    "mice.slp": (b"\x89HDF\r\n\x1a\n", "SLEAP", "save_ultralytics"),
    "points.csv": ("image,x,y\na.png,1,2\n", "a table (CSV)", "COCO file"),
    "CollectedData_me.csv": ("scorer,me\n", "DeepLabCut", "config.yaml"),
    "train.parquet": (b"PAR1", "Parquet", "dataset YAML"),
    "best.pt": (b"PK\x03\x04", "a model", "model=best.pt data=my.yaml"),
    "one.jpg": (b"\xff\xd8\xff", "an image", "trainer predict model=best.pt source=one.jpg"),
    "mouse.mp4": (b"0000ftyp", "a video", "source=mouse.mp4"),
    "train.txt": ("images/a.jpg\nimages/b.jpg\n", "a list of images", "train: train.txt, val: train.txt"),
    "00.txt": ("0 .5 .5 .1 .1\n", "a label file of one image", "dataset YAML"),
    "empty": (b"", "an empty file", "data=my.yaml"),
    "empty.json": (b"", "an empty file", "data=my.yaml"),
    "rows.jsonl": ('{"image": "a.jpg"}\n', "a file of JSON lines", "COCO file"),
    "arrays.npz": (b"PK\x03\x04", "NumPy", "dataset YAML"),
    "notes.txt": ("some words\n", "not a dataset", "data=my.yaml"),
    "model.yaml": ("nc: 1\nbackbone: []\nhead: []\n", "a model YAML", "model=model.yaml data=my.yaml"),
    "args.yaml": (
        "task: pose\nepochs: 3\nimgsz: 64\nbatch: 4\nval: true\n",
        "a settings file",
        "trainer run args.yaml",
    ),
}
"""A file's content, what it is, and a part of what to do."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def said(source: str, task: str | None = None) -> tuple[str, str]:
    """Return message and fix of the only finding of a check."""
    result = trainer_host.check(source, task=task)
    (finding,) = result.findings
    assert (finding.code, finding.severity) == ("not-a-dataset", "error")
    return finding.message, finding.fix


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised(tmp_path: Path, name: str) -> None:
    content, what, way = FILES[name]
    write(tmp_path / name, content)
    message, fix = said(name) if name.endswith(".yaml") else described(name)
    assert what in message
    assert way in fix


def described(source: str) -> tuple[str, str]:
    """Return message and fix of something that no reader took, whatever readers are installed."""
    error = error_for(source)
    assert isinstance(error, DatasetError)
    (finding,) = error.findings
    assert (finding.code, finding.severity) == ("not-a-dataset", "error")
    return finding.message, finding.fix


def sound(folder: Path) -> Path:
    draw_base(folder)
    return folder


def test_a_folder_of_images_and_labels_needs_the_yaml_that_is_proposed(tmp_path: Path) -> None:
    layouts = {"data": "{kind}/{split}", "split-first": "{split}/{kind}"}
    for name, layout in layouts.items():
        root = sound(tmp_path / "whole" / name)
        (root / "data.yaml").unlink()
        for kind in ("images", "labels"):
            for split in ("train", "val"):
                shutil.copytree(root / kind / split, tmp_path / name / layout.format(kind=kind, split=split))
        message, fix = said(name)
        assert "9 images and 9 label files, without a dataset YAML" in message
        followed(fix)
        assert trainer_host.check(f"{name}/data.yaml", task="detect").counts["splits"]["train"]["objects"] == 12


def test_unsplit_images_with_named_classes(tmp_path: Path) -> None:
    for i in range(3):
        draw(tmp_path / "data" / "images" / f"{i}.png", 10 * i)
        write(tmp_path / "data" / "labels" / f"{i}.txt", "1 .5 .5 .2 .2\n")
    write(tmp_path / "data" / "labels" / "classes.txt", "mouse\nrat: large\n")
    _, fix = said("data")
    followed(fix)
    result = trainer_host.check("data")
    assert [f.code for f in result.findings if f.severity == "error"] == []
    assert "splits-same" in result.counts["codes"]


def followed(fix: str) -> None:
    """Write the file that a fix proposes."""
    match = re.match(r"write (\S+) with: (\{.*\}); then: trainer check \1", fix)
    assert match, fix
    write(Path(match[1]), match[2])


def test_folders_are_recognised(tmp_path: Path) -> None:
    for i in range(2):
        draw(tmp_path / "plain" / f"{i}.png")
        draw(tmp_path / "classes" / ("cat", "dog")[i] / f"{i}.png")
        draw(tmp_path / "labelme" / f"{i}.png")
        write(tmp_path / "labelme" / f"{i}.json", json.dumps(LABELME))
        draw(tmp_path / "voc" / "JPEGImages" / f"{i}.png")
        write(tmp_path / "voc" / "Annotations" / f"{i}.xml", VOC)
        write(tmp_path / "videos" / f"{i}.mp4", b"0000")
    draw(tmp_path / "coco" / "images" / "a.png")
    write(tmp_path / "coco" / "annotations" / "train.json", '{"images": [], "annotations": [], "categories": []}')
    write(tmp_path / "hub" / "data" / "train-0.parquet", b"PAR1")
    (tmp_path / "dlc" / "labeled-data").mkdir(parents=True)
    (tmp_path / "nothing").mkdir()
    expected = {
        "plain": ("2 images without labels", "export as Ultralytics YOLO or COCO"),
        "classes": ("as for classification", "labels of objects are needed"),
        "labelme": ("2 .json files and 2 images; 0.json is an annotation of labelme", "trainer check labelme"),
        "voc": ("Pascal VOC", "Ultralytics YOLO or COCO"),
        "videos": ("a folder of 2 videos", "source=videos/0.mp4"),
        "coco": ("1 COCO file and 1 image", "trainer check coco/annotations/train.json images=coco/images"),
        "hub": ("Parquet", "dataset YAML"),
        "dlc": ("DeepLabCut", "config.yaml"),
        "nothing": ("without images and labels", "data=my.yaml"),
    }
    for name, (what, way) in expected.items():
        message, fix = described(name)
        assert what in message
        assert way in fix
    for name in ("plain", "classes", "voc", "videos"):
        assert said(name) == said(name, "detect") == described(name)


def test_a_part_of_a_dataset_leads_to_its_yaml(tmp_path: Path) -> None:
    sound(tmp_path / "mice")
    write(tmp_path / "mice" / "train.txt", "images/train/00.jpg\n")
    for part in ("images", "images/train", "labels", "labels/train/00.txt", "images/train/00.jpg", "train.txt"):
        _, fix = said(f"mice/{part}")
        assert fix == "give the dataset YAML above it: data=mice/data.yaml"


def test_a_yaml_above_that_has_other_images_is_not_named(tmp_path: Path) -> None:
    shutil.copyfile(sound(tmp_path / "mice") / "data.yaml", tmp_path / "data.yaml")
    draw(tmp_path / "others" / "0.png")
    assert "data.yaml" not in said("others")[1].removesuffix("trainer check data.yaml")


def test_any_json_in_a_folder_is_not_a_coco_file(tmp_path: Path) -> None:
    root = sound(tmp_path / "data")
    (root / "data.yaml").unlink()
    write(root / "dataset-metadata.json", '{"title": "Mice", "licenses": [{"name": "CC0-1.0"}]}')
    assert "9 images and 9 label files, without a dataset YAML" in said("data")[0]


def test_a_folder_of_a_run_has_one_dataset_yaml(tmp_path: Path) -> None:
    root = sound(tmp_path / "train")
    write(root / "args.yaml", FILES["args.yaml"][0])
    assert trainer_host.check("train").dataset == str(root / "data.yaml")


def test_a_folder_with_several_files_that_are_read_one_by_one(tmp_path: Path) -> None:
    for name in ("train.slp", "more.slp"):
        write(tmp_path / "mice" / name, b"\x89HDF\r\n\x1a\n")
        write(tmp_path / "exports" / f"{name}.xml", FILES["images.xml"][0])
    message, fix = said("mice")
    assert "which no installed plugin reads" not in message
    assert fix == "name the file of each split: trainer check mice/train.slp,mice/more.slp"
    assert said("exports")[1].endswith("trainer check exports/train.slp.xml,exports/more.slp.xml")


def test_an_archive_whose_dataset_cannot_be_used(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mice.zip", "w") as archive:
        archive.writestr("data.yaml", "train: images\nnames: [a]\n")
    (problem,) = unusable("mice.zip", SyntaxError("mice.zip 'val:' key missing ❌.\n'train' is required")).problems
    assert problem.message == "the dataset mice.zip cannot be used: mice.zip 'val:' key missing. 'train' is required"
    assert problem.fix == "unpack it: python -m zipfile -e mice.zip mice; then: trainer check mice"


def test_files_of_different_formats(tmp_path: Path) -> None:
    write(tmp_path / "a.json", '{"images": [], "annotations": [], "categories": []}')
    write(tmp_path / "b.json", json.dumps(LABELME))
    message, fix = said("a.json,b.json")
    assert "b.json is an annotation of labelme (JSON), unlike the others" in message
    assert "in the same format" in fix


def test_one_of_several_files_and_what_is_not_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a.json", '{"images": [], "annotations": [], "categories": []}')
    write(tmp_path / "b.xml", VOC)
    assert "Pascal VOC" in said("a.json,b.xml")[0]
    os.mkfifo(tmp_path / "pipe")
    assert "a file that cannot be read" in said("pipe")[0]


def test_several_yamls_and_one_in_a_folder_below(tmp_path: Path) -> None:
    root = sound(tmp_path / "below" / "inner")
    assert trainer_host.check("below").task == "pose"
    write(root / "hyp.yaml", "lr0: 0.1\n")  # which is not one of a dataset
    assert trainer_host.check("below/inner").findings == []
    shutil.copyfile(root / "data.yaml", root / "other.yaml")
    message, fix = said("below/inner")
    assert "2 dataset YAMLs: below/inner/data.yaml, below/inner/other.yaml" in message
    assert fix == "choose one: data=below/inner/data.yaml"


def test_archives_are_looked_into_and_not_unpacked(tmp_path: Path) -> None:
    for name, yamls in (("none", ()), ("several", ("a/data.yaml", "b/data.yaml"))):
        with (
            zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive,
            tarfile.open(f"{name}.tar.gz", "w:gz") as packed,
        ):
            for member in ("images/0.jpg", *yamls):
                archive.writestr(member, "train: images\nval: images\nnames: [a]\n")
                packed.add(write(tmp_path / "member", "names: [a]\n"), member)
    before = sorted(tmp_path.rglob("*"))
    for name, what in (("none", "1 file, without a dataset YAML"), ("several", "2 YAMLs")):
        for suffix, module in ((".zip", "zipfile"), (".tar.gz", "tarfile")):
            message, fix = said(f"{name}{suffix}")
            assert what in message
            assert f"python -m {module} -e {name}{suffix} {name}; then: trainer check {name}" in fix
    assert [f for f in sorted(tmp_path.rglob("*")) if f not in before and "cache" not in f.parts] == []


def test_a_list_of_addresses_is_refused_before_its_task_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "data.ndjson", '{"type": "dataset"}\n')
    for task in (None, "pose"):
        with pytest.raises(UnsafeError, match="lists images by URLs"):
            trainer_host.check("data.ndjson", task=task)


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("mice/dat.yaml", "write data=mice/data.yaml"),
        ("mice/data.yml", "write data=mice/data.yaml"),
        ("mise", "write data=mice"),
        ("mice/labels.jsn", "data=my.yaml"),
        ("mice/instance.json", "write data=mice/instances.json"),
        ("coco8-pos.yaml", "write data=coco8-pose.yaml"),
        ("nowhere/data.yaml", "data=my.yaml"),
        ("nowhere.yaml", "give the path of a dataset YAML: data=my.yaml"),
        ("*.json", "data=my.yaml"),
    ],
)
def test_a_dataset_that_is_missing(tmp_path: Path, given: str, fix: str) -> None:
    write(sound(tmp_path / "mice") / "instances.json", "{}")
    for task in (None, "pose"):
        (finding,) = trainer_host.check(given, task=task).findings
        assert finding.code == "dataset-missing"
        assert f"dataset {given} not found" in finding.message
        assert fix in finding.fix


def test_json_is_looked_at_within_limits(tmp_path: Path) -> None:
    cut = json.dumps(LABELME)[:60] + '"' + '\\"' * (1 << 19)
    deep = "[" * (1 << 18)
    for text in (cut, deep, '{"images": [' + '{"id": 1},' * (1 << 16), "{}", "[]", "nul", '{"a'):
        known = known_file(write(tmp_path / "a.json", text))
        assert known is None or "labelme" in known.name
    assert known_json('{"images": [{"shapes": 1, "imagePath": 2}]}') is None  # not the outermost keys


def test_predictions_given_as_coco_labels(tmp_path: Path) -> None:
    write(tmp_path / "results.json", FILES["results.json"][0])
    assert said("results.json") == said("results.json", "pose") == described("results.json")


# Doors


@pytest.mark.parametrize("words", ["run data=a.xml", "check a.xml", "convert a.xml out", "run data=a.xml --task pose"])
def test_every_command_says_it(trainer: Trainer, tmp_path: Path, words: str) -> None:
    write(tmp_path / "a.xml", VOC)
    done = trainer(*words.split())
    assert done.code == 4
    (line,) = [text for text in done.err.splitlines() if "Pascal" in text]
    assert re.search(r"a\.xml: this is a Pascal VOC annotation .*\. Fix: import it into CVAT", line)
    assert "task is" not in done.err
    assert "--task" not in done.err


def test_a_process_says_it_in_json(tmp_path: Path) -> None:
    write(tmp_path / "a.xml", VOC)
    done = command("run", "data=a.xml", "--json", cwd=tmp_path)
    assert done.code == 4
    assert done.json["exit_code"] == 4
    assert [p["where"] for p in done.json["problems"]] == ["a.xml"]


def test_the_api_raises_it(tmp_path: Path) -> None:
    write(tmp_path / "a.xml", VOC)
    for call in (lambda: trainer_host.run(data="a.xml"), lambda: trainer_host.convert("a.xml", "out")):
        with pytest.raises(DatasetError, match="Pascal VOC") as caught:
            call()
        assert [f.code for f in caught.value.findings] == ["not-a-dataset"]


# The order of problems


def test_what_is_wrong_with_settings_is_said_before_the_task_is_asked_for(trainer: Trainer, tmp_path: Path) -> None:
    sound(tmp_path / "mice")
    done = trainer("run", "data=mice/dat.yaml", "epohcs=3")
    assert done.code == 3
    assert "unknown setting 'epohcs'" in done.problems[0]
    assert "write data=mice/data.yaml" in done.problems[1]
    done = trainer("run", "model=nope.pt", "epohcs=3")
    assert ["epohcs" in done.problems[0], "model nope.pt not found" in done.problems[1]] == [True, True]
    done = trainer("run", "epohcs=3")
    assert "unknown setting 'epohcs'" in done.problems[0]
    assert "--task NAME" in done.problems[1]


def test_a_missing_model_and_a_missing_dataset_are_said_together(trainer: Trainer, tmp_path: Path) -> None:
    write(tmp_path / "best.pt", b"")
    done = trainer("run", "model=bestt.pt", "data=none.yaml")
    assert (done.code, len(done.problems)) == (3, 2)
    assert "model bestt.pt not found. Did you mean model=best.pt?" in done.problems[0]
    assert "dataset none.yaml not found" in done.problems[1]
    assert "Did you mean model=yolo26n-pose.yaml?" in trainer("run", "model=yolo26n-pos.yaml").problems[0]


def test_model_and_data_that_are_swapped(tmp_path: Path) -> None:
    root = sound(tmp_path / "mice")
    write(tmp_path / "best.pt", b"PK\x03\x04")
    with pytest.raises(SettingsError, match=r"Fix: write model=best.pt data=mice/data.yaml"):
        trainer_host.run(data="best.pt", model="mice/data.yaml")
    with pytest.raises(SettingsError, match=r"is a dataset YAML. Fix: write data=mice/data.yaml"):
        trainer_host.run("pose", model=str(root.relative_to(tmp_path) / "data.yaml"))
