"""Checkpoints and architectures that would run code, fetch, or take all memory where they are loaded in full."""
