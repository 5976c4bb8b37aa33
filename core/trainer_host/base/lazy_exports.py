"""Public names of a module that are imported when they are first used, so that importing the module stays cheap."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_exports(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module, as PEP 562 describes it.

    Type checkers do not see such names: import them under ``TYPE_CHECKING`` too, and list them in ``__all__``.

    Args:
        module: The module's ``__name__``.
        places: For each public name where it is defined: ``package.module``, or ``package.module:name`` if it is
            defined under another name.
    """

    def resolve(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, attribute = places[name].partition(":")
        value = getattr(importlib.import_module(place), attribute or name)
        setattr(sys.modules[module], name, value)  # the next access does not come here
        return value

    return resolve
