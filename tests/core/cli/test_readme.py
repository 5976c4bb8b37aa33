"""What the README shows works as it stands there, and links of all pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.command import ROOT, command
from tests.support.sample_datasets import pose_dataset

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_plugin_of_the_readme_is_a_task(tmp_path: Path) -> None:
    code = next(b for b in blocks("python") if "TaskSpec" in b)
    name = re.match(r"# (\w+)\.py", code)
    assert name is not None
    (tmp_path / f"{name[1]}.py").write_text(code)
    entry = next(b for b in blocks("toml") if "entry-points" in b).splitlines()[-1].replace('"', "")
    info = tmp_path / "nose-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nose\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[trainer_host.tasks]\n{entry}\n")
    data = pose_dataset(tmp_path / "data", images=2)
    words = ("run", "--task", "nose-pose", f"data={data}", "model=yolo11n-pose.yaml", "epochs=1")
    done = command(*words, cwd=tmp_path, path=[tmp_path])
    assert done.code == 4, done.err
    assert "no keypoint is called nose" in done.err


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
