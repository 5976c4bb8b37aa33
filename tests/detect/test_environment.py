"""A machine that lacks something: one line that names it, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_missing_system_library_of_opencv_is_named(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory', name='cv2')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "trainer_host", "run", "--task", "detect", "epochs=1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 3
    assert "libGL.so.1" in done.stderr
    assert "opencv-python-headless" in done.stderr
    assert "Traceback" not in done.stderr
