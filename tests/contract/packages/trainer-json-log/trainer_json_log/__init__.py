"""The extension `json-log`: the figures of every epoch as lines of JSON, which other programs can follow.

trainer run data=mice/data.yaml --plugin json-log json-log.file=log.jsonl
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer_host import ExtensionSpec, LogContext, RunContext, hookimpl

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class JsonLog:
    """The options."""

    file: str = "log.jsonl"  # below the run's folder, where it is not absolute


def log_file(ctx: RunContext) -> Path:
    """Return the file that the lines go to."""
    assert ctx.save_dir is not None
    return ctx.save_dir / ctx.options_for(JsonLog).file


class JsonLogHooks:
    """Writes at the start, after each epoch, and at the end."""

    @hookimpl
    def finish_setup(self, ctx: RunContext) -> None:
        """Write the settings: in one process, where a run has several."""
        if ctx.rank == 0:
            self._write(ctx, {"task": ctx.task, "settings": {k: str(v) for k, v in vars(ctx.args).items()}})

    @hookimpl
    def log_metrics(self, ctx: LogContext) -> None:
        """Write the figures of an epoch, or those of the best checkpoint."""
        self._write(ctx, {"epoch": ctx.epoch, "values": dict(ctx.values)})

    @staticmethod
    def _write(ctx: RunContext, line: dict[str, object]) -> None:
        with log_file(ctx).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


EXTENSION = ExtensionSpec(hooks=JsonLogHooks(), options=JsonLog)
