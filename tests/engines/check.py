"""Checks of the engine that is imported here: ``python -m tests.engines.check names|hashes VERSION``."""

from __future__ import annotations

import sys

from tests.engines.known_sources import OUR_FOLDERS, reimplementations
from tests.engines.used_names import missing_names, used_names
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.release_window import engine_state, hashes


def names() -> list[str]:
    """Return the names that our sources use and that this engine does not have."""
    return [f"missing: {name}" for name in missing_names(used_names(OUR_FOLDERS))]


def unknown_sources() -> list[str]:
    """Return the differences from every tested release, and re-implemented functions that nobody has compared."""
    state = engine_state()
    found = [f"changed: {name}" for name in (*state.changed, *state.bypassed)]
    for ours in reimplementations():
        hashed = hashes(engine_folder() / ours.file, [ours.name]).get(ours.name)
        if hashed not in ours.hashes:
            found.append(f"{ours.ours} re-implements {ours.name}, whose source {hashed} it does not know")
    return found


def main(what: str, release: str) -> int:
    """Print what is wrong and return 1, or 0 if nothing is."""
    import ultralytics

    found = names() if what == "names" else unknown_sources()
    if {ultralytics.__version__, engine_state().release} != {release}:
        found.append(f"imported: {ultralytics.__version__} instead of {release}")
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
