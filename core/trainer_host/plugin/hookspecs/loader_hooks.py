"""Hooks of the loaders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.plugin.markers import Done, hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainer_host.base.contexts import LoaderContext, PlotContext, RunContext
    from trainer_host.base.protocols import Augmentation, Dataset, Loader
    from trainer_host.base.type_aliases import Batch, Sampler


class LoaderHooks:
    """Hooks of the loaders."""

    @hookspec
    def augmentations(self, ctx: LoaderContext) -> Iterable[Augmentation]:  # type: ignore[empty-body]
        """Return functions that change training images with their labels, in the order in which they are applied.

        They follow the engine's own augmentations. The functions are called directly, since a hook call for each image
        would be slow.

        Called: for the training split, at set-up, before `build_dataset`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataset(self, ctx: LoaderContext) -> Dataset | None:
        """Return the dataset of the images at ``ctx.path``, augmented if ``ctx.mode`` is ``train``.

        With an attribute ``im_files``, a list of paths, the host draws predictions on validation images after training.

        Called: for each split, at set-up; again if the batch is halved after running out of memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_sampler(self, ctx: LoaderContext, dataset: Dataset) -> Sampler | None:
        """Return the sampler of the training images; without an answer every image occurs once, in random order.

        Called: for the training split, at set-up, between `build_dataset` and `build_dataloader`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataloader(self, ctx: LoaderContext, dataset: Dataset) -> Loader | None:
        """Return the loader of a dataset, shuffled if ``ctx.mode`` is ``train``.

        A `torch.utils.data.DataLoader` will do. For validation ``ctx.batch_size`` is twice that of training.

        Called: for each split, at set-up.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def preprocess_batch(self, ctx: RunContext, batch: Batch) -> Batch | None:
        """Move a training batch to the device and prepare it for the model.

        The default moves its tensors to the device. Validators prepare their own batches.

        Called: for each training batch.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def plot_data(self, ctx: PlotContext) -> Done | None:
        """Draw the training batch ``ctx.batch``, or the labels of the whole dataset if it is None; return `DONE`.

        Called: for some training batches, and for the labels after the last epoch, with ``plots=True``.

        .. versionadded:: 0.1
        """
