"""What is kept of an evaluation and of checkpoints until the end of a run, and when it does not count."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.metrics import ConfusionMatrix, DetMetrics

from trainer_host.engine.checkpoint.record import RECORD
from trainer_host.engine.ultralytics.held_checkpoints import HeldCheckpoints
from trainer_host.engine.ultralytics.kept_evaluation import FINAL_ONLY, KeptEvaluation, _obstacle
from trainer_host.engine.ultralytics.noted_evaluation import NotedMatrix, NotingMixin


def objects(count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    corners = torch.rand(count, 2, 2, generator=generator) * 20
    boxes = torch.cat([corners.amin(1), corners.amax(1) + 20], 1)
    classes = torch.randint(0, 3, (count,), generator=generator).float()
    return {"bboxes": boxes, "cls": classes, "conf": torch.rand(count, generator=generator)}


def test_a_noted_matrix_counts_as_the_engine_does() -> None:
    generator = torch.Generator().manual_seed(0)
    names = {0: "a", 1: "b", 2: "c"}
    engine, noted = ConfusionMatrix(names=names), NotedMatrix(ConfusionMatrix(names=names))
    for found, labelled in ((9, 4), (0, 3), (5, 0), (0, 0), (30, 12)):
        predictions, truth = objects(found, generator), objects(labelled, generator)
        engine.process_batch(predictions, truth, conf=0.1)
        noted.process_batch(predictions, truth, conf=0.1)
        predictions["bboxes"].zero_()  # a validator may change them afterwards
    assert noted.matrix.sum() > 0
    assert np.array_equal(noted.matrix, engine.matrix)
    assert np.array_equal(noted.matrix, engine.matrix)


def content() -> dict[str, Any]:
    return {"ema": torch.nn.Linear(2, 2).half(), "train_args": {"lr0": 1}, RECORD: {"n": [1]}, "optimizer": {"big": 1}}


def test_what_a_file_holds_is_known_until_it_changes(tmp_path: Path) -> None:
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"
    last.write_bytes(b"1")
    best.write_bytes(b"1")
    held, written = HeldCheckpoints(), content()
    held.hold([last, best], written)
    written["train_args"]["lr0"] = 2
    written[RECORD]["n"].append(2)
    found = held.content(last)
    assert found is not None
    assert found is held.content(best)
    assert (found["train_args"], found[RECORD]) == ({"lr0": 1}, {"n": [1]})
    assert "optimizer" not in found
    best.write_bytes(b"another")
    last.unlink()
    assert held.content(best) is None
    assert held.content(last) is None
    assert held.content(tmp_path / "epoch1.pt") is None


def trainer(**args: Any) -> Any:
    options = SimpleNamespace(exact=args.pop("exact", False))
    chain = SimpleNamespace(answers=lambda hook: hook == args.get("answered"))
    run = SimpleNamespace(drop_in=False, options=options, chain=chain)
    ema = SimpleNamespace(ema=torch.nn.Identity())
    events = {"on_val_end": [_obstacle]}
    return SimpleNamespace(host_run=run, args=SimpleNamespace(**args), ema=ema, callbacks=events, epoch=2)


def validator(kind: type[Any] = DetectionValidator, **attributes: Any) -> Any:
    made = object.__new__(kind)
    vars(made).update({"metrics": DetMetrics(), "is_coco": False, "is_lvis": False, **attributes})
    return made


def test_an_ordinary_evaluation_is_kept() -> None:
    assert _obstacle(trainer(), validator()) is None


@pytest.mark.parametrize("name", FINAL_ONLY)
def test_settings_of_the_final_evaluation_alone(name: str) -> None:
    assert _obstacle(trainer(**{name: 8}), validator()) == f"{name}=8"


class OwnMetrics(DetMetrics):  # type: ignore[misc]
    def process(self, *args: Any, **kwargs: Any) -> Any:
        return super().process(*args, **kwargs)


@pytest.mark.parametrize(
    ("run", "attributes"),
    [
        ({"exact": True}, {}),
        ({"answered": "evaluate_best"}, {}),
        ({}, {"is_coco": True}),
        ({}, {"is_lvis": True}),
        ({}, {"metrics": OwnMetrics()}),
        ({}, {"metrics": SimpleNamespace()}),
    ],
)
def test_what_else_needs_an_evaluation(run: dict[str, Any], attributes: dict[str, Any]) -> None:
    assert _obstacle(trainer(**run), validator(**attributes)) is not None


def test_a_validator_of_another_kind_is_left_alone() -> None:
    class Own:
        metrics = DetMetrics()

    own = Own()
    KeptEvaluation().prepare(trainer(), own)
    assert type(own) is Own
    engine = validator()
    KeptEvaluation().prepare(trainer(), engine)
    assert isinstance(engine, NotingMixin)
    assert isinstance(engine, DetectionValidator)


def test_functions_for_evaluations_need_one() -> None:
    listening = trainer()
    listening.callbacks["on_val_batch_end"] = [lambda _: None]
    assert _obstacle(listening, validator()) is not None


def test_weights_that_were_not_evaluated_have_no_evaluation() -> None:
    training, kept = trainer(), KeptEvaluation()
    training.validator = validator(type("Noting", (NotingMixin, DetectionValidator), {}), training=True)
    training.evaluated_epoch = 2
    kept.saved_best(training, same=True)  # the third epoch, which was not evaluated
    assert kept.noted is None
    training.evaluated_epoch = 3
    kept.saved_best(training, same=False)
    assert kept.noted is None
