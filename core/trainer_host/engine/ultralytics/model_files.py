"""Model files: finding and fetching what the settings name, and inferring the task from it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from ultralytics.utils.checks import check_model_file_from_stem
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

from trainer_host.base.errors import Problem, SettingsError, UnsafeError, advised, fetch_refused, nearest
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
from trainer_host.engine.ultralytics.engine_settings import engine_folder


def find_weights(name: str, offline: bool, scratch: str | None) -> str:
    """Return the path of a model: a file, or published weights, fetched if they are missing.

    Args:
        name: The setting ``model``.
        offline: Whether nothing may be fetched.
        scratch: An architecture to suggest instead, if a training could start from one.

    Raises:
        SettingsError: If the file does not exist and cannot be fetched.
    """
    if "://" in name and offline:
        raise fetch_refused(name)
    name = str(check_model_file_from_stem(name))
    if "://" in name and not name.lower().endswith(".pt"):
        raise UnsafeError(Problem(f"model={name} is refused: architectures are not fetched.", "give a local file"))
    if not name.lower().endswith(".pt") or Path(name).is_file():
        return name
    instead = f", or train from scratch: model={scratch}" if scratch else "."
    if problem := missing_model(name, instead):
        raise SettingsError(problem)
    if offline:
        raise fetch_refused(f"the weights {name}", f"put the file here{instead}")
    return _fetched(name, instead)


def missing_model(name: str, instead: str = ".") -> Problem | None:
    """Return the problem of a model that is neither a file nor published by the engine; None if it is one.

    Args:
        name: The setting ``model``.
        instead: The end of the fix.
    """
    from ultralytics.nn.tasks import yaml_model_load

    name = str(check_model_file_from_stem(name))
    path = Path(name)
    suffix = path.suffix.lower()
    if "://" in name or suffix not in {".pt", ".yaml", ".yml"} or path.is_file() or path.name in GITHUB_ASSETS_NAMES:
        return None
    if suffix != ".pt":
        try:
            yaml_model_load(name)
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            names = [f.name for f in (engine_folder() / "cfg" / "models").rglob("*.yaml")]
            scaled = [re.sub(r"(\d+)", rf"\g<1>{scale}", n, count=1) for n in names for scale in "nslmx"]
            near = nearest(path.name, [*names, *scaled])
            advice = f"Did you mean model={near}?" if near else "give the path of a model YAML, or of a checkpoint"
            return advised(f"model {name} not found.", advice)
        return None
    if path.is_dir():
        return Problem(f"model={name} is a folder.", f"give the path of a checkpoint{instead}")
    if path.is_symlink():
        return Problem(
            f"the link {name} points to a file that does not exist.", f"give the path of a checkpoint{instead}"
        )
    siblings = [f.name for f in path.parent.glob("*.pt") if f.is_file()] if path.parent.is_dir() else []
    published = get_close_matches(path.name, GITHUB_ASSETS_NAMES, n=1, cutoff=0.8) if path.parent == Path() else []
    near = nearest(path.name, siblings) or next(iter(published), None)
    hint = f"Did you mean model={path.with_name(near)}?" if near else None
    return Problem(f"model {name} not found.", f"give the path of a checkpoint{instead}", hint=hint)


def _fetched(name: str, instead: str) -> str:
    """Fetch published weights, and return their path, whether or not the engine thinks that it is offline.

    Raises:
        SettingsError: If they cannot be fetched.
    """
    try:
        fetched, why = attempt_download_asset(name), ""
    except (OSError, ValueError) as error:  # those of requests and of the engine among them
        said = " ".join(str(error).split()).removeprefix("❌ ")
        fetched, why = name, f": {said or type(error).__name__}"
    if not Path(fetched).is_file():
        raise SettingsError(
            Problem(f"the weights {name} could not be fetched{why or '.'}", f"put the file here{instead}")
        )
    return str(fetched)


def infer_task(name: str) -> str | None:
    """Return the task of a checkpoint, a model YAML or published weights; None if it does not say it."""
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    if name.endswith(".pt") and Path(name).is_file():
        return read_checkpoint(name).task
    if name.lower().endswith((".yaml", ".yml")):
        try:
            found: str | None = guess_model_task(yaml_model_load(name))
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None
        return found
    name = str(check_model_file_from_stem(name))
    return str(guess_model_task(name)) if Path(name).name in GITHUB_ASSETS_NAMES else None
