"""Errors of ultralytics, translated to those that the host documents."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.errors import LossError, Problem, SettingsError, TrainerError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def engine_errors() -> Iterator[None]:
    """Translate errors of the engine that have a known cause and remedy; let every other one through."""
    try:
        yield
    except TrainerError:
        raise
    except (RuntimeError, ValueError) as error:
        if (known := _known(str(error))) is not None:
            raise known from error
        raise


def _known(text: str) -> TrainerError | None:
    if "NaN persisted" in text or "corrupted with NaN" in text:
        return loss_error()
    if text.startswith("final batch=1 training"):
        least = re.search(r">= (\d+)", text)
        fix = f"change batch, or train at imgsz={least[1] if least else 64} or more"
        return SettingsError(Problem("the last batch of an epoch has one image, too few at this imgsz.", fix))
    if text.startswith("bfloat16 autocast requires"):
        what = "amp=bf16 needs a GPU or a processor that computes in bfloat16."
        return SettingsError(Problem(what, "write amp=True, which uses fp16 on a GPU and fp32 on a CPU"))
    if device := re.match(r"Invalid (\w+) 'device=([^']*)'", text):
        what = f"device={device[2]}: this machine has no such {device[1]} device."
        return SettingsError(Problem(what, "remove device, or write device=cpu"))
    return None


def loss_error() -> LossError:
    """Return the error of a loss that is not finite."""
    what = "the loss became NaN or infinite."
    return LossError(
        Problem(what, "train with a lower learning rate, such as optimizer=AdamW lr0=0.0002, or with amp=False")
    )
