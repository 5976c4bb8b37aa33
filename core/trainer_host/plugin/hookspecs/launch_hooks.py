"""Hooks of the launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.plugin.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.protocols import Launcher


class LaunchHooks:
    """Hooks of the launch."""

    @hookspec
    def launchers(self) -> Mapping[str, Launcher]:  # type: ignore[empty-body]
        """Return launchers by the name that ``--launcher`` gives them.

        Called: for a run of several processes, before anything is trained.

        .. versionadded:: 0.1
        """
