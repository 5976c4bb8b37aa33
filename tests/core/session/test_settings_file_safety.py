"""Settings files of strangers: what they may not decide, and how large they may be."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer_host
from tests.support.command import Done
from tests.support.sample_datasets import detect_dataset
from trainer_host import SettingsError, UnsafeError
from trainer_host.base.request import Request, from_file
from trainer_host.session.settings_file_safety import vetted

Trainer = Callable[..., Done]
PLUGIN = """
from pathlib import Path
from trainer_host import hookimpl
Path("ran").touch()

@hookimpl
def metrics(ctx):
    return {}
"""
SHARED = {"task": "detect", "model": "yolo11n.yaml", "imgsz": 32, "epochs": 1}


@pytest.fixture
def exp(trainer: Trainer, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a settings file for a dataset, next to a plugin's file."""
    data = detect_dataset(tmp_path / "data", 2)
    (tmp_path / "x.py").write_text(PLUGIN)

    def write(**content: Any) -> Path:
        path = tmp_path / "exp.yaml"
        path.write_text(yaml.safe_dump({**SHARED, "data": str(data), **content}))
        return path

    return write


@pytest.mark.parametrize("named", ["./x.py", "{here}/x.py", "data/../x.py", "link.py"])
def test_a_python_file_of_a_settings_file_needs_the_users_word(
    trainer: Trainer, exp: Callable[..., Path], tmp_path: Path, named: str
) -> None:
    (tmp_path / "link.py").symlink_to("x.py")
    exp(plugins={named.format(here=tmp_path): {}})
    for words in ((), ("--dry-run",), ("--plugin", "./other.py")):
        done = trainer("run", "exp.yaml", *words)
        assert (done.code, len(done.problems)) == (6, 1)
        assert "Fix: if you trust it, add --plugin ./x.py" in done.err
        assert not (tmp_path / "ran").exists()
    with pytest.raises(UnsafeError, match="which would be run"):
        trainer_host.run(settings_file="exp.yaml")
    assert not (tmp_path / "ran").exists()
    done = trainer("run", "exp.yaml", "--dry-run", "--plugin", "./x.py")
    assert (done.code, (tmp_path / "ran").exists()) == (0, True), done.err
    assert list(yaml.safe_load(done.out)["plugins"]) == [str(tmp_path / "x.py")]


def test_a_python_file_that_is_switched_off_needs_no_word(
    trainer: Trainer, exp: Callable[..., Path], tmp_path: Path
) -> None:
    exp(plugins=["./x.py"])
    assert trainer("run", "exp.yaml", "--dry-run", "--no-plugin", "x").code == 0
    assert not (tmp_path / "ran").exists()


def test_the_variable_is_the_users_word(
    trainer: Trainer, exp: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    exp(plugins=["./x.py"])
    monkeypatch.setenv("TRAINER_PLUGIN", "./x.py")
    assert trainer("run", "exp.yaml", "--dry-run").code == 0


@pytest.mark.parametrize("path", ["~nobody-here/x.py", "a\0b.py", "./x y;z.py", "\x1b]0;t\x07.py", "/proc/self/fd/0/"])
def test_paths_that_are_odd_are_refused_like_others(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsafeError) as caught:
        vetted(Request.of("run", plugins=[path]), Request())
    assert len(str(caught.value).splitlines()) == 1
    assert "\x1b" not in str(caught.value)


ADDRESSES = {
    "data": ["https://127.0.0.1:9/data.zip", "ul://someone/data", "a.json,https://127.0.0.1:9/b.json", "images.ndjson"],
    "model": ["https://127.0.0.1:9/yolo11n.pt", "https:/127.0.0.1:9/yolo11n.pt", "'http://127.0.0.1:9/yolo11n.pt'"],
    "pretrained": ["https://127.0.0.1:9/yolo11n.pt"],
    "distill_model": ["https://127.0.0.1:9/yolo11n.pt"],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in ADDRESSES.items() for v in values])
def test_an_address_needs_the_users_word(trainer: Trainer, exp: Callable[..., Path], key: str, value: str) -> None:
    exp(**{key: value})
    done = trainer("run", "exp.yaml", "--dry-run")
    assert done.code == 6, done.err
    assert "only the settings file asks for it. Fix: if you trust it, add" in done.err
    given = trainer("run", "exp.yaml", "--dry-run", f"{key}=yolo11n.yaml")
    assert "only the settings file" not in given.err


@pytest.mark.parametrize(
    ("launcher", "options", "word"),
    [
        ("slurm", {"setup": ["touch here"]}, "slurm.setup=touch here"),
        ("slurm", {"sbatch": {"output": "elsewhere"}}, "slurm.sbatch={'output': 'elsewhere'}"),
        ("ray", {"address": "ray://elsewhere:1"}, "ray.address=ray://elsewhere:1"),
        ("ray", {"storage_path": "s3://elsewhere"}, "ray.storage_path=s3://elsewhere"),
    ],
)
def test_commands_and_places_of_a_launcher_need_the_users_word(
    trainer: Trainer, exp: Callable[..., Path], launcher: str, options: dict[str, Any], word: str
) -> None:
    exp(plugins={launcher: options})
    done = trainer("run", "exp.yaml", "--dry-run", "--launcher", launcher)
    assert done.code == 6, done.err
    assert f"Fix: if you trust it, add {shlex.quote(word)}" in done.err
    given = trainer("run", "exp.yaml", "--dry-run", "--launcher", launcher, word)
    assert "asked for by the settings file alone" not in given.err
    assert trainer("run", "exp.yaml", "--dry-run").code != 6  # nothing is launched


def test_a_settings_file_does_not_replace_files(trainer: Trainer, exp: Callable[..., Path]) -> None:
    Path("runs/old").mkdir(parents=True)
    Path("runs/old/args.yaml").write_text("epochs: 3\n")
    exp(save_dir="runs/old")
    done = trainer("run", "exp.yaml", "--dry-run")
    assert done.code == 6
    assert "save_dir: runs/old is not empty, and its files would be replaced. Fix: remove save_dir" in done.err
    assert trainer("run", "exp.yaml", "--dry-run", "save_dir=runs/old").code == 0


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ({"save_dir": "../elsewhere"}, True),
        ({"save_dir": "runs/here"}, False),
        ({"project": "/elsewhere", "exist_ok": True}, True),
        ({"project": "/elsewhere"}, False),
        ({"project": "runs/here", "exist_ok": True}, False),
        ({"save_dir": "runs/../.."}, True),
    ],
)
def test_folders_elsewhere_are_written_over_by_the_users_word_alone(
    trainer: Trainer, exp: Callable[..., Path], content: dict[str, Any], refused: bool
) -> None:
    exp(**content)
    done = trainer("run", "exp.yaml", "--dry-run")
    assert done.code == (6 if refused else 0), done.err
    key = next(iter(content))
    assert trainer("run", "exp.yaml", "--dry-run", f"{key}={content[key]}").code == 0


def test_all_that_is_refused_is_reported_at_once(trainer: Trainer, exp: Callable[..., Path]) -> None:
    exp(plugins=["./x.py", "./y.py"], model="https://127.0.0.1:9/yolo11n.pt", save_dir="/elsewhere")
    assert len(trainer("run", "exp.yaml").problems) == 4


def laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [laughs(), "a: &a [*a]", "a: " + "[" * 100_000, "a: " + "{b: " * 60 + "}" * 60, "epochs: !!python/name:os.system"],
    ids=["laughs", "itself", "unclosed", "deep", "tag"],
)
def test_a_settings_file_that_grows_is_refused(trainer: Trainer, tmp_path: Path, text: str) -> None:
    (tmp_path / "exp.yaml").write_text(text)
    done = trainer("run", "exp.yaml", "--dry-run")
    assert (done.code, done.out) == (3, "")
    assert done.problems
    assert all(line.startswith("exp.yaml") for line in done.problems)


def test_a_settings_file_that_is_too_large_or_no_file(trainer: Trainer, tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(100 << 20)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    for name, said in (("large", "100 MiB"), ("pipe", "not a regular file"), ("device", "not a regular file")):
        done = trainer("run", f"{name}.yaml")
        assert (done.code, len(done.problems)) == (3, 1)
        assert said in done.err


def test_a_key_that_is_given_twice_is_reported(tmp_path: Path) -> None:
    (tmp_path / "exp.yaml").write_text("epochs: 1\nepochs: 2\n")
    with pytest.raises(SettingsError, match=r"exp\.yaml:2: the key 'epochs' is given twice"):
        from_file(tmp_path / "exp.yaml")


@pytest.mark.parametrize("version", ["file", "1.0"])
def test_a_python_file_of_a_checkpoint_is_not_run(
    trainer: Trainer, exp: Callable[..., Path], tmp_path: Path, version: str
) -> None:
    import torch

    data = yaml.safe_load(exp().read_text())["data"]
    plugin = {"name": "./x.py", "kind": "extension", "distribution": "./x.py", "version": version, "options": {}}
    state = {"state_dict": {}, "cfg": {}, "needs": ["./x.py"], "data": {"nc": 1, "channels": 3}}
    for task in ("detect", "./x.py"):
        record = {"task": task, "chain": ["detect"], "plugins": [plugin], **state}
        torch.save({"model": None, "train_args": {}, "trainer_host": record}, tmp_path / "model.pt")
        for words in (["predict", "source=data/images/val"], ["val", f"data={data}"], ["run", f"data={data}"]):
            assert trainer(*words, "model=model.pt").code != 0
            assert not (tmp_path / "ran").exists()
