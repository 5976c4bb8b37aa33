"""The checks that every plugin has to pass. Importing this registers all of them, in the order in which they run."""

from __future__ import annotations

# isort: off
from trainer_host.testing.checks import (
    contract_checks,
    data_checks,
    training_checks,
    result_checks,
    process_checks,
    extension_checks,
)

__all__ = ["contract_checks", "data_checks", "extension_checks", "process_checks", "result_checks", "training_checks"]
