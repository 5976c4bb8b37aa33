"""Plugins: the hook specifications, discovery from metadata, and the chain of one run."""
