"""The ultralytics engine: the one place in the host that imports ultralytics."""
