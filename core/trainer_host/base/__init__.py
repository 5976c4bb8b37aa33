"""Plain data, protocols and errors: what every other layer speaks in. Needs neither torch nor the engine."""
