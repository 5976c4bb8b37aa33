"""The version of the host, and the releases of the engine that it was tested with."""

__version__ = "0.1.0"

ENGINE_TESTED = ">=8.4.190,<8.4.191"
"""Releases of ultralytics that the parity tests have seen; the same bounds stand in pyproject.toml."""
