"""What a training takes over from a checkpoint: counted as the engine counts it, with what is new and why."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.untrained_models import untrained
from trainer_host.base.results import StartingWeights

pytestmark = pytest.mark.usefixtures("engine")


def model(names: list[str], cfg: str = "yolov8n.yaml", **fields: Any) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    made = DetectionModel(cfg, nc=len(names), verbose=False, **fields)
    made.names = dict(enumerate(names))
    return made


def taken(own: Any, given: Any, caplog: pytest.LogCaptureFixture) -> tuple[StartingWeights, int]:
    """Have the engine load weights; return what was found, and how many tensors the engine says it took."""
    from ultralytics.utils import LOGGER

    from trainer_host.engine.ultralytics.starting_weights import taken_weights

    for parameter in given.parameters():
        parameter.data.uniform_()  # nothing is equal by chance
    LOGGER.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, LOGGER.name):
            own.load(given)
    finally:
        LOGGER.removeHandler(caplog.handler)
    said = next(r.getMessage() for r in caplog.records if r.getMessage().startswith("Transferred"))
    return taken_weights(own, given, Path("last.pt")), int(said.split()[1].split("/")[0])


def test_everything_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a"]), model(["a"]), caplog)
    assert (found.transferred, found.tensors, found.new) == (count, count, {})
    assert found.lines == [f"Weights: {count} of {count} tensors from last.pt."]


def test_another_number_of_classes(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a", "b", "c"]), model(["x"]), caplog)
    assert (found.transferred, found.partly, found.new) == (count, 0, {"model.22.cv3": 6})
    assert found.lines[1] == "Not transferred: model.22.cv3 (6), because nc is 3 instead of 1."


def test_classes_that_both_have(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a", "b"]), model(["B"]), caplog)
    assert (found.transferred + found.partly, found.partly, found.new) == (count, 6, {})
    assert found.lines[0].endswith("tensors from last.pt, 6 in part, because nc is 2 instead of 1.")


def test_classes_in_another_order(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a", "b"]), model(["b", "a"]), caplog)
    assert (found.transferred, found.partly, found.new) == (count, 0, {})


def test_another_number_of_channels(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a"], ch=1), model(["a"]), caplog)
    assert (found.transferred + found.partly, found.partly, found.new) == (count, 1, {})


def test_another_scale(caplog: pytest.LogCaptureFixture) -> None:
    found, count = taken(model(["a"], "yolov8s.yaml"), model(["a"]), caplog)
    assert (found.transferred + found.partly, found.partly) == (count, 1)
    assert found.lines[1].startswith(
        f"Not transferred: {found.tensors - count} tensors of layers 0-9, 12, 15-16, 18-19"
    )
    assert "scale is s instead of n" in found.lines[1]


def test_weights_that_were_not_taken_do_not_count() -> None:
    from trainer_host.engine.ultralytics.starting_weights import taken_weights

    given = model(["a"])
    for parameter in given.parameters():
        parameter.data.uniform_()
    found = taken_weights(model(["a"]), given, Path("last.pt"))
    own = [name for name, _ in given.named_parameters()]
    assert sum(found.new.values()) == len(own), "buffers of models that were not trained are equal"


@pytest.mark.parametrize(
    ("weights", "lines"),
    [
        (StartingWeights(None, 9), ["Weights: random."]),
        (
            StartingWeights(None, 9, architecture=Path("a.pt")),
            ["Weights: random; of a.pt only the architecture is used."],
        ),
        (
            StartingWeights(Path("b.pt"), 9, 9, architecture=Path("a.pt"), teacher=Path("t.pt")),
            [
                "Weights: 9 of 9 tensors from b.pt; of a.pt only the architecture is used.",
                "Teacher: t.pt, to distil from.",
            ],
        ),
    ],
)
def test_the_lines_for_people(weights: StartingWeights, lines: list[str]) -> None:
    assert weights.lines == lines


def test_a_new_model_has_an_architecture_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine writes the dataset's shapes into it, which would hide how the checkpoint's differ."""
    from trainer_host.engine.ultralytics import trainer_model as module
    from trainer_host.engine.ultralytics.checkpoints import read_checkpoint

    monkeypatch.setattr(module, "with_layers", lambda *_: SimpleNamespace(layers={}))
    run: Any = SimpleNamespace(host_run=SimpleNamespace(chain=SimpleNamespace(manager=None)), context=lambda *_: None)
    cfg, weights = module.ModelTrainer.start_from(run, read_checkpoint(untrained(tmp_path)))
    assert cfg == weights.yaml
    assert cfg is not weights.yaml
