"""Datasets as they were read, and helpers for plugins that read or check them.

The description of a dataset with its splits and rows, reading of YAML files and image headers, and what a format needs
to store and to report. Names are imported when they are first used: most need numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from trainer_host.base.atomic_io import atomic_write, display_path
    from trainer_host.base.display import counted
    from trainer_host.base.findings import MISSING_KEY
    from trainer_host.base.gc_pause import gc_paused
    from trainer_host.base.plain_path import plain_path
    from trainer_host.base.yaml_document import Document, mentions, read_document
    from trainer_host.data.cache_location import cache_folder, extracted_folder
    from trainer_host.data.dataset_reader import read_images_at
    from trainer_host.data.description import (
        EMPTY,
        FOUND,
        MISSING,
        SPLITS,
        Description,
        SourceIds,
        Split,
    )
    from trainer_host.data.extracted_images import cache_image
    from trainer_host.data.header_facts import ALPHA, CHANNELS, DEEP, ImageFacts
    from trainer_host.data.holdout import held_out
    from trainer_host.data.image_headers import SUFFIXES as IMAGE_SUFFIXES
    from trainer_host.data.image_headers import read_images
    from trainer_host.data.known_formats import is_other as is_other_format
    from trainer_host.data.path_suggestions import as_yaml as quote_path
    from trainer_host.data.path_suggestions import parts_of as path_parts
    from trainer_host.data.path_suggestions import tail_in as existing_tail
    from trainer_host.data.subset_settings import class_names
else:
    _NAMES = {
        "base.atomic_io": ("atomic_write", "display_path"),
        "base.display": ("counted",),
        "base.findings": ("MISSING_KEY",),
        "base.gc_pause": ("gc_paused",),
        "base.plain_path": ("plain_path",),
        "base.yaml_document": ("Document", "mentions", "read_document"),
        "data.dataset_reader": ("read_images_at",),
        "data.description": (*("EMPTY", "FOUND", "MISSING", "SPLITS", "Description", "SourceIds", "Split"),),
        "data.extracted_images": ("cache_image",),
        "data.header_facts": ("ALPHA", "CHANNELS", "DEEP", "ImageFacts"),
        "data.holdout": ("held_out",),
        "data.image_headers": ("read_images",),
        "data.subset_settings": ("class_names",),
        "data.cache_location": ("cache_folder", "extracted_folder"),
    }
    _PLACES = {name: f"trainer_host.{module}" for module, names in _NAMES.items() for name in names}
    _PLACES |= {
        "IMAGE_SUFFIXES": "trainer_host.data.image_headers:SUFFIXES",
        "existing_tail": "trainer_host.data.path_suggestions:tail_in",
        "is_other_format": "trainer_host.data.known_formats:is_other",
        "path_parts": "trainer_host.data.path_suggestions:parts_of",
        "quote_path": "trainer_host.data.path_suggestions:as_yaml",
    }
    __getattr__ = lazy_exports(__name__, _PLACES)

__all__ = [
    "ALPHA",
    "CHANNELS",
    "DEEP",
    "EMPTY",
    "FOUND",
    "IMAGE_SUFFIXES",
    "MISSING",
    "MISSING_KEY",
    "SPLITS",
    "Description",
    "Document",
    "ImageFacts",
    "SourceIds",
    "Split",
    "atomic_write",
    "cache_folder",
    "cache_image",
    "class_names",
    "counted",
    "display_path",
    "existing_tail",
    "extracted_folder",
    "gc_paused",
    "held_out",
    "is_other_format",
    "mentions",
    "path_parts",
    "plain_path",
    "quote_path",
    "read_document",
    "read_images",
    "read_images_at",
]
