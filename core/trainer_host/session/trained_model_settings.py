"""Settings of a trained model: those that it is loaded with, and those of an evaluation or a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.request import Request
from trainer_host.session.resolution import unknown_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from trainer_host.base.errors import Problem
    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.protocol import Command, Engine, EngineModel, Lacking
    from trainer_host.plugin.registry import Registry


def settings_problems(
    settings: Mapping[str, Any], registry: Registry, engine: Engine, command: Command
) -> list[Problem]:
    """Return the problems of settings that show before the model is read."""
    schema = engine.settings
    known = known_settings(settings, engine)
    unknown = unknown_of(Request.of(command, settings), registry, engine)
    return unknown + schema.invalid(known, command) + schema.unused(known, command, None)[0]


def known_settings(settings: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Return the settings that the engine has, without the source of a prediction."""
    keys = engine.settings.keys()
    return {k: v for k, v in settings.items() if k in keys and k != "source"}


def is_meant(key: str, problems: Iterable[Problem]) -> bool:
    """Return whether a problem is that of a setting under another name, so that it need not be missed as well."""
    return any(
        str(p.fix).startswith(f"write {key}=") or str(p.hint).startswith(f"Did you mean {key!r}?") for p in problems
    )


def warn_of_unused(
    model: EngineModel,
    settings: Mapping[str, Any],
    command: Command,
    reporter: Reporter,
    lacking: Collection[Lacking] = (),
) -> None:
    """Warn of settings that have no effect in a command.

    Args:
        model: The model.
        settings: The settings of the call.
        command: ``val`` or ``predict``.
        reporter: Who shows the warnings.
        lacking: What a prediction does without.
    """
    kind, engine = model.run.chain.engine_task, model.run.engine
    for problem in engine.settings.unused(known_settings(settings, engine), command, kind, lacking=lacking)[1]:
        reporter.warn(str(problem))
