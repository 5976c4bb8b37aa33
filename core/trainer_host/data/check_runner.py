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
"""Keys by which a normalised YAML says what it was made from, where that was no YAML."""


def unanswered(task: str, hook: str) -> Problem:
    """Return what to say where no plugin answers a hook that must have an answer."""
    return Problem(f"task {task!r} does not answer the hook {hook!r}.", "Implement it, or give the task a base.")


def examine(chain: Chain, ctx: DataContext) -> Description:
    """Read a dataset and have every plugin check it; all that is wrong is among the findings.

    Raises:
        DatasetError: If there is no dataset to read.
        PluginError: If no plugin reads datasets.
        SettingsError: If ``classes`` names one that the dataset does not have.
    """
    with gc_paused():
        return _examined(chain, _original(ctx))


def _examined(chain: Chain, ctx: DataContext) -> Description:
    hooks = chain.manager.hook
    data = _read(chain, ctx)
    refuse_unknown_classes(getattr(ctx.args, "classes", None), data.get("names"), "the dataset")
    if ctx.args.single_cls and "names" in data:
        data["names"], data["nc"] = {0: "item"}, 1
    if not data.engine_reads:
        data.findings += check_files(data, {})
    data.findings += check_modes(data)
    data.findings += unknown_keys(data, _known_keys(chain))
    if "yaml_file" in data or data.splits or not data.findings:  # a file that is no YAML has nothing more to say
        for found in hooks.check_dataset(ctx=replace(ctx, data=data)):
            data.findings += [found] if isinstance(found, Finding) else found
    return data


class _Innermost:
    """Keeps what was read before wrappers change it, where they return its keys alone."""

    read: Any = None

    @hookimpl(wrapper=True, trylast=True)
    def read_dataset(self) -> Generator[None, Any, Any]:
        self.read = yield
        return self.read


def _read(chain: Chain, ctx: DataContext) -> Description:
    inner = _Innermost()
    chain.manager.register(inner)
    try:
        read = chain.manager.hook.read_dataset(ctx=ctx)
    finally:
        chain.manager.unregister(inner)
    if read is None:
        raise PluginError(unanswered(ctx.task, "read_dataset"))
    if isinstance(read, Description):
        return read
    if not isinstance(inner.read, Description):
        return Description(read, file=os.path.abspath(ctx.source))  # noqa: PTH100
    keys = dict(read)
    inner.read.clear()
    inner.read.update(keys)
    return inner.read


def _known_keys(chain: Chain) -> set[str]:
    specs = [member.spec for member in chain.tasks]
    return {key for spec in specs for name in ("dataset_keys", "known_keys") for key in getattr(spec, name)}


def _original(ctx: DataContext) -> DataContext:
    """Return the context of what a run's own YAML was made from: files on this machine, and nothing to be fetched."""
    path = Path(ctx.source)
    if path.name != NORMALISED or not path.is_file() or not path.with_name("args.yaml").is_file():
        return ctx
    content = read_document(path).content
    source = str(content.get(SOURCE, ""))
    parts = [Path(part) for part in source.split(",")]
    if not all(p.is_absolute() and p.exists() and p.suffix.lower() not in FETCHED for p in parts):
        return ctx
    return replace(ctx, source=source, images=tuple(map(str, content.get(IMAGES) or ())))


def settle(data: Description, tolerance: Tolerance, used: Collection[str] = SPLITS) -> None:
    """Raise the errors that were found, or leave out the images at fault where that is wanted.

    What is left out stands in ``data.left_out`` by split, and the findings that were errors become warnings.

    Args:
        data: The dataset.
        tolerance: How many images may be left out.
        used: The splits that are used; errors in the others are warnings.

    Raises:
        DatasetError: If there are errors that leaving out images does not mend, or too many images at fault.
    """
    data.findings = [f if f.split is None or f.split in used else replace(f, severity="warning") for f in data.findings]
    errors = [f for f in data.findings if f.severity == "error"]
    images = {image for name, split in data.splits.items() if name in used for image in split.images}
    lasting = [f for f in errors if not tolerance.share or f.image not in images]
    skip = "" if tolerance.share or any(not f.image for f in lasting) else " To leave out images at fault: --bad=skip."
    raise_errors(lasting, f"See all: trainer check {display_path(Path(data.file))} -v.{skip}")
    faulty = {f.image for f in errors if f.image}
    for name, split in data.splits.items():
        bad = sorted(faulty.intersection(split.images)) if name in used else []
        if not bad:
            continue
        rest = split.without(set(bad))
        if len(split) - len(rest) > tolerance.share * len(split) + 1e-9 or not len(rest):
            found = [f for f in errors if f.image in set(bad)]
            limit = f"more than the {100 * tolerance.share:.4g}% that --bad={tolerance.text} leaves out"
            what = f"{len(bad)} of {len(split)} {name} images cannot be used, {limit}."
            if not len(rest):
                what = f"none of the {len(split)} {name} images can be used, so that nothing is left."
            error = DatasetError(Problem(what, "Mend them: see trainer check."), *grouped(found))
            error.findings = tuple(found)
            raise error
        data.splits[name] = rest
        data.left_out[name] = bad
    data.findings = [replace(f, severity="warning") if f.severity == "error" else f for f in data.findings]


def normalised(data: Description, folder: Path, ctx: DataContext) -> Path:
    """Write a YAML into a run's folder that means the same dataset from everywhere, and return its path.

    A split of which images were left out, or whose labels the engine could not read, becomes a list of images.
    """
    path = folder / NORMALISED
    if ctx.args.resume and path.resolve() == Path(data.file).resolve():
        return path  # a training that is resumed reads what it wrote when it began
    file = Path(data.file)
    if folder.resolve() in {file.parent.resolve(), (file.parent / str(data.get("path") or "")).resolve()}:
        what = "the run's folder is that of the dataset, which is not written to."
        raise SettingsError(Problem(what, "Give another folder: project=DIR name=NAME, or save_dir=DIR.", str(folder)))
    keys: dict[str, Any] = {k: plain(v) for k, v in data.items() if k not in {"yaml_file", "download", *SPLITS}}
    for name in SPLITS:
        if data.get(name) is None:
            continue
        if name in data.splits and (name in data.left_out or not data.engine_reads):
            listed = (folder / f"{name}.txt").resolve()
            images = "".join(f"{f}\n" for f in data.splits[name].images)
            atomic_write(listed, images.encode("utf-8", "surrogateescape"))
            data[name] = str(listed)
        keys[name] = plain(data[name])
    if not data.engine_reads:
        parts = [Path(part) for part in ctx.source.split(",")]
        keys[SOURCE] = ",".join(str(part.resolve() if part.exists() else part) for part in parts)
        keys[IMAGES] = [str(Path(f).resolve()) for f in ctx.images]
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
    atomic_write(path, f"# The dataset of this run, as it was read from {data.file}\n{text}".encode())
    return path


def finding_of(problem: Problem) -> Finding:
    """Return a problem that was raised while a dataset was read as a finding."""
    where, _, line = (problem.where or "").rpartition(":")
    file = where if line.isdigit() else problem.where
    number = int(line) if where and line.isdigit() else None
    fix = (problem.fix or "").removeprefix("Fix: ")
    fix = fix[:1].lower() + fix[1:]
    return Finding("dataset-missing", problem.message, fix, str(Path(file).absolute()) if file else None, number)
