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
from trainer_host.engine.ultralytics.engine_import import engine_switches
from trainer_host.engine.ultralytics.engine_settings import engine_defaults
from trainer_host.plugin.chain import load_chain
from trainer_host.session.resolution import infer_task, refuse_other_data, unknown_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trainer_host.base.findings import Finding
    from trainer_host.base.reporting import Reporter
    from trainer_host.plugin.chain import Chain
    from trainer_host.session.resolution import Request


@dataclass(frozen=True)
class CheckResult:
    """What a check of a dataset found.

    Attributes:
        dataset: The file that describes the dataset.
        task: The task that it was checked for; None where the dataset does not tell it.
        fingerprint: A hash of what would be trained on; None where nothing could be read.
        counts: Numbers of images, rows and findings.
        findings: What was found, errors first.
        notes: What was written besides.
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
        """Return whether the dataset cannot be used: for an error, or where ``strict`` for a warning."""
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


@engine_switches()  # plugins may import it
def check(
    request: Request, reporter: Reporter, *, deep: bool = False, report: Path | None = None, fix: Path | None = None
) -> CheckResult:
    """Read a dataset and check it; nothing is trained, and the dataset is not written to.

    Args:
        request: What is to be checked.
        reporter: Who shows warnings about plugins.
        deep: Whether to decode every image.
        report: Where a page about the dataset goes.
        fix: An empty folder that a corrected copy of the dataset goes into.

    Raises:
        SettingsError: If a setting is wrong, or no dataset is given.
        PluginError: If a plugin cannot be used.
    """
    try:
        chain, ctx = prepare(request, reporter)
    except DatasetError as error:  # a file that does not even tell its task
        return _unread(error, str(request.given.settings["data"]), None)
    with blamed(chain.manager):
        return _checked(chain, ctx, deep, report, fix)


def _checked(chain: Chain, ctx: DataContext, deep: bool, report: Path | None, fix: Path | None) -> CheckResult:
    try:
        refuse_other_data(chain, ctx.source)
        data = read_and_check(chain, ctx)
    except DatasetError as error:
        return _unread(error, ctx.source, chain)
    data = data.with_findings(check_selection(data, ctx.args, SPLITS))
    proposal: dict[str, list[str]] = {}
    if deep:
        from trainer_host.data.deep_check import inspect_pixels

        pixels = inspect_pixels(data)
        data = data.with_findings(pixels.findings)
        proposal = pixels.proposal
    ctx = replace(ctx, data=data)
    notes = _report(report, data, chain, ctx) if report else []
    notes += _mend(fix, data, chain, ctx, proposal) if fix else []
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


def _mend(
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


def prepare(request: Request, reporter: Reporter) -> tuple[Chain, DataContext]:
    """Load the plugins that read and check the dataset of a request.

    Raises:
        SettingsError: If a setting is wrong, or no dataset is given.
        PluginError: If a plugin cannot be used.
    """
    given = request.given
    problems = unknown_of(request, given.settings)
    if not given.settings.get("data"):
        problems.append(Problem("no dataset is given.", "Write: trainer check my.yaml"))
    problems += _wrong_values(given.settings)
    if problems:
        raise SettingsError(*problems)
    source = str(given.settings["data"])
    task = given.task or infer_task(given, request, reporter)
    chain = load_chain(task, given.plugins, given.options, request.no_plugins)
    for problem in chain.notices:
        reporter.warn(str(problem))
    args = SimpleNamespace(**{**engine_defaults(), **given.settings, "mode": "train"})
    ctx = DataContext(
        task=chain.name,
        engine_task=chain.engine_task,
        args=args,
        options=chain.options,
        source=source,
        images=given.images,
        split=str(args.split or "val"),
        offline=request.offline,
    )
    return chain, ctx


def _wrong_values(settings: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the settings that checks look at; the engine, which knows all, is not imported."""
    kinds = {"fliplr": (int, float), "flipud": (int, float), "single_cls": (bool,), "split": (str,)}
    classes = settings.get("classes")
    wrong = []
    if classes is not None and chosen_classes(classes) is None:
        wrong = [Problem(f"classes={classes} is not valid.", "Fix: write numbers of classes, such as classes=[0,2]")]
    return wrong + [
        Problem(f"{key}={settings[key]} is not valid.", f"Its default is {engine_defaults()[key]}.")
        for key, kind in kinds.items()
        if key in settings and (not isinstance(settings[key], kind) or (key == "split" and settings[key] not in SPLITS))
    ]


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
