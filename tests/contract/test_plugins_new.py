"""``trainer plugins new``: packages that pass their own tests at once."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.contract.conftest import Trainer, install, rows
from tests.support.command import ROOT, command, process
from trainer_host import ExitCode

# The extension is tried with the first task, and that of the template trains fastest.
KINDS = {
    "paw-pose": ["--kind", "task", "--base", "pose"],
    "area": ["--kind", "task"],
    "slow-rates": ["--kind", "extension"],
}
TEMPLATES = ROOT / "core" / "trainer_host" / "templates"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pose", "--kind", "task"], 3, "task 'pose' already exists, from trainer-host"),
        (["trainer-coco", "--kind", "extension"], 3, "extension 'coco' already exists"),
        (["../up", "--kind", "task"], 3, "is not a valid plugin name"),
        (["trainer-host", "--kind", "task"], 3, "the name host is reserved"),
        (["it", "--kind", "extension", "--base", "pose"], 3, "--base is for tasks only"),
        (["it", "--kind", "task", "--base", "pos"], 5, "Did you mean 'pose'?"),
    ],
)
def test_what_cannot_be_written_is_reported_in_a_line(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = command("plugins", "new", *words, cwd=tmp_path)
    assert (done.code, len(done.problems)) == (code, 1)
    assert said in done.problems[0]
    assert list(tmp_path.iterdir()) == []


def test_the_prefix_of_the_distribution_is_no_part_of_the_name_and_nothing_is_overwritten(tmp_path: Path) -> None:
    words = ["plugins", "new", "trainer-Hand_Pose", "--kind", "task", "--folder", "mine"]
    done = command(*words, cwd=tmp_path)
    assert done.code == 0
    assert done.out.splitlines()[-3:] == [
        '  pip install -e "./mine/trainer-hand-pose[test]"',
        "  pytest mine/trainer-hand-pose",
        "  trainer run --task hand-pose",
    ]
    entry = (tmp_path / "mine/trainer-hand-pose/pyproject.toml").read_text(encoding="utf-8")
    assert 'hand-pose = "trainer_hand_pose:TASK"' in entry
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    again = command(*words, cwd=tmp_path)
    assert (again.code, "already exists" in again.problems[0]) == (3, True)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for name, words in KINDS.items():
        done = command("plugins", "new", name, *words, cwd=folder)
        assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def fresh(written: Path) -> Trainer:
    """The command, where these packages are installed."""
    return Trainer(written, (install(sorted(written.glob("trainer-*")), written),))


def test_the_packages_are_free_of_lint(written: Path) -> None:
    for tool in (["check"], ["format", "--check"]):
        done = process(Path(sys.executable).with_name("ruff"), *tool, written)
        assert done.code == 0, done.out


@pytest.mark.wheel
def test_the_types_of_the_packages_are_right(written: Path) -> None:
    modules = sorted(written.glob("trainer-*/trainer_*"))
    # The types of torch are left out, because reading them takes long.
    settings = "[mypy]\nstrict = True\ndisallow_subclassing_any = False\n[mypy-torch.*,cv2.*]\nfollow_imports = skip\n"
    (written / "mypy.ini").write_text(settings, encoding="utf-8")
    done = process(sys.executable, "-m", "mypy", *modules, cwd=written)
    assert done.code == 0, done.out


@pytest.mark.wheel
@pytest.mark.train
@pytest.mark.parametrize("name", KINDS)
def test_the_tests_of_a_package_pass_at_once(fresh: Trainer, name: str) -> None:
    done = fresh.python("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", f"trainer-{name}")
    assert done.code == 0, done.out
    assert " passed" in done.out
    assert "skipped" not in done.out


@pytest.mark.wheel
def test_a_package_is_shown(fresh: Trainer) -> None:
    shown = fresh("plugins", "show", "paw-pose").out
    assert "chain    detect → pose → paw-pose" in shown
    assert "paw-pose.most=100  (int)" in shown


CHECK = """
from pathlib import Path
import trainer_host
from trainer_host.testing import tiny_dataset
file = tiny_dataset("paw-pose", Path("sample")).file
print({f.code for f in trainer_host.check(file, task="paw-pose", options={"paw-pose": {"most": 0}}).findings})
"""


@pytest.mark.wheel
def test_a_task_with_a_base_checks_the_sample_of_its_base(fresh: Trainer) -> None:
    done = fresh.python("-c", CHECK)
    assert done.out == "{'paw-pose-crowded'}\n", done.err


@pytest.mark.wheel
@pytest.mark.train
def test_a_task_of_its_own_trains_on_a_table_of_excel_as_on_its_sample(fresh: Trainer) -> None:
    drawn = "from pathlib import Path; import trainer_area; print(trainer_area.draw_sample(Path('.')))"
    assert fresh.python("-c", drawn).out == "values.csv\n"
    table = fresh.folder / "values.csv"
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-8-sig")
    done = fresh("run", "--task", "area", "data=values.csv", "epochs=4", "plots=False", "--json")
    epochs = [float(row["metrics/right"]) for row in rows(fresh.folder / "runs/area/train/results.csv")]
    assert done.json["metrics"]["metrics/right"] == pytest.approx(max(epochs), abs=1e-4), "it selects the best"
    record = yaml.safe_load((fresh.folder / "runs/area/train/run.yaml").read_text(encoding="utf-8"))
    assert (record["imgsz"], record["optimizer"]) == (64, "AdamW")
    table.write_text(table.read_text(encoding="utf-8-sig").replace(",", ";"), encoding="utf-8")
    done = fresh("check", "values.csv", "--task", "area", code=ExitCode.DATASET)
    assert "the table has the columns split;image;value, and needs split, image, value." in done.err + done.out


@pytest.mark.wheel
def test_the_wheel_of_the_host_carries_the_templates(tmp_path: Path) -> None:
    build = ["-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index", "-w", tmp_path, ROOT]
    done = process(sys.executable, *build)
    assert done.code == 0, done.err
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"trainer_host/templates/{p.relative_to(TEMPLATES).as_posix()}" for p in TEMPLATES.rglob("*.template")}
    assert wanted
    assert wanted <= names
