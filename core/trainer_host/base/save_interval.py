"""The interval in which the state of a training is saved within an epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
FORM = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>s|min|h)?")


@dataclass(frozen=True)
class SaveInterval:
    """A number of batches, or a time.

    Attributes:
        text: The option as it was given.
        batches: Batches between two states; None for a time.
        seconds: Seconds between two states; None for batches.
    """

    text: str
    batches: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> SaveInterval:
        """Return what ``100``, ``30s``, ``10min`` or ``2h`` means.

        Raises:
            ValueError: If it is none of them.
        """
        found = FORM.fullmatch(text.strip().lower())
        if found is None or int(found["number"]) == 0:
            raise ValueError(text)
        number, unit = int(found["number"]), found["unit"]
        if unit is None:
            return cls(str(number), batches=number)
        return cls(f"{number}{unit}", seconds=number * UNITS[unit])
