"""The format of an engine's checkpoints: what the container cannot know by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckpointFormat:
    """The format of an engine's checkpoints.

    Attributes:
        package: The library whose classes a file may name, besides those of torch and numpy.
        namespaces: Dotted names of its classes that do nothing but hold attributes; they are read as dicts.
        models: Keys of models, in the order of preference.
        settings: The key of the settings of the training.
        refused: Keys whose content could only be restored by executing it.
        student: The part of a model that remains after training, if the file holds one that was trained with others.
        rebuilt: Attributes of a model that building or loading it sets.
    """

    package: str
    namespaces: frozenset[str]
    models: tuple[str, ...]
    settings: str
    refused: tuple[str, ...]
    student: str
    rebuilt: frozenset[str]
