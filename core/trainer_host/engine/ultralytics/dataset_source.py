"""Dataset YAMLs on this machine for what a user gives as ``data``; nothing that a dataset names is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, UnsafeError, fetch_refused
from trainer_host.base.findings import DatasetError
from trainer_host.base.yaml_document import read_document
from trainer_host.data.dataset_archives import packed_document, unpacking
from trainer_host.data.dataset_reader import read_dataset
from trainer_host.data.source_recognition import error_for, lists_addresses, missing, yaml_of
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.fonts import provide_fonts

if TYPE_CHECKING:
    from trainer_host.base.contexts import DataContext
    from trainer_host.data.description import Description

YAML = (".yaml", ".yml")
NDJSON = ".ndjson"


def read_yaml_dataset(ctx: DataContext) -> Description:
    """Read the dataset YAML that ``ctx.source`` means, with its images and labels.

    Raises:
        DatasetError: If there is none.
        UnsafeError: If something would be fetched that nobody asked for.
    """
    return read_dataset(dataset_yaml(ctx), datasets_folder, ctx.split)


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
    if not path.exists():
        return _shipped_yaml(ctx)
    if (file := yaml_of(source)) is not None:
        return file
    if packed_document(path) is not None:
        return _by_engine(source, autodownload=False)
    raise error_for(source)


def _fetched(ctx: DataContext) -> Path:
    if ctx.offline:
        raise fetch_refused(ctx.source)
    name = ctx.source.partition("?")[0].lower()
    if name.endswith(YAML):
        what = f"{ctx.source} is refused: a dataset YAML from the network can run its download."
        raise UnsafeError(Problem(what, "fetch it yourself, read it, and give the local file"))
    if name.endswith(NDJSON):
        raise lists_addresses(ctx.source)
    return _by_engine(ctx.source, autodownload=False)


def _by_engine(source: str, autodownload: bool) -> Path:
    """Have the engine fetch or unpack a dataset, and return its YAML."""
    from ultralytics.data.utils import check_det_dataset

    provide_fonts()  # which this function asks for as well
    try:
        data: dict[str, Any] = check_det_dataset(source, autodownload=autodownload)
    except Exception as error:  # the engine raises whatever comes
        raise unusable(source, error) from error
    return Path(data["yaml_file"])


def unusable(source: str, error: Exception) -> DatasetError:
    """Return the error for a dataset that the engine does not take, in the engine's own words."""
    said = " ".join(str(error).replace("❌", "").split()).replace(" .", ".")
    what, path = f"the dataset {source} cannot be used: {said}", Path(source)
    if not path.is_file():
        return DatasetError(what)
    folder, unpack = unpacking(path)
    return DatasetError(Problem(what, f"{unpack}; then: trainer check {folder}"))


def _shipped_yaml(ctx: DataContext) -> Path:
    folder = engine_folder() / "cfg" / "datasets"
    if Path(ctx.source).parent == Path():
        found = next((f for s in ("", *YAML) if (f := folder / f"{ctx.source}{s}").is_file()), None)
        if found is not None:
            return _with_images(ctx, found)
    raise missing(ctx.source, [f.name for f in folder.glob("*.yaml")])


def _with_images(ctx: DataContext, file: Path) -> Path:
    """Return the YAML of a shipped dataset once its images are here."""
    content = read_document(file).content
    root = datasets_folder() / str(content.get("path", ""))
    entries = [content.get(split) for split in ("train", "val")]
    if all((root / str(entry)).exists() for entry in entries if isinstance(entry, str)):
        return file
    if ctx.offline:
        raise fetch_refused(f"the images of {ctx.source}", f"put them at {root}, or give another dataset: data=my.yaml")
    return _by_engine(str(file), autodownload=True)
