"""The extension `oks-sigmas`: how exactly each keypoint has to be found, in the loss and in the metrics.

trainer run data=mice/data.yaml --plugin oks-sigmas oks-sigmas.sigmas=[0.03,0.05,0.05,0.1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host import DataContext, ExtensionSpec, Problem, SettingsError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True)
class OksSigmas:
    """The options."""

    sigmas: tuple[float, ...] = ()  # one for each keypoint; the smaller, the more exactly


class OksSigmasHooks:
    """A wrapper around whoever reads the dataset."""

    @hookimpl(wrapper=True)
    def read_dataset(self, ctx: DataContext) -> Generator[None, Any, Any]:
        """Put the sigmas in the place of the dataset's own."""
        data = yield
        if not data.get("kpt_shape"):
            return data  # which the check of the dataset tells
        sigmas, points = ctx.options_for(OksSigmas).sigmas, data["kpt_shape"][0]
        if len(sigmas) != points:
            what = f"oks-sigmas.sigmas has {len(sigmas)} numbers, and the dataset has {points} keypoints."
            raise SettingsError(Problem(what, "give one for each keypoint"))
        return data | {"kpt_oks_sigmas": list(sigmas)}


EXTENSION = ExtensionSpec(hooks=OksSigmasHooks(), options=OksSigmas)
