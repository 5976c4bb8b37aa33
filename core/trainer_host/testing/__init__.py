"""Tests of plugins: what every task and extension has to keep to.

`check_task` and `check_extension` make all checks of a plugin, `parametrize_with_checks` makes an item of pytest of
each. ``trainer plugins verify NAME`` makes them of an installed one. The fixtures of
`trainer_host.testing.pytest_plugin` load where a test suite asks for them:
``pytest_plugins = ["trainer_host.testing.pytest_plugin"]``.
"""

from __future__ import annotations

from trainer_host.plugin.discovery import only
from trainer_host.testing.check_outcome import CHECKS, Check, CheckFailedError, CheckSkippedError, Outcome
from trainer_host.testing.parametrize import PluginCheck, parametrize_with_checks
from trainer_host.testing.tiny_dataset import TinyDataset, tiny_dataset
from trainer_host.testing.verification import VerificationError, check_extension, check_task

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailedError",
    "CheckSkippedError",
    "Outcome",
    "PluginCheck",
    "TinyDataset",
    "VerificationError",
    "check_extension",
    "check_task",
    "only",
    "parametrize_with_checks",
    "tiny_dataset",
]
