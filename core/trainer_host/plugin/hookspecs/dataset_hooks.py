"""Hooks of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from trainer_host.base.annotations import Histogram, Shape
    from trainer_host.base.contexts import DataContext, LabelContext, Sample, SampleContext
    from trainer_host.base.findings import Finding


class DatasetHooks:
    """Hooks of the dataset."""

    @hookspec(firstresult=True)
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that a dataset's description will have, without reading it; None for an unknown format.

        The task with the most ``dataset_keys`` among them is selected. Dataset YAMLs need no answer: the host looks at
        their keys.

        Called: if neither the user nor the model names the task.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def read_dataset(self, ctx: DataContext) -> Mapping[str, Any] | None:
        """Read the dataset that ``ctx.source`` names and return its description; None for an unknown format.

        The description has at least ``names`` (class index to name), ``channels``, ``train`` and ``val`` (passed to
        `build_dataset` as ``ctx.path``), and ``ctx.split``. Other keys are the task's own; plain data among them is
        stored in the checkpoint. A dict is enough. A ``Description`` also carries the images and labels, which are then
        checked, drawn in reports and trained on without being read again; put problems among its ``findings``, so that
        all are reported together. Extensions are called before the tasks.

        Called: at the start of a run, a validation, a check or a conversion.

        Raises:
            DatasetError: If the dataset cannot be read.

        .. versionadded:: 0.1
        """

    @hookspec
    def check_dataset(self, ctx: DataContext) -> Iterable[Finding]:  # type: ignore[empty-body]
        """Yield the problems of ``ctx.data``.

        The findings of all plugins are reported together. Errors stop the run with one `DatasetError`; those of a split
        that the run does not use count as warnings. After an error of reading keys may be missing, and
        ``ctx.data.splits`` is empty if the reader returned a plain dict: a check tolerates both.

        This is also the place to compare the dataset with the model: ``ctx.models`` describes the models that are
        trained (``ctx.mode`` is ``train``) or evaluated (``val``) on it.

        Called: after `read_dataset`, before a model is built.

        .. versionadded:: 0.1
        """

    @hookspec
    def suggest_keys(self, ctx: DataContext) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Return likely values for keys that are missing or wrong in the dataset's YAML, as plain data.

        If several plugins suggest a key, the task takes precedence over its base, and an extension over both.

        Called: for ``trainer check --fix``.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def annotate_image(self, ctx: LabelContext) -> Sequence[Shape] | None:
        """Return the shapes to draw for the labels of an image: boxes, points and lines.

        Skip rows that cannot be drawn. Without an answer the report shows images without labels.

        Called: for each image, and its mirror image, in the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec
    def histograms(self, ctx: DataContext) -> Iterable[Histogram]:  # type: ignore[empty-body]
        """Yield histograms of the dataset ``ctx.data``; the host adds those of image sizes and objects per image.

        Called: for the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_sample(self, ctx: SampleContext) -> Sample | None:
        """Generate the task's sample dataset in ``ctx.folder``. Settings of the user take precedence over its own.

        Called: if no dataset is given; once for each release of the host and each working folder.

        .. versionadded:: 0.1
        """
