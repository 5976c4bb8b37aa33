"""The part of the host trainer that reads the dataset and builds loaders."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.contexts import DataContext, LoaderContext, RunContext
from trainer_host.base.errors import Problem
from trainer_host.base.findings import DatasetError
from trainer_host.data.description import FOUND
from trainer_host.engine.ultralytics.model_facts import starting_models
from trainer_host.engine.ultralytics.reimplemented.training_transforms import join_transforms
from trainer_host.engine.ultralytics.run_dataset import prepare_dataset
from trainer_host.engine.ultralytics.sample_order import SampleOrder, order_of
from trainer_host.engine.ultralytics.trainer_hooks import HookedTrainer
from trainer_host.plugin.hook_collection import joined_augmentations, require_augmentations, require_sampler

if TYPE_CHECKING:
    from trainer_host.base.protocols import Dataset
    from trainer_host.base.type_aliases import Batch


class DataTrainer(HookedTrainer):
    """The engine's trainer with data from hooks.

    Attributes:
        order: The order in which the training sees its samples; None if a trainer class builds its own loader.
    """

    order: SampleOrder | None = None

    def get_dataset(self) -> dict[str, Any]:
        """Read the dataset, have it checked, and return a copy of its keys, which the engine may change.

        Raises:
            DatasetError: If it cannot be read, or if a check finds an error.
        """
        models = starting_models(self.args)
        ctx = self.context(DataContext, source=str(self.args.data), split=self.args.split, models=models)
        data = prepare_dataset(self.host_run, ctx, self.save_dir, {"train", self.args.split or "val"})
        if data.skipped.get("train") and not (data.splits["train"].labelled == FOUND).any():
            raise DatasetError(Problem("no train image with labels is left.", "correct the images: see trainer check"))
        self.args.data = data.get("yaml_file", self.args.data)
        self.description = data
        return deepcopy(dict(data))

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Dataset:
        """Return the dataset of the images at ``img_path``."""
        ctx = self._loader_context(img_path, batch or 1, mode)
        ctx = replace(ctx, augmentations=joined_augmentations(self.host_run.chain, ctx))
        dataset: Dataset = self._answer("build_dataset", ctx=ctx)
        require_augmentations(self.host_run.chain, ctx, dataset)
        if mode == "train" and not self._as_stock:
            join_transforms(dataset)
        return dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Return the loader of the images at ``dataset_path``, in every process of all of them: see `RankShare`."""
        if mode == "val" and self.device.type == "cuda":
            # A process evaluates whole batches, for which it has the memory of its part of a training batch. On a CPU
            # batches are those of one process, whose metrics several equal to the bit.
            batch_size = -(-batch_size // self.host_run.group.ranks.world_size)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        ctx = self._loader_context(dataset_path, batch_size, mode)
        if mode == "train":
            ctx = replace(ctx, sampler=self.hooks.build_sampler(ctx=ctx, dataset=dataset))
        loader: Any = self._answer("build_dataloader", ctx=ctx, dataset=dataset)
        require_sampler(self.host_run.chain, ctx, loader)
        if not hasattr(loader, "reset"):
            loader.reset = lambda: None  # the training loop asks every loader for it when mosaic ends
        if mode == "train":
            self.order = order_of(loader, self._as_stock, self.args.seed, self.host_run.group)
        return loader

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        if not self._as_stock:
            join_transforms(self.train_loader.dataset)  # the engine made new ones

    @property
    def _as_stock(self) -> bool:
        return bool(self.host_run.options.exact or self.host_run.drop_in)

    def _loader_context(self, path: Any, batch_size: int, mode: str) -> LoaderContext:
        stride = getattr(self.model, "stride", None)
        return self.context(
            LoaderContext,
            path=path,
            mode=mode,
            batch_size=batch_size,
            stride=max(int(stride.max()), 32) if stride is not None else 32,
        )

    def preprocess_batch(self, batch: Batch) -> Batch:
        """Return the batch, ready for the model."""
        prepared: Batch = self._answer("preprocess_batch", ctx=self.context(RunContext), batch=batch)
        return prepared
