"""Hooks of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.contexts import LossContext, ModelContext
    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.protocols import Loss, LossTerm
    from trainer_host.base.type_aliases import Module


class ModelHooks:
    """Hooks of the model."""

    @hookspec
    def layers(self, ctx: ModelContext) -> Mapping[str, Layer]:  # type: ignore[empty-body]
        """Return layers by the name that a model YAML gives them.

        Called: before `build_model`, and before that to check the model YAML, when the dataset is not read yet.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_model(self, ctx: ModelContext) -> Module | None:
        """Return the model for ``ctx.cfg`` and the dataset ``ctx.data``, starting from ``ctx.weights`` if given.

        The model is a `torch.nn.Module`. For a batch it returns ``(loss, items)``: the loss summed over the batch (or
        its mean, if ``TaskSpec.loss_reduction`` says so), and its parts by name, detached. For images it returns
        whatever the task's validator and predictor take. A model with classes from outside torch and the engine is
        stored as a state dict; its attribute ``yaml``, if it is a dict, is stored too and comes back as ``ctx.cfg``.

        Called: at set-up, and when a state dict is restored.

        Raises:
            SettingsError: If the task cannot train the model ``ctx.cfg``.

        .. versionadded:: 0.1
        """

    @hookspec
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Set attributes of ``ctx.model`` that depend on the dataset: plain data, which the checkpoint keeps.

        Called: after `build_model`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_loss(self, ctx: LossContext) -> Loss | None:
        """Return the loss of ``ctx.model``; the default is the model's own.

        It is built once for the model in training and once for its EMA, which is evaluated.

        Called: at set-up.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def share_loss(self, ctx: LossContext, loss: Any) -> Loss | None:
        """Return the loss of one of several processes, made of what `build_loss` returned.

        A loss that divides by a count of its batch, such as its objects, has to divide by that of the batches of all,
        which ``ctx.sum_over_ranks`` gives. What all return is added up. Without an answer the loss stays as it is.

        Called: at set-up, in each of several processes, for the model in training.

        .. versionadded:: 0.1
        """

    @hookspec
    def loss_terms(self, ctx: LossContext) -> Mapping[str, LossTerm]:  # type: ignore[empty-body]
        """Return terms to add to the loss, by the name that progress and the table of results show.

        Called: at set-up, after `build_loss`.

        .. versionadded:: 0.1
        """
