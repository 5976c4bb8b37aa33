"""The version of the host, and the window of engine releases that it works with."""

__version__ = "0.1.0"

ENGINE_WINDOW = ">=8.4.180,<8.5"
"""Releases of the engine that can be installed with the host; the same bounds stand in pyproject.toml."""
