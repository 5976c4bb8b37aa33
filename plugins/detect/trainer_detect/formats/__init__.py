"""Formats of datasets that the host reads as they are."""
