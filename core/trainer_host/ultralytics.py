"""Tools for tasks that are built on the classes of ultralytics, as the built-in tasks are.

Each name is imported when it is first used; all but `task_from_trainer` import the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from trainer_host.engine.drawable_image import drawable_image
    from trainer_host.engine.ultralytics.architecture import vet_architecture
    from trainer_host.engine.ultralytics.dataset_source import read_yaml_dataset
    from trainer_host.engine.ultralytics.drop_in import DropInTrainer
    from trainer_host.engine.ultralytics.plugin_layers import model_class
    from trainer_host.engine.ultralytics.trackers import engine_callbacks
    from trainer_host.engine.ultralytics.trainer_adapter import task_from_trainer
else:
    _ENGINE = "trainer_host.engine.ultralytics"
    __getattr__ = lazy_exports(
        __name__,
        {
            "DropInTrainer": f"{_ENGINE}.drop_in",
            "drawable_image": "trainer_host.engine.drawable_image",
            "engine_callbacks": f"{_ENGINE}.trackers",
            "model_class": f"{_ENGINE}.plugin_layers",
            "read_yaml_dataset": f"{_ENGINE}.dataset_source",
            "task_from_trainer": f"{_ENGINE}.trainer_adapter",
            "vet_architecture": f"{_ENGINE}.architecture",
        },
    )

__all__ = [
    "DropInTrainer",
    "drawable_image",
    "engine_callbacks",
    "model_class",
    "read_yaml_dataset",
    "task_from_trainer",
    "vet_architecture",
]
