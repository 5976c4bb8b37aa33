"""Looks for devices: a separate process, since importing a damaged library may end the process.

    python -m trainer_host.session.device_probe

It prints one JSON object. Modules that cannot be imported are in it by name, with the reason.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

from trainer_host.base.child_process import module_command

MODULES = ("torch", "cv2")
TIMEOUT_S = 120.0


def probe() -> dict[str, Any]:
    """Return the devices and threads of torch, and the modules that cannot be imported."""
    command = module_command("trainer_host.session.device_probe")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": {"torch": f"its import took longer than {TIMEOUT_S:g} seconds"}}
    except (IndexError, ValueError):
        return {"failed": {"torch": f"its import ended the process with status {done.returncode}"}}
    return found


def main() -> None:
    """Print what is found."""
    failed: dict[str, str] = {}
    modules: dict[str, Any] = {}
    for name in MODULES:
        try:
            modules[name] = importlib.import_module(name)
        except Exception as error:  # a damaged package may raise anything
            failed[name] = " ".join(f"{type(error).__name__}: {error}".split())
    found = _of_torch(modules["torch"]) if "torch" in modules else {}
    sys.stdout.write(json.dumps({**found, "failed": failed}) + "\n")


def _of_torch(torch: Any) -> dict[str, Any]:
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    properties = [torch.cuda.get_device_properties(i) for i in cuda]
    return {
        "cuda": torch.version.cuda,
        "devices": [
            *({"device": f"cuda:{i}", "name": p.name, "memory": p.total_memory} for i, p in enumerate(properties)),
            *([{"device": "mps"}] if torch.backends.mps.is_available() else []),
            {"device": "cpu"},
        ],
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
    }


if __name__ == "__main__":
    main()
