"""Evaluation of a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.results import ValResult
from trainer_host.base.signals import StopRequest
from trainer_host.engine.error_translation import blamed
from trainer_host.session.model_opening import open_model
from trainer_host.session.result_folder import result_folder
from trainer_host.session.trained_model_settings import is_meant, known_settings, settings_problems, warn_of_unused
from trainer_host.session.working_engine import working_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import Command, Engine, EngineModel
    from trainer_host.plugin.registry import Registry


def val(request: Request, registry: Registry, reporter: Reporter) -> ValResult:
    """Evaluate a trained model, and return its metrics.

    Raises:
        TrainerError: For every cause that is expected.
    """
    stop = StopRequest(when="before the evaluation was done")
    with working_engine(request, registry, reporter) as engine, stop.listening():
        if problems := request_problems(request, registry, engine, "val"):
            raise SettingsError(*problems)
        return evaluate(open_model(request, registry, reporter, engine), request.values, reporter)


def evaluate(model: EngineModel, settings: Mapping[str, Any], reporter: Reporter) -> ValResult:
    """Evaluate a model on the dataset of the settings, or on that of its training.

    Args:
        model: The model.
        settings: Settings in which `settings_problems` finds nothing wrong.
        reporter: Who shows warnings.
    """
    settings = known_settings(settings, model.run.engine)
    warn_of_unused(model, settings, "val", reporter)
    chain = model.run.chain
    with result_folder(chain.name, settings, "val", reporter) as folder, blamed(chain.manager, model.run.engine):
        return ValResult(chain.name, model.checkpoint.path, folder, model.validate(settings, folder))


def request_problems(request: Request, registry: Registry, engine: Engine, command: Command) -> list[Problem]:
    """Return the problems of a request about a trained model that show before the model is read."""
    settings = request.values
    problems = settings_problems(settings, registry, engine, command)
    if request.options.images and command == "predict":
        problems.append(Problem("images= is not a setting of predict.", f"write source={request.options.images[0]}"))
    if "model" not in settings and not is_meant("model", problems):
        problems.append(Problem("no model given.", "write model=best.pt"))
    return problems
