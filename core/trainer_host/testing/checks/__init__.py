"""The checks that every plugin has to pass. Importing this registers all of them, in the order of their making."""

from __future__ import annotations

from trainer_host.testing.checks import contract, data, training, results, process, extensions  # noqa: F401, I001
