"""Launchers that need a package of an extra: ``--launcher slurm`` and ``--launcher ray``.

Each is an extension that is part of every run; its package is imported when it launches.
"""
