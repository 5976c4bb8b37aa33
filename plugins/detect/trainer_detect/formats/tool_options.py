"""The options of the extensions that read the labels of tools."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ToolOptions(BaseModel, frozen=True):
    """The options of every tool.

    Attributes:
        holdout: The fraction of the images that is held out for validation if the labels have no splits; by default,
            whole videos or tasks if there are several, else a fifth of the images.
        margin: How far the box of an object without one reaches beyond its keypoints on each side, as a fraction
            of their longer extent.
    """

    holdout: float | None = Field(None, gt=0, lt=1)
    margin: float = Field(0.1, ge=0, le=10)
