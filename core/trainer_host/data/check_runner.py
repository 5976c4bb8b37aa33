"""Reading a dataset by the plugins of a run, and having all of them check it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trainer_host.base.atomic_io import atomic_write, display_path, plain
from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.findings import DatasetError, Finding, Tolerance, grouped, raise_errors
from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.yaml_document import read_document
from trainer_host.data.description import SPLITS, Description
from trainer_host.data.file_checks import check_files
from trainer_host.data.image_modes import check_modes
from trainer_host.data.subset_settings import refuse_unknown_classes
from trainer_host.data.yaml_schema import unknown_keys
from trainer_host.plugin.markers import hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from trainer_host.base.contexts import DataContext
    from trainer_host.plugin.chain import Chain

NORMALISED = "dataset.yaml"
FETCHED = frozenset({".ndjson", ".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2"})
"""Endings of files from which images would be fetched or unpacked."""
SOURCE, IMAGES = "trainer_source", "trainer_images"
"""Keys by which a normalised YAML names its source, if that was not a YAML."""


def unanswered(task: str, hook: str) -> Problem:
    """Return the problem of a hook that must have an answer and that no plugin answers."""
    return Problem(f"task {task!r} does not implement the hook {hook!r}.", "implement it, or give the task a base")


def read_and_check(chain: Chain, ctx: DataContext) -> Description:
    """Read a dataset and have every plugin check it; all problems are among the findings.

    Raises:
        DatasetError: If no dataset can be read.
        PluginError: If no plugin reads datasets.
        SettingsError: If ``classes`` names one that the dataset does not have.
    """
    with gc_paused():
        return _checked(chain, _original(ctx))


def _checked(chain: Chain, ctx: DataContext) -> Description:
    hooks = chain.manager.hook
    data = _read(chain, ctx)
    refuse_unknown_classes(getattr(ctx.args, "classes", None), data.get("names"), "the dataset")
    if ctx.args.single_cls and "names" in data:
        data |= {"names": {0: "item"}, "nc": 1}
    if not data.engine_reads:
        data = data.with_findings(check_files(data, {}))
    data = data.with_findings([*check_modes(data), *unknown_keys(data, _known_keys(chain))])
    if "yaml_file" in data or data.splits or not data.findings:  # checks of an unreadable YAML would only repeat that
        for found in hooks.check_dataset(ctx=replace(ctx, data=data)):
            data = data.with_findings([found] if isinstance(found, Finding) else found)
    return data


class _Innermost:
    """Keeps the description that was read, as a wrapper may return changed keys alone."""

    read: Any = None

    @hookimpl(wrapper=True, trylast=True)
    def read_dataset(self) -> Generator[None, Any, Any]:
        self.read = yield
        return self.read


def _read(chain: Chain, ctx: DataContext) -> Description:
    inner = _Innermost()
    name = chain.manager.register(inner)
    try:
        read = chain.manager.hook.read_dataset(ctx=ctx)
    finally:
        chain.manager.unregister(name=name)
    if read is None:
        raise PluginError(unanswered(ctx.task, "read_dataset"))
    found = Description.of(inner.read, os.path.abspath(ctx.source))  # noqa: PTH100
    if isinstance(read, Description) and (read.splits or not found.splits):
        return read
    return replace(found, content=read, findings=(*found.findings, *getattr(read, "findings", ())))


def _known_keys(chain: Chain) -> set[str]:
    specs = [member.spec for member in chain.tasks]
    return {key for spec in specs for name in ("dataset_keys", "known_keys") for key in getattr(spec, name)}


def _original(ctx: DataContext) -> DataContext:
    """Return the context of what a run's own YAML was made from: files on this machine, and nothing to be fetched."""
    path = Path(ctx.source)
    if path.name != NORMALISED or not path.is_file():
        return ctx
    content = read_document(path).content
    source = str(content.get(SOURCE, ""))
    parts = [Path(part) for part in source.split(",")]
    if not all(p.is_absolute() and p.exists() and p.suffix.lower() not in FETCHED for p in parts):
        return ctx
    return replace(ctx, source=source, images=tuple(map(str, content.get(IMAGES) or ())))


def apply_tolerance(data: Description, tolerance: Tolerance, used: Collection[str] = SPLITS) -> Description:
    """Raise the errors that were found, or return the dataset without the faulty images if that is wanted.

    ``skipped`` has the skipped images by split, and the findings that were errors are warnings.

    Args:
        data: The dataset.
        tolerance: How many images may be skipped.
        used: The splits that are used; errors in the others are warnings.

    Raises:
        DatasetError: If there are errors that skipping images does not fix, or too many faulty images.
    """
    findings = [f if f.split is None or f.split in used else replace(f, severity="warning") for f in data.findings]
    errors = [f for f in findings if f.severity == "error"]
    images = {image for name, split in data.splits.items() if name in used for image in split.images}
    lasting = [f for f in errors if not tolerance.share or f.image not in images]
    skip = "" if tolerance.share or any(not f.image for f in lasting) else " To skip faulty images: --bad=skip."
    raise_errors(lasting, f"See all: trainer check {display_path(Path(data.file))} -v.{skip}")
    faulty = {f.image for f in errors if f.image}
    splits, skipped = dict(data.splits), dict(data.skipped)
    for name, split in data.splits.items():
        bad = sorted(faulty.intersection(split.images)) if name in used else []
        if not bad:
            continue
        rest = split.without(set(bad))
        if len(split) - len(rest) > tolerance.share * len(split) + 1e-9 or not len(rest):
            found = [f for f in errors if f.image in set(bad)]
            limit = f"more than the {100 * tolerance.share:.4g}% that --bad={tolerance.text} skips"
            what = f"{len(bad)} of {len(split)} {name} images cannot be used, {limit}."
            if not len(rest):
                what = f"none of the {len(split)} {name} images can be used."
            error = DatasetError(Problem(what, "correct the images: see trainer check"), *grouped(found))
            error.findings = tuple(found)
            raise error
        splits[name], skipped[name] = rest, bad
    findings = [replace(f, severity="warning") for f in findings]
    return replace(data, splits=splits, skipped=skipped, findings=findings)


def write_normalised(data: Description, folder: Path, ctx: DataContext) -> Description:
    """Write a YAML into a run's folder that means the same dataset from everywhere; return the dataset that it names.

    A split with skipped images, or whose labels the engine could not read, becomes a list of images.
    """
    path = folder / NORMALISED
    if ctx.args.resume and path.resolve() == Path(data.file).resolve():
        return data | {"yaml_file": str(path)}  # a resumed training reads what it wrote
    file = Path(data.file)
    if folder.resolve() in {file.parent.resolve(), (file.parent / str(data.get("path") or "")).resolve()}:
        what = "the run folder is the dataset's folder, which is never written to."
        raise SettingsError(Problem(what, "choose another folder: project=DIR name=NAME, or save_dir=DIR", str(folder)))
    keys: dict[str, Any] = {k: plain(v) for k, v in data.items() if k not in {"yaml_file", "download", *SPLITS}}
    for name in SPLITS:
        if data.get(name) is None:
            continue
        if name in data.splits and (name in data.skipped or not data.engine_reads):
            listed = (folder / f"{name}.txt").resolve()
            images = "".join(f"{f}\n" for f in data.splits[name].images)
            atomic_write(listed, images.encode("utf-8", "surrogateescape"))
            data |= {name: str(listed)}
        keys[name] = plain(data[name])
    if not data.engine_reads:
        parts = [Path(part) for part in ctx.source.split(",")]
        keys[SOURCE] = ",".join(str(part.resolve() if part.exists() else part) for part in parts)
        keys[IMAGES] = [str(Path(f).resolve()) for f in ctx.images]
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
    atomic_write(path, f"# The dataset of this run, as it was read from {data.file}\n{text}".encode())
    return data | {"yaml_file": str(path)}


def finding_of(problem: Problem) -> Finding:
    """Return a problem that was raised while a dataset was read as a finding."""
    where, _, line = (problem.where or "").rpartition(":")
    file = where if line.isdigit() else problem.where
    number = int(line) if where and line.isdigit() else None
    message = f"{problem.message} {problem.hint}" if problem.hint else problem.message
    return Finding("dataset-missing", message, problem.fix or "", str(Path(file).absolute()) if file else None, number)
