"""Predictors that compare the channels of images with those of the model before it sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer_host import Problem, SettingsError


class FittingChannels:
    """Refuses images that have another number of channels than the model takes; a mixin of the engine's predictors.

    The engine converts to gray and to colour, and reads the images for any other number of channels as they are.
    """

    model: Any
    batch: Any

    def preprocess(self, im: Any) -> Any:
        """Return the images of a batch as the model takes them.

        Raises:
            SettingsError: If one of them has another number of channels.
        """
        wanted = int(getattr(self.model, "channels", 3))
        for path, image in zip(self.batch[0], im, strict=False) if isinstance(im, list) else ():
            if image.shape[2] != wanted:
                many = f"{image.shape[2]} channel{'s' * (image.shape[2] != 1)}"
                what = f"the image has {many}, and the model takes {wanted}."
                raise SettingsError(Problem(what, f"Fix: give images with {wanted} channels", str(Path(path))))
        return super().preprocess(im)  # type: ignore[misc]
