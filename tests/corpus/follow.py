"""Follows the fixes that a check proposes: what they say to write, remove, move or rename."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

Finding = dict[str, Any]
Follow = Callable[[Path, Finding, re.Match[str]], None]

ASSIGNMENTS = r"\w+: (?:\[(?:[^\[\]]|\[[^\[\]]*\])*\]|\{.*?\}|\"[^\"]*\"|[^\s,;]+)(?=$|[;, ])"
BEFORE = r"(?:name its folder: |add images, or )?(?!write KEY)"
BEYOND = r"(?:$|[,;] (?:or|which|with|and change|if|to)\b.*| for colour.*| in the YAML.*| instead of names)"

ALIKE = ", and likewise the others"
NO_LINE = "remove the line|delete the row|remove one of the two$|remove it, or ignore|correct the path, or remove"


def file_of(root: Path, finding: Finding) -> Path:
    return root / finding["file"]


def label_of(image: Path) -> Path:
    return Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")


def write_keys(root: Path, finding: Finding, match: re.Match[str]) -> None:
    """Write keys of the YAML, in place of those that it has."""
    lines = (root / "data.yaml").read_text().splitlines()
    if "instead of names" in finding["fix"]:
        lines = without_key(lines, "names")
    for text in re.findall(ASSIGNMENTS, match[1]):
        assert isinstance(yaml.safe_load(text), dict), text
        lines = [*without_key(lines, text.partition(":")[0]), text]
    (root / "data.yaml").write_text("".join(f"{line}\n" for line in lines))


def without_key(lines: list[str], key: str) -> list[str]:
    kept, within = [], False
    for line in lines:
        within = line.startswith(f"{key}:") or (within and line[:1] in {" ", "-", "\t"})
        kept += [] if within else [line]
    return kept


def remove_key(root: Path, _: Finding, match: re.Match[str]) -> None:
    lines = (root / "data.yaml").read_text().splitlines()
    (root / "data.yaml").write_text("".join(f"{line}\n" for line in without_key(lines, match[1])))


def on_line(edit: Callable[[str, re.Match[str]], str | None]) -> Follow:
    """Return what edits the line of a finding; None removes it."""

    def follow(root: Path, finding: Finding, match: re.Match[str]) -> None:
        file = file_of(root, finding)
        lines = file.read_text().splitlines()
        new = edit(lines[finding["line"] - 1], match)
        lines[finding["line"] - 1 : finding["line"]] = [] if new is None else [new]
        file.write_text("".join(f"{line}\n" for line in lines))

    return follow


def divided(line: str, match: re.Match[str]) -> str:
    """Replace the class and the box of a row; its keypoints are divided alike, in an image of 64 x 48."""
    words = line.split()
    points = [float(w) / (64, 48, 1)[i % 3] if i % 3 < 2 else int(w) for i, w in enumerate(words[5:])]
    points = points if max([float(w) for w in words[5:]], default=0) > 2 else [float(w) for w in words[5:]]
    return " ".join([match[1], *(f"{p:g}" for p in points)])


def move_labels(root: Path, _: Finding, match: re.Match[str]) -> None:
    source, target = root / match[1], root / match[2]
    target.mkdir(parents=True, exist_ok=True)
    images = root / "/images".join(f"/{match[2]}".rsplit("/labels", 1))[1:]
    stems = {f.stem for f in images.iterdir()} | {f.name for f in images.iterdir()}
    for file in [f for f in source.iterdir() if f.suffix.lower() == ".txt" and f.stem in stems]:
        file.rename(target / (renamed(file.name, match[3], match[4]) if match[3] else file.name))


def move_folder(root: Path, _: Finding, match: re.Match[str]) -> None:
    (root / match[2]).parent.mkdir(parents=True, exist_ok=True)
    (root / match[1]).rename(root / match[2])


def rename_labels(root: Path, _: Finding, match: re.Match[str]) -> None:
    for file in list((root / match[1]).iterdir()):
        file.rename(file.with_name(renamed(file.name, match[2], match[3])))


def renamed(name: str, old: str, new: str) -> str:
    """Rename a file as an example shows it."""
    common = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return name.removesuffix(old[common:]) + new[common:] if name.endswith(old[common:]) else name


def rename_image(root: Path, finding: Finding, match: re.Match[str]) -> None:
    image = file_of(root, finding)
    image.rename(image.with_suffix(match[1]))


def remove_file(root: Path, finding: Finding, _: re.Match[str]) -> None:
    file_of(root, finding).unlink()


def remove_image(root: Path, finding: Finding, _: re.Match[str]) -> None:
    image = file_of(root, finding)
    image.unlink()
    if not list(image.parent.glob(f"{image.stem}.*")):
        label_of(image).unlink(missing_ok=True)


def take_away(root: Path, finding: Finding, _: re.Match[str]) -> None:
    file = file_of(root, finding)
    file.rename(root.with_name(f"{root.name}-taken-away"))
    if "labels" not in file.parts:
        label_of(file).unlink(missing_ok=True)


def empty_label(root: Path, finding: Finding, _: re.Match[str]) -> None:
    label_of(file_of(root, finding)).touch()


def as_utf8(root: Path, finding: Finding, _: re.Match[str]) -> None:
    content = file_of(root, finding).read_bytes()
    text = content.decode("utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "latin-1")
    file_of(root, finding).write_text(text, encoding="utf-8")


def put_copy(root: Path, finding: Finding, _: re.Match[str]) -> None:
    """Put what a link leads to in its place, for all links alike."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            shutil.copytree(target, path) if target.is_dir() else shutil.copyfile(target, path)


def as_png(root: Path, finding: Finding, _: re.Match[str]) -> None:
    image = file_of(root, finding)
    with Image.open(image) as picture:
        picture.convert("RGB").save(image.with_suffix(".png"))
    image.unlink()


def rename_key(line: str, match: re.Match[str]) -> str:
    return f"{match[1]}:{line.partition(':')[2]}"


FORMS: tuple[tuple[str, Follow], ...] = (
    (rf"{BEFORE}write ((?:{ASSIGNMENTS}(?:; )?)+){BEYOND}", write_keys),
    (rf"count keypoints from 0: ({ASSIGNMENTS})", write_keys),
    (r"write (\w+):", on_line(rename_key)),
    (r"(?:correct the path, or )?remove (\w+):.*", remove_key),
    (r"move the folder (.+) to (.+)", move_folder),
    (rf"(?:{NO_LINE}).*", on_line(lambda _line, _match: None)),
    (r"divide by the image's width and height: ([\d. ]+)", on_line(divided)),
    (rf"move the label files of the \w+ images from (.+?) to (.+?)(?:, and rename (.+) to (.+){ALIKE})?", move_labels),
    (rf"rename the label files in (.+): (.+) to (.+){ALIKE}", rename_labels),
    (r"rename it to end in (\.\w+)", rename_image),
    (r"(?:(?:.*, or )?remove it with its label file|remove one of the two with its label file)", remove_image),
    (r"remove it from \w+ or from \w+", remove_image),
    (r"(?:replace the links? with (?:a copy|copies)|copy the (?:images|label files) into the dataset).*", put_copy),
    (r"(?:remove the link|(?:correct|replace) the link.*|remove or correct it)", remove_file),
    (r"add the image, or remove the label file", remove_file),
    (r"label it; if it shows no object, add an empty label file", empty_label),
    (r"write (\./\S+|\S+\.\w+)", on_line(lambda _, match: match[1])),
    (r"(?:move or rename the folder|remove or rename it|rename it, or put the image there)", take_away),
    (r"save it as UTF-8", as_utf8),
    (r"convert it to PNG.*", as_png),
)
"""What fixes look like that can be followed without a person who knows the data."""


def follow(root: Path, finding: Finding) -> bool:
    """Follow the fix of a finding, if it can be."""
    for form, action in FORMS:
        match = re.fullmatch(form, finding["fix"], re.DOTALL)
        if match:
            action(root, finding, match)
            return True
    return False
