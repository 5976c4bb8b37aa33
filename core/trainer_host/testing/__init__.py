"""Checks of the contract that every task and extension keeps, for the tests of plugins.

`check_plugin` runs all checks of a plugin, `parametrize_with_checks` makes a test of pytest of
each. ``trainer plugins verify NAME`` runs them on an installed one. The fixtures of
`trainer_host.testing.pytest_plugin` are loaded by a test suite that asks for them:
``pytest_plugins = ["trainer_host.testing.pytest_plugin"]``.
"""

from __future__ import annotations

from trainer_host.testing.check_outcome import CHECKS, Check, CheckFailedError, CheckOutcome, CheckSkippedError
from trainer_host.testing.parametrize import PluginCheck, parametrize_with_checks
from trainer_host.testing.tiny_dataset import TinyDataset, tiny_dataset
from trainer_host.testing.verification import VerificationError, check_plugin

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailedError",
    "CheckOutcome",
    "CheckSkippedError",
    "PluginCheck",
    "TinyDataset",
    "VerificationError",
    "check_plugin",
    "parametrize_with_checks",
    "tiny_dataset",
]
