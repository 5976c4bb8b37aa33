"""The check of a dataset before weights are fetched for a training on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from trainer_host.base.contexts import DataContext
from trainer_host.data.check_runner import apply_tolerance, read_and_check
from trainer_host.engine.error_translation import blamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.request import GivenValue, Request
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain


def check_before_fetching(settings: Mapping[str, GivenValue], request: Request, chain: Chain, engine: Engine) -> None:
    """Raise the errors of a dataset on this machine that show without a model, if the model would be fetched.

    The training reads the dataset once more, with the model, from what was cached.

    Args:
        settings: The settings of the run.
        request: What was given.
        chain: The plugins of the run.
        engine: The engine of the run.

    Raises:
        DatasetError: If the dataset has errors, or cannot be read.
    """
    values = {key: one.value for key, one in settings.items()}
    model, source = str(values.get("model") or ""), values.get("data")
    if not _would_be_fetched(model, engine) or not isinstance(source, str) or not _is_here(source):
        return
    args: Any = SimpleNamespace(**{**engine.settings.defaults(), **values, "mode": "train"})
    split = str(args.split or "val")
    ctx = DataContext(
        task=chain.name,
        engine_task=chain.engine_task,
        args=args,
        options=chain.options,
        source=source,
        images=request.options.images,
        split=split,
        offline=request.options.offline,
    )
    with blamed(chain.manager, engine):
        apply_tolerance(read_and_check(chain, ctx), request.options.bad, {"train", split})


def _would_be_fetched(model: str, engine: Engine) -> bool:
    """Return whether a model is published weights that are not on this machine."""
    path = Path(model)
    if not model or "://" in model or path.suffix.lower() not in {"", ".pt"}:
        return False
    try:
        here = path.exists() or Path(f"{model}.pt").exists()
    except (OSError, ValueError):  # a name that is too long, which is refused later
        return False
    return not here and engine.missing_model(model) is None


def _is_here(source: str) -> bool:
    try:
        return all(Path(part).exists() for part in source.split(","))
    except (OSError, ValueError):
        return False
