"""A machine that lacks something: one line that names it, and what to do."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import command


def test_a_missing_system_library_of_opencv_is_named(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory', name='cv2')\n"
    )
    done = command("run", "--task", "detect", "epochs=1", cwd=tmp_path, path=[tmp_path])
    assert done.code == 3
    assert "libGL.so.1" in done.err
    assert "opencv-python-headless" in done.err
    assert "Traceback" not in done.err
