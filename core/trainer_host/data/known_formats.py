"""Files that are not a dataset which the host reads: what each is, and the shortest way to one that it reads."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from trainer_host.base.atomic_io import display_path
from trainer_host.data.image_headers import PICTURES, SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 1 << 18
"""Bytes of a file that are looked at."""
YAML = (".yaml", ".yml")
LIKELY = (".slp", ".parquet", ".json", ".xml", ".csv", ".h5", ".mat", ".tfrecord")
"""Endings of files that hold labels, in the order in which they say what a folder is."""
MOST_KEYS = 200
"""Keys of a JSON file that are looked at."""

CHECK = "then: trainer check"


class Known(NamedTuple):
    """A kind of file.

    Attributes:
        name: A description, as the end of "FILE is ...".
        way: The fix, an imperative that begins with a small letter; ``{file}`` stands for the file, ``{folder}``
            for its folder, ``{name}`` for its name.
        labels: Whether it holds labels of images, so that a folder of such files is a dataset in another format.
    """

    name: str
    way: str
    labels: bool = True

    def way_for(self, file: Path, folder: Path | None = None) -> str:
        """Return what to do with a file, or with a folder of such files."""
        shown = {"{file}": file, "{folder}": folder or file.absolute().parent}
        way = self.way.replace("{name}", file.name)
        for mark, path in shown.items():
            way = way.replace(mark, shlex.quote(display_path(path)))
        return way


OF_CVAT = (
    f"in CVAT export the same task as Ultralytics YOLO or as COCO, with images; {CHECK} FOLDER/data.yaml, or the JSON"
)
OF_BOXES = f"import it into CVAT or Label Studio and export it as Ultralytics YOLO or COCO; {CHECK} FOLDER/data.yaml"
OF_FRAMES = (
    "label frames of it first, with CVAT, DeepLabCut or SLEAP; "
    "for predictions: trainer predict model=best.pt source={file}"
)
TO_LABELS = f"write its rows as YOLO label files with a dataset YAML, or as one COCO file; {CHECK} data.yaml"
OF_MODEL = "give it as the model, and a dataset as data: model={file} data=my.yaml"

CVAT_IMAGES = Known("an XML export of CVAT (CVAT for images 1.1)", OF_CVAT)
CVAT_VIDEO = Known("an XML export of CVAT (CVAT for video 1.1)", OF_CVAT)
VOC = Known("a Pascal VOC annotation of one image (XML)", OF_BOXES)
LABELME = Known(
    "an annotation of labelme (JSON)",
    "give the folder that holds it: trainer check {folder}",
)
LABEL_STUDIO = Known(
    "a JSON export of Label Studio",
    "name the folder of its images: trainer check {file} images=DIR",
)
VIA = Known(
    "a project or export of VIA (VGG Image Annotator)", f"in VIA export it as COCO; {CHECK} FILE.json images=DIR"
)
COCO_RESULTS = Known(
    "a list of COCO results (predictions, without the labels)",
    f"give the file of the annotations, with images, annotations and categories; {CHECK} instances.json images=DIR",
    labels=False,
)
COCO_LIST = Known(
    "a list of COCO annotations without images and categories",
    f"give the complete COCO file, with images, annotations and categories; {CHECK} instances.json images=DIR",
)
CREATE_ML = Known("a CreateML annotation file (JSON)", OF_BOXES)
SUPERVISELY = Known(
    "an annotation of Supervisely (JSON)", f"in Supervisely export the project as YOLO or COCO; {CHECK} data.yaml"
)
GEOJSON = Known("a GeoJSON file", TO_LABELS)
LABELBOX = Known("a JSON export of Labelbox", TO_LABELS)
OPENPOSE_LIKE = Known("the predictions for one image (JSON with people)", TO_LABELS)
PREDICTIONS = Known("a file of predictions", "give the dataset itself: data=my.yaml", labels=False)
SLEAP = Known(
    "a SLEAP project",
    "convert it with sleap-io: "
    "python -c \"import sleap_io as s; s.save_ultralytics(s.load_slp('{file}'), 'yolo')\"; "
    f"{CHECK} yolo/data.yaml",
)
PARQUET = Known(
    "a Parquet table, as of a Hugging Face dataset",
    f"write its images and boxes as files: images/, labels/ and a dataset YAML, or a COCO file; {CHECK} data.yaml",
)
DEEPLABCUT = Known("a table of DeepLabCut labels", "give the configuration of its project: data=PROJECT/config.yaml")
TABLE = Known("a table (CSV)", TO_LABELS)
VIA_TABLE = Known("a CSV export of VIA (VGG Image Annotator)", VIA.way)
IMAGE = Known(
    "an image",
    "give a dataset: data=my.yaml; for predictions: trainer predict model=best.pt source={file}",
    labels=False,
)
JSON_LINES = Known("a file of JSON lines", TO_LABELS)
VIDEO = Known("a video", OF_FRAMES, labels=False)
MODEL = Known("a model", OF_MODEL, labels=False)
LABEL_FILE = Known(
    "a label file of one image",
    "give the dataset YAML that names the folders of images: data=my.yaml",
)
IMAGE_LIST = Known(
    "a list of images",
    "write a dataset YAML next to it with the lines train: {name}, val: {name} and nc: 1; then give that: data=my.yaml",
    labels=False,
)
UNREADABLE = Known("a file that cannot be read", "check the path and its permissions", labels=False)
EMPTY = Known("an empty file", "give the path of a dataset YAML: data=my.yaml", labels=False)

BY_SUFFIX = {
    **dict.fromkeys((".pt", ".pth", ".onnx", ".engine", ".torchscript", ".safetensors", ".ckpt", ".tflite"), MODEL),
    **dict.fromkeys((f".{s}" for s in SUFFIXES | PICTURES), IMAGE),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".m4v", ".ts"), VIDEO),
    **dict.fromkeys((".parquet", ".arrow"), PARQUET),
    **dict.fromkeys((".ndjson", ".jsonl"), JSON_LINES),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), Known("a spreadsheet", TO_LABELS)),
    **dict.fromkeys((".h5", ".hdf5"), Known("an HDF5 file", TO_LABELS)),
    **dict.fromkeys((".npy", ".npz"), Known("a NumPy array", TO_LABELS)),
    **dict.fromkeys(
        (".pkl", ".pickle"), Known("a pickle, which could execute arbitrary code and is not opened", TO_LABELS)
    ),
    ".slp": SLEAP,
    ".mat": Known("a MATLAB file", TO_LABELS),
    ".tfrecord": Known("a TensorFlow TFRecord file", TO_LABELS),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), Known("a database", TO_LABELS)),
    **dict.fromkeys((".rar", ".7z"), Known("an archive", "unpack it, and give the dataset YAML in it", labels=False)),
}
"""Kinds of files by their endings, for those whose content need not be looked at."""

OF_KEYS: tuple[tuple[frozenset[str], Known], ...] = (
    (frozenset({"shapes", "imagePath"}), LABELME),
    (frozenset({"shapes", "version", "flags"}), LABELME),
    (frozenset({"_via_settings"}), VIA),
    (frozenset({"_via_img_metadata"}), VIA),
    (frozenset({"size", "objects", "tags"}), SUPERVISELY),
    (frozenset({"type", "features"}), GEOJSON),
    (frozenset({"version", "people"}), OPENPOSE_LIKE),
)
"""Kinds of JSON objects by keys that they have."""
OF_ENTRIES: tuple[tuple[frozenset[str], Known], ...] = (
    (frozenset({"image_id", "score"}), COCO_RESULTS),
    (frozenset({"image_id", "category_id"}), COCO_LIST),
    (frozenset({"data", "annotations"}), LABEL_STUDIO),
    (frozenset({"data", "completions"}), LABEL_STUDIO),
    (frozenset({"annotation_id", "annotator"}), LABEL_STUDIO),
    (frozenset({"image", "annotations"}), CREATE_ML),
    (frozenset({"data_row", "projects"}), LABELBOX),
    (frozenset({"image", "objects"}), PREDICTIONS),
    (frozenset({"shapes", "imagePath"}), LABELME),
)
"""Kinds of JSON lists by keys that their first entry has."""
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*\\?(?:"|\Z)|[\[\]{},:]', re.DOTALL)
"""A text, also one that is cut off, or a sign; so that no text is scanned twice."""


def head_of(path: Path) -> bytes | None:
    """Return the beginning of a file; None if it is not a regular file or cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return None


def known_file(path: Path) -> Known | None:
    """Return what a file is, by its ending and the beginning of its content; None if that is not known."""
    suffix = path.suffix.lower()
    head = head_of(path)
    if not head:
        return UNREADABLE if head is None else EMPTY
    if head.startswith(b"PAR1"):
        return PARQUET
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix]
    text = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", "replace")
    if suffix == ".xml" or text.lstrip().startswith("<?xml"):
        return known_xml(text)
    if suffix in {".json", ".geojson"}:
        return known_json(text)
    if suffix in {".csv", ".tsv"}:
        return _known_table(path, text)
    return _known_text(text) if suffix == ".txt" else None


def is_other(path: Path) -> bool:
    """Return whether a file is known to be of another kind than its ending says; one without content may be of any."""
    return path.is_file() and known_file(path) not in {None, EMPTY, UNREADABLE}


def known_xml(text: str) -> Known:
    """Return the kind of an XML file by its tags; it is not parsed, so that entities mean nothing."""
    tags = set(re.findall(r"<([A-Za-z_]\w*)", text))
    if "annotations" in tags:
        return CVAT_VIDEO if "track" in tags and "image" not in tags else CVAT_IMAGES
    return VOC if "annotation" in tags else Known("an XML file", TO_LABELS)


def known_json(text: str) -> Known | None:
    """Return the kind of a JSON file by its keys; None for one that may be a COCO file."""
    outer, keys = json_keys(text)
    for wanted, kind in OF_KEYS if outer == "{" else OF_ENTRIES if outer == "[" else ():
        if wanted <= keys:
            return kind
    if (
        outer == "{"
        and not keys & {"images", "annotations", "categories"}
        and '"regions"' in text
        and '"filename"' in text
    ):
        return VIA
    return None


def json_keys(text: str) -> tuple[str, set[str]]:
    """Return how a JSON text begins, and the outermost keys in it: of the object, or of a list's first entry."""
    outer = text.lstrip()[:1]
    wanted = {"{": 1, "[": 2}.get(outer, 0)
    keys: set[str] = set()
    depth, last = 0, ""
    for match in TOKEN.finditer(text) if wanted else ():
        sign = match.group()
        depth += (sign in "{[") - (sign in "}]")
        if sign in "}]" and depth < wanted:
            break  # the end of the object, or of the first entry
        if sign == ":" and depth == wanted:
            keys.add(_unquoted(last))
        if len(keys) > MOST_KEYS:
            break
        last = sign
    return outer, keys


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text.strip('"')


def _known_table(path: Path, text: str) -> Known:
    first = text.partition("\n")[0].lower()
    if first.startswith("scorer") or path.name.startswith("CollectedData_"):
        return DEEPLABCUT
    return VIA_TABLE if "region_shape_attributes" in first else TABLE


def _known_text(text: str) -> Known | None:
    lines = [line.strip() for line in text.splitlines()[:20] if line.strip()]
    if not lines:
        return EMPTY
    if all(line.rpartition(".")[2].lower() in SUFFIXES for line in lines):
        return IMAGE_LIST
    words = lines[0].split()
    return LABEL_FILE if len(words) >= 5 and all(re.fullmatch(r"[-+.\deE]+", w) for w in words) else None
