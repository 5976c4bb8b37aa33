"""Hooks of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.plugin.markers import hookspec

if TYPE_CHECKING:
    from trainer_host.base.contexts import PredictionContext
    from trainer_host.base.protocols import Prediction, Predictor
    from trainer_host.base.type_aliases import Image


class PredictionHooks:
    """Hooks of the prediction."""

    @hookspec(firstresult=True)
    def build_predictor(self, ctx: PredictionContext) -> Predictor | None:
        """Return the predictor of ``ctx.model``; without an answer the task does not predict.

        It is called with a list of images, each a path or a `LoadedImage`, or with a list of one video, as often as
        needed; for a camera, an address or the screen with its name. It yields an `ImagePrediction`, or an
        object with the same attributes, for each image or frame, and an `UnreadableImage` for one that cannot be read.
        Results with ``detections`` have arrays.

        The program computes between two results: a generator that switches gradients off is decorated with
        ``torch.no_grad()``, which ends at each result, rather than having a ``with`` in it. A loaded model predicts
        again and again, each time with other settings: keep in ``ctx.prepared`` what need not be made each time.

        Called: for each prediction, and for the picture after training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def draw_prediction(self, ctx: PredictionContext, prediction: Prediction) -> Image | None:
        """Return a copy of ``prediction.image`` with the objects drawn on it; without an answer none is written.

        Called: for each image of a prediction.

        .. versionadded:: 0.1
        """
