"""pyproject.toml, the workflows and the forms of the repository agree with its sources and with each other."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.command import ROOT, process

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"trainer_host", "trainer_detect", "trainer_pose"}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
"""Distributions whose name is not that of their module."""
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(f for f in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if f.stem != "config")


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(r).name) for r in requirements}


def imported(file: Path) -> Iterator[str]:
    """Yield the top packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_everything_that_is_imported_is_declared() -> None:
    extras = {name: names(listed) for name, listed in PROJECT["optional-dependencies"].items()}
    # Formats and launchers ask for their extra; the kit for plugins runs in the pytest of their authors.
    optional = extras["deeplabcut"] | extras["sleap"] | extras["ray"] | extras["slurm"]
    allowed = names(PROJECT["dependencies"]) | optional | {"pytest"}
    missing = {
        f"{file.relative_to(ROOT)}: {module}"
        for folder in ("core", "plugins")
        for file in (ROOT / folder).rglob("*.py")
        for module in {*imported(file)} - {*sys.stdlib_module_names} - OURS
        if canonicalize_name(DISTRIBUTIONS.get(module, module)) not in allowed
    }
    assert missing == set()


def test_every_requirement_has_a_lower_bound() -> None:
    listed = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    loose = [r for r in map(Requirement, listed) if not any(s.operator == ">=" for s in r.specifier)]
    assert loose == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)
def test_workflows_have_few_rights_and_end(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["name"]
    assert workflow[True], "YAML reads the key on as a truth value"
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, name
        for step in job["steps"]:
            assert len({"uses", "run"} & step.keys()) == 1, step
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1")), step
            # A value of an event in a command line would be a way to run code.
            assert "${{" not in step.get("run", ""), step


def test_the_workflows_call_what_there_is() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    files = {".ci/run", *re.findall(r"-f (\S+\.yml)", text)}
    assert {f for f in files if not (ROOT / f).is_file()} == set()
    versions = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    matrix = yaml.safe_load((GITHUB / "workflows" / "tests.yml").read_text(encoding="utf-8"))["jobs"]["short"]
    assert set(matrix["strategy"]["matrix"]["python"]) == versions


@pytest.mark.parametrize("file", FORMS, ids=lambda f: f.stem)
def test_forms_ask_for_what_a_report_needs(file: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert form.keys() >= {"name", "description", "body"}
    asked = [entry for entry in form["body"] if entry["type"] != "markdown"]
    assert len({entry["id"] for entry in asked}) == len(asked)
    assert all(entry["attributes"]["label"] for entry in asked)
    assert all(isinstance(entry["attributes"].get("description", ""), str) for entry in asked)
    if file.stem != "feature":
        assert any("`trainer doctor`" in entry["attributes"].get("description", "") for entry in asked)


@pytest.mark.parametrize("file", [".pre-commit-config.yaml", ".github/dependabot.yml"])
def test_other_settings_can_be_read(file: str) -> None:
    assert yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))


SUITE = """
import pytest

def test_short(): pass

@pytest.mark.train
def test_long(): pass

@pytest.mark.parity
def test_comparison(): pass

@pytest.mark.train
@pytest.mark.smoke
def test_smoke(): pass
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--all",), {"short", "smoke", "long"}),
        (("-m", "parity"), {"comparison"}),
        (("tests/test_a.py::test_long",), {"long"}),
        (("--numprocesses", "1"), {"short", "smoke"}),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else "",
)
def test_what_is_named_runs_and_what_is_long_does_not(tmp_path: Path, words: tuple[str, ...], expected: Any) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
    (tests / "test_a.py").write_text(SUITE)
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.pytest.ini_options]")[2]
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]{lines.partition('[tool.')[0]}")
    workers = ("--numprocesses", "0")[: 0 if words[0] == "--numprocesses" else 2]
    done = process(sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *workers, *words, cwd=tmp_path)
    assert done.code == 0, done.out
    assert {*re.findall(r"^PASSED tests/test_a\.py::test_(\w+)", done.out, re.MULTILINE)} == expected
