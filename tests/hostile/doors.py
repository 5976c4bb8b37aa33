"""Opens hostile files through every door, in a process that is watched: run as a script.

    python -m tests.hostile.doors FOLDER OUT.json DOOR...

Each attempt is written down: how it ended, what was said, and what was opened, started or connected to meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

WATCHED = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "urllib.Request",
        "webbrowser.open",
        "shutil.rmtree",
        "pickle.find_class",
    }
)
events: list[str] = []
armed = False


def watch(event: str, arguments: Any) -> None:
    if not armed:
        return
    if event in WATCHED or (event == "ctypes.dlopen" and "payload" in str(arguments)):
        events.append(f"{event} {arguments!r:.200}")
    elif event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
        events.append(f"open {arguments[0]}")


SETTINGS = ["epochs=1", "imgsz=64", "batch=4", "workers=0", "plots=False", "device=cpu"]
DOORS: dict[str, list[str]] = {
    "run model": ["run", "--task", "pose", "data=data/data.yaml", *SETTINGS, "model=FILE"],
    "run without a task": ["run", "data=data/data.yaml", *SETTINGS, "model=FILE"],
    "run offline": ["run", "--offline", "--task", "pose", "data=data/data.yaml", *SETTINGS, "model=FILE"],
    "run pretrained": [
        "run",
        "--task",
        "pose",
        "data=data/data.yaml",
        *SETTINGS,
        "model=small.yaml",
        "pretrained=FILE",
    ],
    "run distill_model": [
        *("run", "--task", "pose", "data=data/data.yaml", *SETTINGS, "model=small.yaml", "distill_model=FILE"),
    ],
    "run resume": ["run", "--task", "pose", "data=data/data.yaml", *SETTINGS, "resume=FILE"],
    "dry run": ["run", "--dry-run", "--task", "pose", "data=data/data.yaml", "model=FILE", "pretrained=FILE"],
    "val": ["val", "model=FILE", "data=data/data.yaml", "plots=False", "imgsz=64", "device=cpu"],
    "val as recorded": ["val", "model=FILE", "plots=False", "device=cpu"],
    "predict": ["predict", "model=FILE", "source=data/images/val", "--no-pictures", "device=cpu"],
    "check": ["check", "FILE"],
    "convert": ["convert", "FILE", "converted"],
}


def peak_memory() -> int:
    """Return the most bytes that this process has had, without those of its parent; 0 where that is not known."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def by_command(door: str, file: Path) -> dict[str, Any]:
    from trainer_host.cli.main import guarded

    words = [word.replace("FILE", str(file)) for word in DOORS[door]]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: Any = guarded(words)
        except BaseException:
            code = traceback.format_exc()
    return {"code": code, "said": err.getvalue()}


def by_python(door: str, file: Path) -> dict[str, Any]:
    """Use the Python API, or the classes that stand in for the engine's trainers."""
    import trainer_host
    from trainer_host import TrainerError

    settings = {"epochs": 1, "imgsz": 64, "batch": 4, "workers": 0, "plots": False, "device": "cpu"}
    try:
        if door == "API run":
            trainer_host.run("pose", model=file, data="data/data.yaml", **settings)
        elif door == "API val":
            trainer_host.val(file, data="data/data.yaml", plots=False, imgsz=64)
        elif door == "API predict":
            trainer_host.predict(file, "data/images/val")
        else:
            from trainer_pose import PoseTrainer

            extra = {
                "class model": {"model": str(file)},
                "class pretrained": {"model": "small.yaml", "pretrained": str(file)},
                "class distill_model": {"model": "small.yaml", "distill_model": str(file)},
                "class resume": {"model": str(file), "resume": str(file)},
            }[door]
            PoseTrainer(overrides={**settings, "data": "data/data.yaml", **extra}).train()
    except TrainerError as error:
        return {"code": int(error.exit_code), "said": "".join(f"trainer: {p}\n" for p in error.problems)}
    except (FileNotFoundError, AssertionError) as error:  # what the engine's own classes raise
        return {"code": 3, "said": f"trainer: {error}\n"}
    except BaseException:
        return {"code": traceback.format_exc(), "said": ""}
    return {"code": 0, "said": ""}


PYTHON_DOORS = (
    *("API run", "API val", "API predict"),
    *("class model", "class pretrained", "class distill_model", "class resume"),
)


def main(folder: Path, out: Path, doors: list[str], chosen: list[str]) -> None:
    global armed
    sys.addaudithook(watch)
    import trainer_pose.trainer  # noqa: F401

    before = {p.name for p in folder.iterdir()}
    files = sorted(p for p in (folder / "files").glob("*.pt") if not chosen or p.stem in chosen)
    attempts = []
    for door in doors:
        open_file = by_command if door in DOORS else by_python
        for file in files:
            events.clear()
            armed = True
            result = open_file(door, file)
            armed = False
            attempts.append({"door": door, "file": file.stem, **result, "events": list(events)})
    facts = {
        "attempts": attempts,
        "memory": peak_memory(),
        "new": sorted({p.name for p in folder.iterdir()} - before),
    }
    out.write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    names = sys.argv[3:]
    picked = [n.removeprefix("--file=") for n in names if n.startswith("--file=")]
    main(Path(sys.argv[1]), Path(sys.argv[2]), [n for n in names if not n.startswith("--file=")], picked)
