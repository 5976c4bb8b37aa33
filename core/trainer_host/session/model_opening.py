"""Opening a trained model: its file, its plugins, and the model that they build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.error_translation import blamed
from trainer_host.engine.live_run import run_of_chain
from trainer_host.session.near_runs import model_of_a_run
from trainer_host.session.restored_plugins import restored_plugins

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import Engine, EngineModel
    from trainer_host.plugin.registry import Registry


def open_model(request: Request, registry: Registry, reporter: Reporter, engine: Engine) -> EngineModel:
    """Read a checkpoint once, restore the plugins that it was trained with, and build the model.

    Of the settings only ``model`` and those that decide how a model computes are used.

    Args:
        request: The settings, in which `settings_problems` finds nothing wrong.
        registry: The plugins to choose from.
        reporter: Who shows warnings.
        engine: Finds and reads the file.

    Raises:
        TrainerError: For every cause that is expected.
    """
    settings = request.values
    if problem := model_of_a_run(str(settings["model"]), engine):
        raise SettingsError(problem)
    path = Path(engine.find_weights(str(settings["model"]), request.options.offline, None))
    if path.suffix.lower() != ".pt":
        inside = next((f for f in (path / "best.pt", path / "weights" / "best.pt") if f.is_file()), None)
        fix = f"write model={inside}" if inside else "give a .pt file"
        raise SettingsError(Problem(f"{path} is {'a folder' if path.is_dir() else 'not a .pt file'}.", fix))
    checkpoint = engine.checkpoints.read(path)
    chain, engine = restored_plugins(checkpoint, request, registry, reporter)
    run = run_of_chain(chain, engine, settings, request.options)
    of_loading = engine.settings.of_loading()
    with blamed(chain.manager, engine):
        return engine.trained_model(checkpoint, run, {k: v for k, v in settings.items() if k in of_loading})
