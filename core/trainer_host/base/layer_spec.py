"""Layers of plugins for model YAMLs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer for model YAMLs, where a row is ``[from, repeats, NAME, arguments]``.

    Attributes:
        module: Class of the layer, a `torch.nn.Module`; or a function that returns one.
        scaled: Whether the row's first argument is the number of output channels, to be scaled by the model's width.
            The class is then called with input channels, output channels and the other arguments, as the engine's own
            convolutions are. Otherwise it is called with the row's arguments, and keeps the number of channels.
        arguments: Function for any other layer: takes the channels of each input and the row's arguments, and returns
            the number of output channels and the arguments of the class.
        repeats: Whether the class takes the number of repeats as its third argument, after the channels. Otherwise a
            repeated layer occurs several times in a row.
    """

    module: Callable[..., Any]
    scaled: bool = False
    arguments: Callable[[Sequence[int], Sequence[Any]], tuple[int, Sequence[Any]]] | None = None
    repeats: bool = False
