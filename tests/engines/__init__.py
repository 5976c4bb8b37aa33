"""The releases of the engine that the host works with: what of them is watched, used and compared."""
