"""The one place in the host that imports ultralytics: trainer, checkpoints, validation, prediction."""
