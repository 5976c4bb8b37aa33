"""Layers that a model YAML can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer for model YAMLs, where a row is ``[from, repeats, NAME, arguments]``.

    Attributes:
        module: The class of the layer, a `torch.nn.Module`; or a function that returns one.
        scaled: Whether the row's first argument is the number of output channels, which the model's width scales; the
            class is then called with the input channels, the output channels and the other arguments, as the
            engine's own convolutions are. Otherwise it is called with the row's arguments alone, and has as many
            channels after it as before it.
        arguments: A function for every other layer: of the channels of each input and the row's arguments it
            returns the number of output channels and the arguments that the class is called with.
        repeats: Whether the class takes the number of repeats as its third argument, after the channels. Otherwise a
            repeated layer stands several times in a row.
    """

    module: Callable[..., Any]
    scaled: bool = False
    arguments: Callable[[Sequence[int], Sequence[Any]], tuple[int, Sequence[Any]]] | None = None
    repeats: bool = False
