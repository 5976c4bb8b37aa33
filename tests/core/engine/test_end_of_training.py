"""Why a training ended, and which metric chooses its best checkpoint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trainer_host import SettingsError
from trainer_host.base.best_metric import BestMetric, full_name
from trainer_host.base.results import Ending
from trainer_host.engine.ultralytics.end_of_training import ending_of
from trainer_host.engine.ultralytics.setting_warnings import setting_warnings

METRICS = ("metrics/mAP50(B)", "metrics/mAP50(P)", "val/box_loss", "val/cls_loss")


def trainer(done: int = 3, **state: Any) -> Any:
    """Return what the engine's loop leaves behind after some epochs."""
    patience = state.pop("patience", 100)
    stopper = SimpleNamespace(best_epoch=state.pop("improved", done), patience=patience or float("inf"))
    kept = {
        "args": SimpleNamespace(time=state.pop("time", None), patience=patience),
        "epoch": done - 1,
        "epochs": 10,
        "planned_epochs": 10,
        "interrupted": False,
        "evaluated_epoch": done,
        "best_epoch": stopper.best_epoch,
        "stopper": stopper,
        "loop": SimpleNamespace(epoch=done - 1),
        "train_time_start": 0.0,
        "epoch_time_start": 60.0,
    }
    return SimpleNamespace(**{**kept, **state})


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        ({"done": 10}, Ending("epochs", None, 10)),
        ({"done": 10, "improved": 1, "patience": 2}, Ending("epochs", None, 10)),
        (
            {"improved": 1, "patience": 2},
            Ending(
                "patience",
                "stopped early after 3 of 10 epochs: no improvement for 2 epochs (patience=2), best at epoch 1",
                10,
            ),
        ),
        (
            {"improved": 1, "patience": 2, "best_epoch": 3},
            Ending(
                "patience",
                "stopped early after 3 of 10 epochs: no improvement since epoch 1 (patience=2), best at epoch 3",
                10,
            ),
        ),
        ({"time": 0.01}, Ending("time", "time limit of 0.01 h reached after 3 epochs")),
        ({"time": 1.0, "epochs": 3}, Ending("time", "time limit of 1 h reached after 3 epochs")),
        ({"time": 1.0, "done": 12, "epochs": 12}, Ending("time", "time limit of 1 h reached after 12 epochs")),
        ({"time": 1.0, "done": 1, "planned_epochs": 1, "epochs": 60}, Ending("epochs", None)),
        ({"interrupted": True}, Ending("signal", "stopped by a signal after 2 of 10 epochs", 10)),
        ({}, Ending("plugin", "stopped early after 3 of 10 epochs by a callback of a plugin", 10)),
        ({"patience": 0}, Ending("plugin", "stopped early after 3 of 10 epochs by a callback of a plugin", 10)),
        ({"done": 1}, Ending("plugin", "stopped early after 1 of 10 epochs by a callback of a plugin", 10)),
    ],
)
def test_the_reason_is_found(state: dict[str, Any], ending: Ending) -> None:
    assert ending_of(trainer(**state)) == ending


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, []),
        ({"val": False, "epochs": 1}, []),
        (
            {"val": False},
            ["val=False evaluates the last epoch only, so best.pt is the last epoch and patience has no effect."],
        ),
        (
            {"val": False, "patience": 0},
            ["val=False evaluates the last epoch only, so best.pt is the last epoch."],
        ),
        (
            {"save": False, "save_period": 2},
            ["save=False writes checkpoints after the last epoch only; a training that ends earlier writes none."],
        ),
        ({"time": 0.5, "epochs": 100}, []),
    ],
)
def test_settings_without_effect_are_reported(settings: dict[str, Any], said: list[str]) -> None:
    usual = {"val": True, "save": True, "save_period": -1, "epochs": 3, "time": None, "patience": 100}
    assert setting_warnings(SimpleNamespace(**{**usual, **settings})) == said


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("metrics/mAP50(B)", "metrics/mAP50(B)"),
        ("mAP50(B)", "metrics/mAP50(B)"),
        ("box_loss", "val/box_loss"),
        ("map50(B)", None),
        ("x", None),
    ],
)
def test_a_metric_may_be_named_without_its_group(name: str, full: str | None) -> None:
    assert full_name(name, METRICS) == full


def test_a_name_without_its_part_of_the_model_names_each() -> None:
    assert "Did you mean 'metrics/mAP50(B)' or 'metrics/mAP50(P)'?" in str(BestMetric.parse("map50").unknown(METRICS))


def test_a_name_of_two_groups_is_not_taken() -> None:
    assert full_name("error", ["a/error", "b/error"]) is None
    problem = BestMetric.parse("error").unknown(["a/error", "b/error"])
    assert str(problem).startswith("unknown metric 'error'. Did you mean 'a/error' or 'b/error'? Known: ")


@pytest.mark.parametrize(
    ("text", "fitness"),
    [("mAP50(B)", 2.0), ("min:mAP50(B)", -2.0), ("val/box_loss", -3.0), ("box_loss", -3.0), ("min:box_loss", -3.0)],
)
def test_the_lowest_loss_is_the_best(text: str, fitness: float) -> None:
    assert BestMetric.parse(text).fitness({"metrics/mAP50(B)": 2.0, "val/box_loss": 3.0}) == fitness


@pytest.mark.parametrize("text", ["map50(B)", "min:map50(B)", "train/box_loss", "epoch"])
def test_an_unknown_name_lists_all_that_are_known(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        BestMetric.parse(text).fitness(dict.fromkeys(METRICS, 1.0))
    for name in (*METRICS, "fitness", "min:"):
        assert name in str(caught.value)


def test_fitness_is_the_judgement_of_the_task() -> None:
    assert BestMetric.parse("fitness").is_fitness
    assert not BestMetric.parse("min:fitness").is_fitness
    assert "the highest fitness is the best" in str(BestMetric.parse("min:fitness").unknown(METRICS))
