"""What the README shows works as it stands there, and links of all pages lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import SOURCES, install
from tests.support.command import ROOT, command
from tests.support.sample_datasets import pose_dataset
from tests.support.written_package import write_package

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def files(folder: Path) -> Path:
    """Write the files that the README shows, which begin with their names, into a folder."""
    for name, code in re.findall(r"```\w+\n# (\w+\.\w+)\n(.*?)```", README, flags=re.DOTALL):
        (folder / name).write_text(code)
    return folder


def test_the_plugin_of_the_readme_is_a_task(tmp_path: Path) -> None:
    project = tomllib.loads((files(tmp_path) / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["trainer_host.tasks"]
    write_package(tmp_path, project["name"], project["version"], tasks=entries, requires=project["dependencies"])
    data = pose_dataset(tmp_path / "data", images=2)
    data.write_text(data.read_text().replace("head", "top"))
    (task,) = entries
    words = ("run", "--task", task, f"data={data}", "model=yolo11n-pose.yaml", "epochs=1")
    done = command(*words, cwd=tmp_path, path=[tmp_path])
    assert done.code == 4, done.err
    assert "no keypoint is called head" in done.err


@pytest.mark.wheel
@pytest.mark.train
def test_the_plugin_of_the_readme_is_followed_to_the_letter(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    site = install([files(tmp_path / "source")], tmp_path)
    shown = re.sub(r" +#.*", "", "".join(b for b in blocks("bash") if "plugins" in b)).splitlines()
    assert shown[:2] == ["pip install .", "trainer run --task head-pose"]
    for line in shown[1:]:
        short = ("epochs=1", "imgsz=64") if " run " in line else ()
        done = command(*line.split()[1:], *short, cwd=tmp_path, path=[site, *SOURCES])
        assert done.code == 0, f"{line}: {done.out} {done.err}"


def test_the_yaml_of_the_readme_passes_as_a_dataset(tmp_path: Path) -> None:
    import yaml

    shown = next(b for b in blocks("yaml") if "kpt_shape" in b)
    data = yaml.safe_load(shown)
    assert data["kpt_shape"] == [4, 3]
    assert len(data["flip_idx"]) == len(data["kpt_names"][0]) == 4


def anchors(page: Path) -> set[str]:
    """Return what links can lead to within a page, as the usual readers of Markdown name its headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    heads = (re.sub(r"[^\w\- ]", "", h.lower()) for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    return {head.strip().replace(" ", "-") for head in heads}


def test_every_promise_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "explanation" / "safety.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`tests/" in line]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", "".join(rows))
    assert len(rows) > 10 and len(named) >= len(rows)
    missing = [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert missing == []


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lost = []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            file, _, anchor = target.partition("#")
            place = page if not file else (page.parent / file).resolve()
            if "://" not in target and not (place.exists() and (not anchor or anchor in anchors(place))):
                lost.append(f"{page.relative_to(ROOT)}: {target}")
    assert lost == []
