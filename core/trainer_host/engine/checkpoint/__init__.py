"""Checkpoints: read without running what they name, and written whole or not at all."""
