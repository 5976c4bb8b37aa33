"""The configuration of a DeepLabCut project: its body parts, and the folders of labelled frames."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer_host import Finding, Severity
from trainer_host.data import Document, mentions, read_document

CONFIG = "config.yaml"
FOLDER = "labeled-data"
MULTI = "MULTI!"
PICTURES = "_labeled"
"""Endings of folders that hold pictures of frames with their labels drawn in."""

Kind = Literal["CSV", "H5"]


@dataclass
class Project:
    """A project.

    Attributes:
        file: Its ``config.yaml``.
        scorer: Who labelled it.
        parts: Its body parts; those that each animal has, then those that there is one of.
        unique: How many of them there is one of.
        skeleton: Pairs of indices of body parts.
        lines: The line of each key.
        findings: The problems found.
    """

    file: Path
    scorer: str = ""
    parts: list[str] = field(default_factory=list)
    unique: int = 0
    skeleton: list[list[int]] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, fix: str, key: str | None = None, severity: Severity = "error") -> None:
        """Note the problems of the configuration."""
        line = self.lines.get(key) if key else None
        self.findings.append(Finding(code, message, fix, str(self.file), line, severity))


def find_project(source: str) -> Project | None:
    """Return the project whose configuration, or whose folder, is given; None if it is something else."""
    path = Path(source, CONFIG) if os.path.isdir(source) else Path(source)  # noqa: PTH112 - of any name
    if path.suffix.lower() not in {".yaml", ".yml"} or not mentions(path, "bodyparts"):
        return None
    document = read_document(path)
    if "scorer" not in document.content or not {"bodyparts", "multianimalbodyparts"} & set(document.content):
        return None
    return _project(path.absolute(), document)


def _project(path: Path, document: Document) -> Project:
    content = document.content
    project = Project(path, str(content["scorer"]), lines=document.lines, findings=list(document.findings))
    if content.get("multianimalproject") or content.get("bodyparts") == MULTI:
        shared = _names(project, content, "multianimalbodyparts")
        unique = _names(project, content, "uniquebodyparts") if content.get("uniquebodyparts") else []
        project.parts, project.unique = shared + unique, len(unique)
    else:
        project.parts = _names(project, content, "bodyparts")
    if len(set(project.parts)) < len(project.parts):
        project.add("dlc-config", "a body part is named twice.", "give each a unique name", "bodyparts")
    project.skeleton = _skeleton(project, content.get("skeleton") or [])
    return project


def _names(project: Project, content: dict[str, Any], key: str) -> list[str]:
    names = content.get(key)
    if isinstance(names, list) and names and all(isinstance(n, (str, int, float)) for n in names):
        return [str(n) for n in names]
    found = "missing" if names is None else "not a list of names"
    project.add("dlc-config", f"{key} is {found}.", f"write the body parts below {key}:", key)
    return []


def _skeleton(project: Project, pairs: Any) -> list[list[int]]:
    lines = []
    for pair in pairs if isinstance(pairs, list) else []:
        ends = [str(p) for p in pair] if isinstance(pair, list) else []
        if len(ends) == 2 and all(end in project.parts for end in ends):
            lines.append([project.parts.index(end) for end in ends])
        else:
            what = f"the skeleton's {pair!r} is not a pair of body parts; skipped."
            project.add("dlc-skeleton", what, "write two names of body parts", "skeleton", "warning")
    return lines


def label_files(project: Project) -> dict[Path, Kind]:
    """Return the file with the labels of each folder of frames, CSV before H5; what is missing is noted."""
    root = project.file.parent / FOLDER
    if not root.is_dir():
        what = f"folder {FOLDER} not found next to {project.file.name}."
        project.add("dlc-labels", what, f"give the config.yaml in the project folder, next to {FOLDER}")
        return {}
    found: dict[Path, Kind] = {}
    for folder in sorted(f for f in root.iterdir() if f.is_dir() and not f.name.endswith(PICTURES)):
        stem = folder / f"CollectedData_{project.scorer}"
        files = {"CSV": stem.with_name(f"{stem.name}.csv"), "H5": stem.with_name(f"{stem.name}.h5")}
        if files["CSV"].is_file():
            found[files["CSV"]] = "CSV"
        elif files["H5"].is_file():
            found[files["H5"]] = "H5"
        else:
            _note_unlabelled(project, folder)
    if not found and all(f.severity == "warning" for f in project.findings):
        what = f"no folder of {FOLDER} holds a CollectedData_{project.scorer} file."
        project.add("dlc-labels", what, "label frames, or correct the scorer", "scorer")
    return found


def _note_unlabelled(project: Project, folder: Path) -> None:
    others = sorted(f.name for f in folder.glob("CollectedData_*.*") if f.suffix in {".csv", ".h5"})
    if others:
        what = f"the folder holds {others[0]}, and the project's scorer is {project.scorer}."
        fix = "correct the scorer in config.yaml, or rename the file"
        project.findings.append(Finding("dlc-scorer", what, fix, str(folder)))
    elif any(folder.iterdir()):
        what = "the folder has frames without labels, which are not used."
        project.findings.append(Finding("dlc-unlabelled", what, "label them", str(folder), None, "warning"))
