"""A check of a dataset, without the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.contexts import DataContext
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.base.findings import DatasetError, by_code
from trainer_host.data.check_runner import finding_of, read_and_check
from trainer_host.data.description import SPLITS, Description
from trainer_host.data.subset_settings import check_selection, chosen_classes
from trainer_host.engine.error_translation import blamed
from trainer_host.engine.factory import make_engine
from trainer_host.session.resolution import unknown_of
from trainer_host.session.task_inference import refuse_other_data, task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from trainer_host.base.findings import Finding
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.run_options import RunOptions
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.task_inference import InferredTask


@dataclass(frozen=True)
class CheckResult:
    """The result of a check of a dataset.

    Attributes:
        dataset: The file that describes the dataset.
        task: The task that it was checked for; None if it cannot be inferred.
        fingerprint: A hash of what would be trained on; None if nothing could be read.
        counts: Numbers of images, rows and findings.
        findings: What was found, errors first.
        notes: What else was written, for people.
        used: The splits that a training uses; an error in another does not stop it.
    """

    dataset: str
    task: str | None
    fingerprint: str | None
    counts: Mapping[str, Any]
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    used: Collection[str] = ("train", "val")

    @property
    def trainable(self) -> bool:
        """Whether a training starts with the dataset as it is."""
        return not any(f.severity == "error" and (f.split is None or f.split in self.used) for f in self.findings)

    def fails(self, strict: bool = False) -> bool:
        """Return whether the dataset cannot be used: for an error, or if ``strict`` for a warning."""
        return any(f.severity == "error" or strict for f in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON can hold it; files are relative to the dataset's folder."""
        root = Path(self.dataset).parent
        return {
            "dataset": self.dataset,
            "task": self.task,
            "fingerprint": self.fingerprint,
            "counts": dict(self.counts),
            "findings": [
                {
                    "code": f.code,
                    "severity": f.severity,
                    "file": _relative(f.file, root),
                    "line": f.line,
                    "split": f.split,
                    "message": f.message,
                    "fix": f.fix,
                }
                for f in self.findings
            ],
        }


def _relative(file: str | None, root: Path) -> str | None:
    if file is None:
        return None
    path = Path(file)
    roots = [r for r in (root, root.resolve()) if path.is_relative_to(r)]
    shown = path.relative_to(roots[0]) if roots else path
    return shown.as_posix().encode("utf-8", "backslashreplace").decode()


def check(request: Request, registry: Registry, reporter: Reporter) -> CheckResult:
    """Read a dataset and check it; nothing is trained, and the dataset is not written to.

    Args:
        request: The dataset, and what to do with it.
        registry: The plugins to choose from.
        reporter: Shows warnings about plugins.

    Raises:
        SettingsError: If a setting is wrong, or no dataset is given.
        PluginError: If a plugin cannot be used.
    """
    engine = make_engine()
    with engine.switches():  # plugins may import the engine
        try:
            chain, ctx, inferred = _prepared(request, registry, reporter)
        except DatasetError as error:  # a file from which not even the task can be inferred
            return _unread(error, str(request.values["data"]), None)
        with blamed(chain.manager):
            try:
                refuse_other_data(chain, ctx.source, inferred, engine)
                data = read_and_check(chain, ctx)
            except DatasetError as error:
                return _unread(error, ctx.source, chain)
            return _checked(data, chain, ctx, request.options)


def _checked(data: Description, chain: Chain, ctx: DataContext, options: RunOptions) -> CheckResult:
    data = data.with_findings(check_selection(data, ctx.args, SPLITS))
    proposal: dict[str, list[str]] = {}
    if options.deep:
        from trainer_host.data.deep_check import inspect_pixels

        pixels = inspect_pixels(data)
        data = data.with_findings(pixels.findings)
        proposal = pixels.proposal
    ctx = replace(ctx, data=data)
    notes = _report(options.report, data, chain, ctx) if options.report else []
    notes += _fix(options.fix, data, chain, ctx, proposal) if options.fix else []
    return replace(_result(data, chain, notes), used=("train", ctx.split))


def _unread(error: DatasetError, source: str, chain: Chain | None) -> CheckResult:
    """Return what to say of a dataset of which nothing can be read."""
    findings = error.findings or [finding_of(p) for p in error.problems]
    return _result(Description({}, file=str(Path(source).absolute()), findings=findings), chain, ())


def _result(data: Description, chain: Chain | None, notes: Sequence[str]) -> CheckResult:
    return CheckResult(
        dataset=data.file,
        task=chain.name if chain else None,
        fingerprint=data.fingerprint() if data.splits else None,
        counts=count(data),
        findings=[f for group in by_code(data.findings).values() for f in group],
        notes=notes,
    )


def _report(path: Path, data: Description, chain: Chain, ctx: DataContext) -> list[str]:
    from trainer_host.data.report import write_report

    try:
        write_report(path, data, data.findings, chain.manager.hook, ctx)
    except OSError as error:
        raise StorageError(Problem(f"the report cannot be written: {error.strerror}.", None, str(path))) from error
    return [f"The report is in {display_path(path.absolute())}."]


def _fix(
    folder: Path, data: Description, chain: Chain, ctx: DataContext, proposal: Mapping[str, Sequence[str]]
) -> list[str]:
    from trainer_host.data.corrected_copy import patch_text, write_corrected

    patch: dict[str, Any] = {}
    for suggested in chain.manager.hook.suggest_keys(ctx=ctx):
        patch |= suggested
    lines = write_corrected(data, data.findings, folder, patch, proposal)
    if patch:
        lines += ["Suggested for the YAML; see that it is right:", *patch_text(patch).splitlines()]
    return lines


def prepare(request: Request, registry: Registry, reporter: Reporter) -> tuple[Chain, DataContext]:
    """Load the plugins that read and check the dataset of a request.

    Raises:
        SettingsError: If a setting is wrong, or no dataset is given.
        PluginError: If a plugin cannot be used.
    """
    return _prepared(request, registry, reporter)[:2]


def _prepared(request: Request, registry: Registry, reporter: Reporter) -> tuple[Chain, DataContext, InferredTask]:
    engine, settings = make_engine(), request.values
    problems = [*request.problems, *unknown_of(request, registry, engine)]
    if not settings.get("data"):
        problems.append(Problem("no dataset is given.", f"write trainer {request.command} my.yaml"))
    problems += _wrong_values(settings, engine)
    if problems:
        raise SettingsError(*problems)
    inferred = task_of(request, registry, reporter, engine)
    chain = registry.chain(inferred.name, request.options.plugins, request.plugin_options)
    for problem in chain.notices:
        reporter.warn(str(problem))
    args: Any = SimpleNamespace(**{**engine.settings.defaults(), **settings, "mode": "train"})
    ctx = DataContext(
        task=chain.name,
        engine_task=chain.engine_task,
        args=args,
        options=chain.options,
        source=str(settings["data"]),
        images=request.options.images,
        split=str(args.split or "val"),
        offline=request.options.offline,
    )
    return chain, ctx, inferred


def _is_probability(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


PLAINLY_VALID: Mapping[str, Callable[[Any], bool]] = {
    "fliplr": _is_probability,
    "flipud": _is_probability,
    "single_cls": lambda value: isinstance(value, bool),
    "split": lambda value: value in SPLITS,
    "classes": lambda value: chosen_classes(value) is not None,
    "data": lambda value: isinstance(value, str),
}
"""Settings that a check often has, with tests that need no import of the engine."""


def _wrong_values(settings: Mapping[str, Any], engine: Engine) -> list[Problem]:
    """Return problems of values; the engine is imported only for those that are not plainly valid."""
    plain = {key for key, value in settings.items() if key in PLAINLY_VALID and PLAINLY_VALID[key](value)}
    doubtful = (settings.keys() & engine.settings.keys()) - plain
    return engine.settings.invalid({key: settings[key] for key in settings if key in doubtful}) if doubtful else []


def count(data: Description) -> dict[str, Any]:
    """Return the numbers of images and rows of each split, and of errors and warnings."""
    from trainer_host.data.description import EMPTY, FOUND, MISSING

    splits = {
        name: {
            "images": len(split),
            "labelled": int((split.labelled == FOUND).sum()),
            "empty": int((split.labelled == EMPTY).sum()),
            "missing": int((split.labelled == MISSING).sum()),
            "objects": len(split.row_lengths),
        }
        for name, split in data.splits.items()
    }
    codes = {code: len(group) for code, group in by_code(data.findings).items()}
    return {
        "errors": sum(f.severity == "error" for f in data.findings),
        "warnings": sum(f.severity == "warning" for f in data.findings),
        "codes": codes,
        "splits": splits,
    }


def summary(result: CheckResult) -> list[str]:
    """Return what was read, a line for each split."""
    lines = []
    for name, numbers in result.counts["splits"].items():
        extra = [f"{numbers[key]} {word}" for key, word in (("empty", "empty"), ("missing", "without a label file"))]
        more = "".join(f", {text}" for text in extra if not text.startswith("0 "))
        lines.append(f"  {name:<6}{numbers['images']:>7} images, {numbers['objects']} objects{more}")
    task = f", checked for {result.task}" if result.task else ""
    return [f"{display_path(Path(result.dataset))}{task}:", *lines]
