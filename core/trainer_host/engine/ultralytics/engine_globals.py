"""Process-wide state that ultralytics sets on import and that a run may change."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer_host.base.gc_pause import gc_paused
from trainer_host.engine.ultralytics.engine_import import import_engine
from trainer_host.engine.ultralytics.release_window import missing_name

if TYPE_CHECKING:
    from collections.abc import Iterator


class UltralyticsGlobals:
    """The engine's part of `trainer_host.engine.process_state.preserved_state`."""

    package = "ultralytics"

    def load(self) -> None:
        """Import everything that a run needs of the engine.

        Raises:
            EnvironmentProblemError: If it is not installed, or lacks names that the host uses.
        """
        import_engine()
        try:
            with gc_paused():
                importlib.import_module("trainer_host.engine.ultralytics.training_engine")
        except (AttributeError, ImportError) as error:
            if missing := missing_name(error):
                raise missing from error
            raise

    def apply(self) -> None:
        """Set again what the first import sets outside of the environment, the warning filters and printing."""
        import cv2

        cv2.setNumThreads(0)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Restore the default callbacks and activation on leaving; parse each checkpoint once meanwhile."""
        from ultralytics.nn.modules.conv import Conv
        from ultralytics.utils import callbacks

        from trainer_host.engine.ultralytics.checkpoints import PARSED

        kept: dict[str, list[Any]] = {event: functions[:] for event, functions in callbacks.default_callbacks.items()}
        activation = Conv.default_act
        try:
            with PARSED.kept():
                yield
        finally:
            # The engine replaces these objects itself: the current one gets the former content.
            current = callbacks.default_callbacks
            current.clear()
            current.update(kept)
            if Conv.default_act is not activation:
                Conv.default_act = activation
