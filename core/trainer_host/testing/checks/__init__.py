"""The checks that every plugin has to pass. Importing this registers all of them, in the order of their making."""

from __future__ import annotations

# isort: off
from trainer_host.testing.checks import contract, data, training, results, process, extensions

__all__ = ["contract", "data", "extensions", "process", "results", "training"]
