"""Losses of the engine on parts of a batch, as several processes compute them: they add up to that of the batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import BaseModel, DetectionModel, OBBModel, PoseModel, SegmentationModel

from trainer_detect.shared_loss import SharedLoss, shared
from trainer_host.engine.ultralytics.plugin_losses import add_losses
from trainer_pose.shared_loss import SharedKeypointLoss

SIZE, IMAGES = 64, 4
KINDS: dict[str, Any] = {"": DetectionModel, "-pose": PoseModel, "-seg": SegmentationModel, "-obb": OBBModel}


def batch_of(kind: str) -> dict[str, Any]:
    """Return images with objects, of which the last has none."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=random)

    images = torch.tensor([0, 0, 1, 2, 2, 2])
    count = len(images)
    boxes = torch.cat([0.3 + 0.4 * draw(count, 2), 0.2 + 0.3 * draw(count, 2)], 1)
    batch = {
        "img": draw(IMAGES, 3, SIZE, SIZE),
        "batch_idx": images.float(),
        "cls": (draw(count, 1) * 3).floor(),
        "bboxes": torch.cat([boxes, draw(count, 1)], 1) if kind == "-obb" else boxes,
    }
    if kind == "-pose":
        visible = (draw(count, 5, 1) > 0.3).float() * 2
        batch["keypoints"] = torch.cat([draw(count, 5, 2), visible], 2)
    if kind == "-seg":
        masks = torch.zeros(IMAGES, SIZE, SIZE)
        seen = torch.zeros(IMAGES, dtype=torch.int64)
        for image, (x, y, w, h) in zip(images.tolist(), (boxes * SIZE).tolist(), strict=True):
            seen[image] += 1
            masks[image, int(y - h / 2) : int(y + h / 2), int(x - w / 2) : int(x + w / 2)] = float(seen[image])
        batch["masks"], batch["sem_masks"] = masks, (masks > 0).long()
    return batch


def part_of(batch: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """Return some of the images of a batch with their objects."""
    chosen = (batch["batch_idx"] >= start) & (batch["batch_idx"] < end)
    of_images = {"img", "masks", "sem_masks"}
    part = {k: v[start:end] if k in of_images else v[chosen] for k, v in batch.items()}
    return part | {"batch_idx": part["batch_idx"] - start}


def model_of(family: str, kind: str) -> Any:
    torch.manual_seed(0)
    shape = {"data_kpt_shape": [5, 3]} if kind == "-pose" else {}
    model = KINDS[kind](f"{family}n{kind}.yaml", nc=3, verbose=False, **shape)
    model.args = get_cfg(overrides={"epochs": 3})
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return model


def gradients_of(model: Any, batch: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    model.zero_grad()
    loss, items = model.loss(batch)
    loss.sum().backward()
    gradients = {k: p.grad.clone().double() for k, p in model.named_parameters() if p.grad is not None}
    return gradients, {k: float(v) for k, v in items.items()}


def test_the_student_of_a_distillation_shares_its_loss() -> None:
    student, hook = BaseModel(), SimpleNamespace(build_loss=lambda ctx: ["loss of", ctx.model])
    chain = SimpleNamespace(answers=lambda _: False, manager=SimpleNamespace(hook=hook))
    trainer: Any = SimpleNamespace(
        host_run=SimpleNamespace(chain=chain),
        model=SimpleNamespace(student_model=student),
        ema=SimpleNamespace(ema=None),
        ranks=SimpleNamespace(batch=SimpleNamespace(totals=SimpleNamespace(sum_over_ranks=None))),
        hooks=SimpleNamespace(share_loss=lambda ctx, loss: ["shared", *loss]),
        context=lambda _, **fields: SimpleNamespace(**fields),
    )
    add_losses(trainer)
    assert student.criterion == ["shared", "loss of", student]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["yolo11", "yolo26"])
@pytest.mark.parametrize("middle", [1, 3])
def test_losses_of_parts_add_up_to_that_of_the_batch(family: str, kind: str, middle: int) -> None:
    if (family, kind) == ("yolo26", "-seg"):
        middle = min(middle, 2)  # without any object the engine leaves out the semantic part, also of the background
    model, batch = model_of(family, kind), batch_of(kind)
    model.criterion = model.init_criterion()
    wanted, items = gradients_of(model, batch)
    parts = [part_of(batch, 0, middle), part_of(batch, middle, IMAGES)]
    own: list[list[torch.Tensor]] = [[], []]
    turn: list[int] = [0, 0]  # the part, and how often it has asked for totals

    def note(counts: torch.Tensor) -> torch.Tensor:
        own[turn[0]].append(counts.clone())
        return counts

    def total(counts: torch.Tensor) -> torch.Tensor:
        turn[1] += 1
        return own[0][turn[1] - 1] + own[1][turn[1] - 1]

    found = []
    for add_up in (note, total):
        model.criterion = shared(model.init_criterion(), add_up, SharedKeypointLoss if kind == "-pose" else SharedLoss)
        assert model.criterion is not None
        for number, part in enumerate(parts):
            turn[:] = [number, 0]
            found.append(gradients_of(model, part))
    (one, first), (other, second) = found[2:]
    assert one.keys() | other.keys() == wanted.keys()
    differences = [(one.get(k, 0) + other.get(k, 0) - v).square().sum() for k, v in wanted.items()]
    whole = sum(v.square().sum() for v in wanted.values())
    assert float((sum(differences) / whole).sqrt()) < 1e-5
    for name, value in items.items():
        mean = (first[name] * middle + second[name] * (IMAGES - middle)) / IMAGES
        assert mean == pytest.approx(value, rel=1e-5, abs=1e-7), name
