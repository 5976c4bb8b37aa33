"""The markers of hook specifications and implementations, and the value of a hook that has none."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT: Final = "trainer_host"

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method or function as the implementation of a hook."""

hookspec = pluggy.HookspecMarker(PROJECT)


class Done:
    """The type of `DONE`."""

    def __repr__(self) -> str:
        return "DONE"


DONE: Final = Done()
"""Answer of a first-result hook that has done its work and has no value. None means 'ask my base'."""
