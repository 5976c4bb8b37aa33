"""The extension `coco`, which reads COCO files of boxes and keypoints as they are.

``data=train.json,val.json images=DIR``; one file alone is divided; or a dataset YAML whose splits name such files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from trainer_host import ExtensionSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host import DataContext
    from trainer_host.data import Description


class Coco(BaseModel, frozen=True):
    """The options.

    Attributes:
        holdout: The fraction of the images that is held out for validation if one file has them all.
        margin: How far the box of an annotation without one reaches beyond its keypoints on each side, as a fraction of
            their longer extent.
    """

    holdout: float = Field(0.2, gt=0, lt=1)
    margin: float = Field(0.1, ge=0, le=10)


class CocoHooks:
    """Answers for datasets that are COCO files."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read the COCO files that ``ctx.source`` names."""
        from trainer_detect.formats.coco_reader import read_dataset
        from trainer_detect.formats.coco_source import find_source, names_kind
        from trainer_detect.formats.kinds import COCO

        if not names_kind(ctx.source, COCO):
            return None
        options = ctx.options_for(Coco)
        return read_dataset(find_source(ctx.source, ctx.images), options.holdout, options.margin)

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        from trainer_detect.formats.coco_file import told_keys
        from trainer_detect.formats.coco_source import find_source, names_kind
        from trainer_detect.formats.kinds import COCO

        if not names_kind(source, COCO):
            return None
        found = find_source(source, ())
        return {*found.keys, *(key for file in found.files.values() for key in told_keys(file))}


EXTENSION = ExtensionSpec(hooks=CocoHooks(), options=Coco)
