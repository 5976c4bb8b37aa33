"""The extension `balanced`: images with rare classes come more often.

trainer run --task detect --plugin balanced balanced.power=0.5 data=shapes/data.yaml
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler, WeightedRandomSampler

from trainer_host import ExtensionSpec, LoaderContext, hookimpl


@dataclass(frozen=True)
class Options:
    """The options."""

    power: float = 1.0  # 0 leaves all images alike, 1 makes all classes alike


class Hooks:
    """A sampler."""

    @hookimpl(wrapper=True)
    def build_sampler(self, ctx: LoaderContext, dataset: Any) -> Generator[None, Any, Sampler[int]]:
        """Return a sampler that draws as many images as there are, by the rarest class that is in each."""
        yield
        nothing = -1.0
        images = [set(label["cls"].ravel().tolist()) or {nothing} for label in dataset.labels]
        counts = Counter(number for numbers in images for number in numbers)
        weights = [max(counts[number] ** -ctx.options_for(Options).power for number in numbers) for numbers in images]
        generator = torch.Generator().manual_seed(ctx.args.seed)
        return WeightedRandomSampler(weights, len(weights), generator=generator)


EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)
