"""From what a user gave as ``data`` to a dataset YAML on this machine, without running what the dataset names."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host import DatasetError, Problem, UnsafeError
from trainer_host.base.yaml_document import read_document
from trainer_host.engine.fonts import settle_fonts
from trainer_host.engine.keys import engine_folder

if TYPE_CHECKING:
    from trainer_host import DataContext

YAML = (".yaml", ".yml")
NDJSON = ".ndjson"


def datasets_folder() -> Path:
    """Return the engine's folder of datasets, below which it looks for a ``path`` that is not there."""
    from ultralytics.utils import DATASETS_DIR

    return Path(DATASETS_DIR)


def dataset_yaml(ctx: DataContext) -> Path:
    """Return the YAML that ``ctx.source`` means: a file, a folder with one, or a dataset that the engine ships.

    A shipped dataset is trusted, and fetched if its images are missing, unless the run is offline. Archives are
    unpacked into the engine's folder of datasets.

    Raises:
        DatasetError: If there is none.
        UnsafeError: If a YAML would be fetched whose download could then run, if the file is a list of addresses, or if
            anything would be fetched in an offline run.
    """
    source, path = ctx.source, Path(ctx.source)
    if "://" in source:
        return _fetched(ctx)
    if path.is_dir():
        return _yaml_in(path)
    if not path.exists():
        return _shipped_yaml(ctx)
    suffix = path.suffix.lower()
    if suffix in YAML:
        return path
    if suffix == NDJSON:
        raise _lists_addresses(source)
    if path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        return _by_engine(source, autodownload=False)
    what = f"{source} is no dataset: neither a YAML nor a format that an installed plugin reads."
    raise DatasetError(Problem(what, "Give the path of a dataset YAML: data=my.yaml"))


def _yaml_in(folder: Path) -> Path:
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in YAML)
    found = found or sorted(f for f in folder.rglob("*.y*ml") if f.suffix.lower() in YAML)
    named = [f for f in found if f.stem == folder.name]
    if len(found) > 1 and len(named) == 1:
        return named[0]
    if len(found) != 1:
        what = f"there is not one dataset YAML in {folder}."
        raise DatasetError(Problem(what, "Give the file itself: data=FOLDER/data.yaml"))
    return found[0]


def _fetched(ctx: DataContext) -> Path:
    if ctx.offline:
        raise UnsafeError(Problem(f"{ctx.source} would be fetched, and the run is offline.", "Give a local file."))
    name = ctx.source.partition("?")[0].lower()
    if name.endswith(YAML):
        what = f"{ctx.source} is refused: a dataset YAML from the network can run its download."
        raise UnsafeError(Problem(what, "Fetch it yourself, read it, and give the local file."))
    if name.endswith(NDJSON):
        raise _lists_addresses(ctx.source)
    return _by_engine(ctx.source, autodownload=False)


def _lists_addresses(source: str) -> UnsafeError:
    what = f"{source} is refused: it lists images as addresses, from which they would be fetched."
    fix = "Download the images, write a dataset YAML for them, and give that: data=my.yaml"
    return UnsafeError(Problem(what, fix))


def _by_engine(source: str, autodownload: bool) -> Path:
    """Have the engine fetch or unpack a dataset, and return its YAML."""
    from ultralytics.data.utils import check_det_dataset

    settle_fonts()  # which this function asks for as well
    try:
        data: dict[str, Any] = check_det_dataset(source, autodownload=autodownload)
    except Exception as error:  # the engine raises whatever comes
        raise _unusable(source, error) from error
    return Path(data["yaml_file"])


def _unusable(source: str, error: Exception) -> DatasetError:
    return DatasetError(f"the dataset {source} cannot be used: {' '.join(str(error).split())}")


def _shipped_yaml(ctx: DataContext) -> Path:
    if Path(ctx.source).parent == Path():
        folder = engine_folder() / "cfg" / "datasets"
        found = next((f for s in ("", *YAML) if (f := folder / f"{ctx.source}{s}").is_file()), None)
        if found is not None:
            return _with_images(ctx, found)
    fix = "Give the path of a dataset YAML: data=my.yaml"
    raise DatasetError(Problem(f"there is no dataset {ctx.source}.", fix, ctx.source))


def _with_images(ctx: DataContext, file: Path) -> Path:
    """Return the YAML of a shipped dataset once its images are here."""
    content = read_document(file).content
    root = datasets_folder() / str(content.get("path", ""))
    entries = [content.get(split) for split in ("train", "val")]
    if all((root / str(entry)).exists() for entry in entries if isinstance(entry, str)):
        return file
    if ctx.offline:
        what = f"the images of {ctx.source} are not here, and the run is offline."
        raise UnsafeError(Problem(what, f"Put them at {root}, or give another dataset: data=my.yaml"))
    return _by_engine(str(file), autodownload=True)
