"""The command `summary`: the best epoch of a run, and what was measured in it.

trainer summary runs/pose/train
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import click
import yaml

from trainer_host import Problem, SettingsError

RESULTS, RECORD = "results.csv", "run.yaml"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--by", metavar="METRIC", help="Metric that selects the best epoch; the largest is the best.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def summary(folder: Path, by: str | None, as_json: bool) -> None:
    """Show the best epoch of the run in FOLDER."""
    epochs = read_epochs(folder / RESULTS)
    names = [name for name in epochs[0] if name.startswith("metrics/")]
    by = by or next((name for name in reversed(names) if "mAP50-95" in name), names[-1])
    if by not in names:
        raise SettingsError(Problem(f"the run has no metric {by!r}.", hint=f"It has {', '.join(names)}."))
    best = max(epochs, key=lambda epoch: epoch[by])
    record = yaml.safe_load((folder / RECORD).read_text(encoding="utf-8"))
    found = {
        "task": record["task"],
        "status": record["record"]["status"],
        "epochs": len(epochs),
        "best": int(best["epoch"]),
        "by": by,
        "metrics": {name: best[name] for name in names},
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['task']}, {found['status']}: epoch {found['best']} of {found['epochs']} is the best by {by}")
    for name, value in found["metrics"].items():
        click.echo(f"  {name:<22} {value:.3f}")


def read_epochs(file: Path) -> list[dict[str, float]]:
    """Return the rows of ``results.csv``, one for each epoch."""
    if not file.is_file():
        raise SettingsError(Problem(f"{file} not found.", "give the folder of a run that trained an epoch"))
    with file.open(newline="", encoding="utf-8") as lines:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
