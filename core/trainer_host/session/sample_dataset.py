"""The built-in sample dataset of a task: drawn once, below the working folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.contexts import SampleContext
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.temporaries import sweep_once, temporary_folder
from trainer_host.engine.error_translation import blamed

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry

SAMPLE = "sample:"
MARK = ".drawn-by"


def sample_dataset(name: str, chain: Chain, registry: Registry, reporter: Reporter) -> tuple[str, dict[str, Any]]:
    """Return the dataset YAML of a sample, drawn if it is not there, and the settings that suit it.

    Raises:
        SettingsError: If the sample belongs to another task, or the task has none.
    """
    if name != chain.name:
        known = name in {record.name for record in registry.records if record.kind == "task"}
        if known:
            what = f"data={SAMPLE}{name} is for the task {name!r}, not {chain.name!r}."
            raise SettingsError(Problem(what, f"write --task {name}"))
        raise SettingsError(Problem(f"unknown sample data={SAMPLE}{name}.", f"write data={SAMPLE}{chain.name}"))
    folder = Path.cwd() / "runs" / "samples" / name
    drawn = _read_mark(folder / MARK)
    sweep_once(folder.parent)
    fresh = drawn.get("by") == _drawn_by(chain)
    if not fresh:
        drawn = _draw_sample(chain, folder)
    reporter.note(f"No dataset given: {'using' if fresh else 'generated'} the sample dataset in {display_path(folder)}")
    return str(folder / drawn["data"]), drawn["settings"]


def _read_mark(mark: Path) -> dict[str, Any]:
    try:
        drawn: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return drawn


def _drawn_by(chain: Chain) -> list[str]:
    return [m.record.origin for m in chain.tasks]


def _draw_sample(chain: Chain, folder: Path) -> dict[str, Any]:
    """Draw a sample dataset so that it appears whole or not at all; return the content of its mark."""
    with temporary_folder(folder) as scratch:
        work = scratch / folder.name
        work.mkdir()
        with blamed(chain.manager):
            sample = chain.manager.hook.build_sample(ctx=SampleContext(folder=work))
        if sample is None:
            raise SettingsError(Problem(f"task {chain.name!r} has no sample dataset.", "write data=my.yaml"))
        data = Path(sample.data).relative_to(work).as_posix()
        drawn = {"by": _drawn_by(chain), "data": data, "settings": dict(sample.settings)}
        (work / MARK).write_text(json.dumps(drawn), encoding="utf-8")
        _put_sample(work, folder, drawn)
    return drawn


def _put_sample(work: Path, folder: Path, drawn: dict[str, Any]) -> None:
    """Move a sample to its place, unless another run has put the same there; other content is renamed."""
    if _read_mark(folder / MARK).get("by") == drawn["by"]:
        return
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.old{n}").exists())
        folder.replace(folder.with_name(f"{folder.name}.old{number}"))
    work.replace(folder)
