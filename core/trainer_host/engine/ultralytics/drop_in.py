"""Base of the classes that replace the engine's own trainers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ultralytics.utils import DEFAULT_CFG, LOGGER

from trainer_host.base.best_metric import BestMetric
from trainer_host.base.run_options import RunOptions
from trainer_host.engine.error_translation import blamed
from trainer_host.engine.live_run import run_of_chain
from trainer_host.engine.ultralytics.drop_in_states import drop_in_saver
from trainer_host.engine.ultralytics.engine import UltralyticsEngine
from trainer_host.engine.ultralytics.engine_errors import engine_errors
from trainer_host.engine.ultralytics.host_trainer import HostTrainer
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

D = TypeVar("D", bound="DropInTrainer")


class DropInTrainer(HostTrainer):
    """A host trainer that is constructed as the engine's own trainers are, and always runs exact.

    Attributes:
        task: Name of the task.
        plugins: Extensions that are switched on, as names or as paths of Python files.
        options: Values by plugin and option.
        best_metric: The metric that selects ``best.pt``, ``NAME`` or ``min:NAME``; None for the engine's fitness.
    """

    task: ClassVar[str]
    plugins: ClassVar[Sequence[Any]] = ()
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    best_metric: ClassVar[str | None] = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Any]] | None = None,
    ) -> None:
        registry, extensions = Registry.installed().with_plugins(self.plugins)
        engine = UltralyticsEngine()
        chain = registry.chain(self.task, extensions, self.options, engine.default_hooks())
        untested = engine.state().problem()
        for problem in (*chain.notices, *([untested] if untested else [])):
            LOGGER.warning(str(problem))
        best = BestMetric.parse(self.best_metric) if self.best_metric else None
        with blamed(chain.manager, engine), engine_errors():
            run = run_of_chain(chain, engine, options=RunOptions(exact=True, best_metric=best), drop_in=True)
            super().__init__(cfg, overrides, _callbacks, run=run)
        self.saver = drop_in_saver(self)

    def train(self) -> None:
        """Train.

        Raises:
            PluginCrashError: If a plugin's code raises an error, which is its ``__cause__``.
        """
        with blamed(self.host_run.chain.manager, self.host_run.engine), engine_errors():
            super().train()
        if not self.interrupted and self.saver.files is not None:
            self.saver.files.remove()

    @classmethod
    def configured(
        cls: type[D],
        *,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        plugins: Sequence[str] = (),
        best_metric: str | None = None,
    ) -> type[D]:
        """Return a class with plugins and options, for `YOLO.train(trainer=...)`, which constructs it itself.

        Args:
            options: Values by plugin and option, such as ``{"cbam": {"gain": 0.5}}``.
            plugins: Extensions to switch on, as names or as paths of Python files.
            best_metric: The metric that selects ``best.pt``, ``NAME`` or ``min:NAME``.
        """
        merged = {name: dict(values) for name, values in cls.options.items()}
        for name, values in (options or {}).items():
            merged.setdefault(name, {}).update(values)
        best = best_metric or cls.best_metric
        fields = {"options": merged, "plugins": (*cls.plugins, *plugins), "best_metric": best}
        return type(cls.__name__, (cls,), {**fields, "__module__": cls.__module__, "__doc__": cls.__doc__})
