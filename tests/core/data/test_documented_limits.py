"""The limits that the pages name are those of the sources."""

from __future__ import annotations

import pytest

from tests.support.command import ROOT
from trainer_detect.formats import coco_file
from trainer_host.base import yaml_document
from trainer_host.data import header_facts, known_formats, label_files
from trainer_host.data import image_headers as images
from trainer_host.data import image_listing as listing
from trainer_host.data import source_recognition as recognition
from trainer_host.engine.checkpoint import archive, inert_pickle, plain_values
from trainer_pose.formats import deeplabcut_table

SAFETY, FINDINGS = "docs/explanation/safety.md", "docs/reference/findings.md"
MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (SAFETY, f"YAMLs beyond {yaml_document.MOST_BYTES // MIB} MiB"),
        (SAFETY, f"label files beyond {label_files.MOST_BYTES // MIB} MiB or {label_files.MOST_ROWS:,} rows"),
        (SAFETY, f"lists of images beyond {listing.MOST_BYTES // MIB} MiB"),
        (SAFETY, f"tables beyond {deeplabcut_table.MOST_BYTES // MIB} MiB"),
        (SAFETY, f"COCO files beyond {coco_file.MOST_BYTES // GIB} GiB"),
        (SAFETY, f"more than {header_facts.MOST_PIXELS / 1e6:.0f} megapixels"),
        (SAFETY, f"the first {known_formats.HEAD // 1024} KiB and {recognition.MOST_ENTRIES:,} entries"),
        (SAFETY, "grow to ten times its size and 16 MiB more"),
        (SAFETY, f"at most {inert_pickle.MAX_BYTES // MIB} MiB, a million objects and {plain_values.MAX_DEPTH} levels"),
        (FINDINGS, f"`yaml-too-large` | error | More than {yaml_document.MOST_BYTES // MIB} MiB"),
        (FINDINGS, f"`label-too-large` | error of an image | More than {label_files.MOST_BYTES // MIB} MiB"),
        (FINDINGS, f"`label-too-many-rows` | error of an image | More than {label_files.MOST_ROWS:,} rows"),
        (
            FINDINGS,
            f"`image-bomb` | error of an image | The header claims more than {header_facts.MOST_PIXELS:,} pixels",
        ),
        (FINDINGS, f"`image-tiny` | error of an image | A side has less than {images.LEAST_SIDE} pixels"),
        (FINDINGS, f"`coco-too-large` | error | More than {coco_file.MOST_BYTES // GIB} GiB"),
        (FINDINGS, f"`dlc-too-large` | error | A table has more than {deeplabcut_table.MOST_BYTES // MIB} MiB"),
        ("docs/reference/settings.md", f"at most {yaml_document.MOST_BYTES // MIB} MiB"),
        ("docs/decisions/0008-coco-is-read-by-the-host.md", f"more than {coco_file.MOST_BYTES // GIB} GiB"),
    ],
)
def test_a_page_has_the_limit_of_the_source(page: str, text: str) -> None:
    assert text in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_limits_in_words() -> None:
    assert (archive.MAX_RATIO, archive.MAX_SMALL, inert_pickle.MAX_OBJECTS) == (10, 16 * MIB, 1_000_000)
