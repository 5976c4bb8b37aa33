"""What runs out or disappears: by the type, number or text that the system and the libraries say it with."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import trainer_host
from trainer_host import DatasetError, EnvironmentProblemError, MemoryExhaustedError, StorageError, TrainerError
from trainer_host.engine.error_translation import known_error

WORKER = "Caught {0} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  ...\n{1}"


def system(name: str, *file: str) -> OSError:
    number: int = getattr(errno, name)
    import os

    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), MemoryExhaustedError, "ulimit -v"),
        (OSError("libtorch_cpu.so: cannot allocate memory"), MemoryExhaustedError, "ulimit -v"),
        (ImportError("libgomp.so: cannot allocate memory in static TLS block"), EnvironmentProblemError, "libgomp"),
        (system("ENOMEM"), MemoryExhaustedError, "out of memory"),
        (MemoryError("Unable to allocate 2.0 GiB for an array"), MemoryExhaustedError, "out of memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory"),
            MemoryExhaustedError,
            "out of memory",
        ),
        (RuntimeError("std::bad_alloc"), MemoryExhaustedError, "out of memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), MemoryExhaustedError, "out of memory"),
        (
            RuntimeError(
                "DataLoader worker (pid(s) 7) is killed by signal: Bus error. It is possible that dataloader's "
                "workers are out of shared memory."
            ),
            MemoryExhaustedError,
            "--shm-size",
        ),
        (
            RuntimeError("unable to open shared memory object </torch_7_8> in read-write mode: No such file (2)"),
            MemoryExhaustedError,
            "workers=0",
        ),
        (
            RuntimeError("unable to write to file </torch_7_8>: No space left on device (28)"),
            MemoryExhaustedError,
            "workers=0",
        ),
        (
            RuntimeError("unable to open shared memory object </torch_7_8>: Too many open files (24)"),
            EnvironmentProblemError,
            "ulimit -n",
        ),
        (system("EMFILE", "a.jpg"), EnvironmentProblemError, "too many open files"),
        (
            OSError(WORKER.format("OSError", "OSError: [Errno 24] Too many open files: 'a.jpg'")),
            EnvironmentProblemError,
            "ulimit -n",
        ),
        (RuntimeError("can't start new thread"), EnvironmentProblemError, "ulimit -u"),
        (system("EAGAIN"), EnvironmentProblemError, "ulimit -u"),
        (
            OSError(WORKER.format("OSError", "OSError: [Errno 28] No space left on device: '/a/b.npy'")),
            StorageError,
            "/a/b.npy: ",
        ),
        (system("EISDIR", "results.csv"), StorageError, "results.csv: "),
        (system("EEXIST", "file.txt"), StorageError, "file.txt: "),
        (system("EFBIG"), StorageError, "FOLDER: "),
        (RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0"), StorageError, "FOLDER: "),
        (system("ENOENT", "/data/a.JPG"), DatasetError, "/data/a.JPG: "),
        (system("ENOENT", "/runs/args.yaml"), StorageError, "/runs/args.yaml: "),
        (FileNotFoundError("Image Not Found /data/a.jpg"), DatasetError, "/data/a.jpg: the image disappeared"),
        (
            FileNotFoundError(WORKER.format("FileNotFoundError", "FileNotFoundError: Image Not Found /data/a.jpg")),
            DatasetError,
            "/data/a.jpg: the image disappeared",
        ),
    ],
)
def test_what_ran_out_is_reported(tmp_path: Path, raised: Exception, expected: type[TrainerError], said: str) -> None:
    reported = known_error(raised, tmp_path)
    assert type(reported) is expected
    assert said.replace("FOLDER", str(tmp_path)) in str(reported)


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("shapes differ"),
        ValueError("shared memory of the past"[:6]),
        FileNotFoundError("'x.yaml' does not exist"),
        FileNotFoundError(errno.ENOENT, "No such file", "/lib/site-packages/ultralytics/cfg/default.yaml"),
        OSError("odd"),
        KeyboardInterrupt(),
        trainer_host.SettingsError("x"),
    ],
)
def test_everything_else_is_not(tmp_path: Path, raised: BaseException) -> None:
    assert known_error(raised, tmp_path) is None


def test_opencv_has_an_error_of_its_own() -> None:
    cv2 = pytest.importorskip("cv2")
    text = "OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes in OutOfMemoryError"
    assert isinstance(known_error(cv2.error(text)), MemoryExhaustedError)
    assert known_error(cv2.error("(-215:Assertion failed) !ssize.empty()")) is None


def test_an_image_that_is_there_is_said_to_be_changed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    reported = known_error(FileNotFoundError(f"Image Not Found {tmp_path / 'a.jpg'}"))
    assert isinstance(reported, DatasetError)
    assert "cannot decode the image" in str(reported)


def test_a_run_whose_folder_is_gone_says_so(tmp_path: Path) -> None:
    reported = known_error(system("ENOENT", str(tmp_path / "gone" / "results.csv")), tmp_path / "gone")
    assert isinstance(reported, StorageError)
    assert str(reported).startswith(f"{tmp_path / 'gone'}: the run's folder disappeared")
