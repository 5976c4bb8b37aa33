"""Checks of the findings in broken datasets."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from trainer_host import api
from trainer_host.base.findings import DatasetError
from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, CheckSkippedError, check

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.testing.bench import Bench

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
TABLES = frozenset({".txt", ".csv", ".json", ".jsonl", ".xml"})
GARBAGE = "garbage 0.5 nonsense, 1e999\n"
MANY = 1000
"""The most files of a dataset that is copied."""


@check(
    "dataset-findings",
    why="Most training time is lost on data that the task does not expect.",
    fix="yield a finding with file and line in check_dataset, or raise a DatasetError in read_dataset",
)
def dataset_findings(bench: Bench) -> str:
    """Findings in a dataset that lacks an image, or has a damaged label or description."""
    dataset = bench.dataset
    if found := _findings(bench, dataset.file):
        raise CheckFailedError(f"the intact dataset has errors: {found[0]}", "correct the sample, or check_dataset")
    root = dataset.folder or dataset.file.parent
    files = [f.relative_to(root) for f in sorted(root.rglob("*")) if f.is_file()]
    if dataset.folder is None and len(files) > MANY:
        raise CheckSkippedError(f"the dataset has more than {MANY} files, too many to copy.")
    broken = {
        "without one of its images": _first(files, IMAGES),
        "with a damaged line among its labels": _first(files, TABLES),
        "with an empty description": dataset.file.relative_to(root),
    }
    tried = {what: file for what, file in broken.items() if file is not None}
    for number, (what, file) in enumerate(tried.items()):
        copy = bench.folder / f"broken{number}"
        shutil.copytree(root, copy)
        _damage(copy / file)
        if not _findings(bench, copy / dataset.file.relative_to(root), what):
            raise CheckFailedError(f"a dataset {what} ({file.name}) has no findings.")
    return f"findings in datasets {', '.join(tried)}."


def _first(files: list[Path], endings: frozenset[str]) -> Path | None:
    found = [f for f in files if f.suffix.lower() in endings]
    return next((f for f in found if "train" in str(f)), found[0] if found else None)


def _damage(file: Path) -> None:
    if file.suffix.lower() in IMAGES:
        file.unlink()
    elif file.suffix.lower() in TABLES:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join([*lines[:-1], GARBAGE]), encoding="utf-8")
    else:
        file.write_text("", encoding="utf-8")


def _findings(bench: Bench, file: Path, what: str = "as it is") -> list[str]:
    """Return the findings in a dataset: errors if it is intact, all if it is broken."""
    subject = bench.subject
    options = bench.options_of(subject.plugins)
    try:
        result = api.check(
            file,
            task=subject.task,
            plugins=subject.plugins,
            options=options,
            offline=True,
            registry=subject.registry,
        )
    except DatasetError as error:
        return [str(error)]
    except Exception as error:
        raise CheckFailedError(f"the check of a dataset {what} fails: {reason(error)}.") from error
    intact = file == bench.dataset.file
    return [f.message for f in result.findings if f.severity == "error" or not intact]
