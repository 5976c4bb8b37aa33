"""The hooks of a run.

Names follow one pattern: a verb and its object (``build_model``) for a hook that acts or gives one answer, a plural
noun (``layers``, and torch's ``state_dict``) for a hook that collects what all plugins contribute.

A *first result* hook takes one answer: the selected task is called first, then its base, and None means 'ask my base'.
All other hooks are answered by everybody, from the base to the task and then the extensions in the order in which they
were named, so that each can build on what came before. Extensions implement first-result hooks only as wrappers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.hookspecs.dataset_hooks import DatasetHooks
from trainer_host.plugin.hookspecs.evaluation_hooks import EvaluationHooks
from trainer_host.plugin.hookspecs.launch_hooks import LaunchHooks
from trainer_host.plugin.hookspecs.loader_hooks import LoaderHooks
from trainer_host.plugin.hookspecs.model_hooks import ModelHooks
from trainer_host.plugin.hookspecs.prediction_hooks import PredictionHooks
from trainer_host.plugin.hookspecs.training_hooks import TrainingHooks

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = (DatasetHooks, LoaderHooks, ModelHooks, TrainingHooks, EvaluationHooks, PredictionHooks, LaunchHooks)
"""The classes of `HookSpecs`, in the order of a run."""


class HookSpecs(DatasetHooks, LoaderHooks, ModelHooks, TrainingHooks, EvaluationHooks, PredictionHooks, LaunchHooks):
    """Every hook that a plugin may implement."""


HOOKS: Mapping[str, Any] = {
    name: hook for stage in STAGES for name, hook in vars(stage).items() if not name.startswith("_")
}
"""The specification of every hook by its name."""
BASE_FIRST = frozenset(name for name, hook in HOOKS.items() if not hook.trainer_host_spec["firstresult"])
"""Hooks that everybody answers, from the base to the task, then the extensions. Authors need not mark them."""
