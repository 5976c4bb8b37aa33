"""Images that are given as arrays of numpy or as Pillow images."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.results import LoadedImage


def loaded_image(given: Any, number: int) -> LoadedImage:
    """Return an array or a Pillow image as an image with a name.

    Raises:
        SettingsError: If it is something else, or of another shape or type.
    """
    import numpy as np
    from PIL import Image, ImageOps

    name = f"image{number}.jpg"
    if isinstance(given, Image.Image):
        name = str(getattr(given, "filename", "") or name)
        try:
            picture = ImageOps.exif_transpose(given)
            if picture.mode.startswith(("I", "F")):  # more than 8 bits, which Pillow would clip to 255
                given = np.asarray(picture)
            else:
                given = np.asarray(picture.convert("L" if picture.mode in {"1", "L"} else "RGB"))
                given = given[..., ::-1] if given.ndim == 3 else given
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a damaged file
            what = f"the picture {name} cannot be decoded: {error}."
            raise SettingsError(Problem(what, "use another one")) from error
    if not isinstance(given, np.ndarray):
        kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        fix = "give a path, an array of numpy (height x width x BGR, uint8), a Pillow image, or a list of these"
        if isinstance(given, (Iterator, Set)) and not hasattr(given, "read"):  # an open file iterates too
            fix = "give a list: list(source)"
        raise SettingsError(Problem(f"an object of type {kind} is not a source.", f"{fix}"))
    if given.dtype == np.uint16:
        given = (given >> 8).astype(np.uint8)
    return LoadedImage(Path(name), _checked(given))


def _checked(array: Any) -> Any:
    """Return an array as an image of at least three channels; gray is repeated."""
    import numpy as np

    if array.dtype != np.uint8:
        fixes = {
            "b": "image.astype('uint8') * 255",
            "f": "(image * 255).astype('uint8') if its values go from 0 to 1",
            **dict.fromkeys("iu", "image.astype('uint8') if its values go from 0 to 255"),
        }
        fix = fixes.get(array.dtype.kind, "give a list: list(source)")
        raise SettingsError(Problem(f"an array of {array.dtype} is not an image: it must be uint8.", fix))
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or not image.size:
        fix = "give one image, height x width x 3 in BGR, or a list of images: list(images)"
        raise SettingsError(Problem(f"an array of shape {array.shape} is not an image.", fix))
    if image.shape[2] > 32 and image.shape[0] <= 4:
        what = f"an array of shape {array.shape} has its channels first."
        raise SettingsError(Problem(what, "image.transpose(1, 2, 0)"))
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)
