"""The parts of batches, loaders, losses and models in several processes, each by itself."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from ultralytics.data.build import InfiniteDataLoader

from trainer_detect.shared_loss import SharedLoss, shared
from trainer_host.base.ranks import Ranks
from trainer_host.engine.process_group import SingleProcess
from trainer_host.engine.ultralytics.distributed_model import (
    GradientSum,
    frozen_statistics,
    plain_batch_norms,
    synchronise_batch_norms,
)
from trainer_host.engine.ultralytics.rank_batches import PartSize, RankLoader, RankShare, part_of
from trainer_host.engine.ultralytics.seeded_dataset import SeededBatch
from trainer_pose.shared_loss import POINTS, SharedKeypointLoss


class Alone(SingleProcess):
    """A process that has a place among others, which it does not wait for."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self.ranks = Ranks(rank, world_size)


@pytest.mark.parametrize(("count", "processes"), [(8, 2), (7, 3), (1, 2), (0, 2), (5, 8)])
def test_the_parts_of_a_batch_make_up_the_batch(count: int, processes: int) -> None:
    parts = [range(*part_of(count, Ranks(rank, processes))) for rank in range(processes)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert not count or len(parts[0])


def test_a_part_keeps_the_seeds_of_its_samples() -> None:
    batch = SeededBatch([5, 3, 8])
    batch.seeds, batch.seed, batch.epoch, batch.recent = [50, 30, 80], 7, 2, [1]
    first, second = (RankShare(Alone(rank, 2)) for rank in range(2))
    one, other = first.part(batch), second.part(batch)
    assert (list(one), list(one.seeds), one.seed, one.epoch, one.recent) == ([5, 3], [50, 30], 7, 2, [1])
    assert (list(other), list(other.seeds)) == ([8], [80])
    assert other.seed != one.seed
    assert (first.arrived(), second.arrived()) == (PartSize(2, 3), PartSize(1, 3))


def test_a_process_without_images_stands_in_with_one_of_another() -> None:
    batch = SeededBatch([4])
    batch.seeds = [40]
    share = RankShare(Alone(1, 2))
    assert list(share.part(batch)) == [4]
    assert share.arrived() == PartSize(0, 1)


@pytest.mark.parametrize("kind", [DataLoader, InfiniteDataLoader, list])
def test_processes_evaluate_each_batch_once(kind: Any) -> None:
    def loader() -> Any:
        images = list(range(9))
        return [torch.tensor([i]) for i in images] if kind is list else kind(images, batch_size=2)

    parts = [RankLoader(loader(), Ranks(rank, 2)) for rank in range(2)]
    whole = [batch.tolist() for batch in loader()]
    for _ in range(2):  # two evaluations
        found = [[batch.tolist() for batch in part] for part in parts]
        assert sorted(found[0] + found[1]) == whole
        assert found[0] == whole[::2]
    assert [len(part) for part in parts] == [len(whole)] * 2


def test_all_processes_begin_each_round_of_an_evaluation() -> None:
    begun = [0, 0]

    def begin(rank: int) -> None:
        begun[rank] += 1

    for rank in range(2):
        list(RankLoader(DataLoader(range(5), batch_size=1), Ranks(rank, 2), lambda rank=rank: begin(rank)))  # type: ignore[arg-type,misc]
    assert begun == [3, 3]


class Loss:
    """A loss of the engine's form, with one box and one keypoint part."""

    class hyp:
        rle = 2.0

    def __init__(self, scores: list[float], likelihoods: list[float]) -> None:
        self.loss_names = ("box_loss", "pose_loss", "rle_loss")
        self.scores, self.likelihoods = torch.tensor(scores), torch.tensor(likelihoods, requires_grad=True)
        self.assigner = lambda: (None, None, self.scores, self.scores > 0, None)
        self.rle_loss = lambda sigma: sigma.mean()

    def loss(self, preds: dict[str, torch.Tensor], batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        scores = self.assigner()[2]
        positive = scores[scores > 0]
        likelihood = self.rle_loss(self.likelihoods).clamp(min=0) if len(self.likelihoods) else self.likelihoods.sum()
        mean = positive.square().mean() if len(positive) else torch.zeros(())
        parts = torch.stack([scores.square().sum() / scores.sum().clamp(min=1), mean, self.hyp.rle * likelihood])
        return parts * preds["boxes"].shape[0], dict(zip(self.loss_names, parts.detach(), strict=True))


@pytest.mark.parametrize("likelihoods", [([1.0, 2.0], [-4.0, 3.0, 5.0]), ([-5.0, -2.0], [1.0]), ([], [2.0])])
@pytest.mark.parametrize("scores", [([0.5, 0.9, 0.0], [0.8]), ([0.1], [0.0]), ([0.0], [0.2, 3.0])])
def test_shared_losses_add_up_to_that_of_the_whole_batch(
    scores: tuple[list[float], ...], likelihoods: tuple[list[float], ...]
) -> None:
    images = (3, 1)
    whole = Loss(list(chain(*scores)), list(chain(*likelihoods)))
    wanted, items = whole.loss({"boxes": torch.zeros(sum(images))}, {})
    wanted.sum().backward()

    def counts(total: Any) -> list[Any]:
        parts = [Loss(*each) for each in zip(scores, likelihoods, strict=True)]
        shares = [SharedKeypointLoss(part, total) for part in parts]
        return [
            (part, *share.loss({"boxes": torch.zeros(count)}, {}))
            for part, share, count in zip(parts, shares, images, strict=True)
        ]

    given: list[torch.Tensor] = []
    counts(lambda own: given.append(own.clone()) or own)
    found = counts(lambda _: given[0] + given[1])
    assert torch.stack([loss for _, loss, _ in found]).sum(0).tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    for name, value in items.items():
        mean = sum(float(part[name]) * count for (_, _, part), count in zip(found, images, strict=True)) / sum(images)
        assert mean == pytest.approx(float(value), rel=1e-6)
    for part, loss, _ in found:
        loss.sum().backward()
        assert part.likelihoods.grad is not None
    gradients = torch.cat([part.likelihoods.grad for part, _, _ in found])
    assert gradients.tolist() == pytest.approx(whole.likelihoods.grad.tolist(), rel=1e-6)  # type: ignore[union-attr]


def test_losses_that_divide_by_something_else_stay_as_they_are() -> None:
    loss = Loss([1.0], [])
    assert shared(loss, lambda own: own, SharedLoss) is None
    assert isinstance(shared(loss, lambda own: own, SharedKeypointLoss), SharedKeypointLoss)
    assert SharedKeypointLoss.divisors["rle_loss"] == POINTS


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)), nn.Conv2d(4, 1, 1))


def test_gradients_of_a_batch_are_added_to_those_before() -> None:
    model, image = small_model(), torch.rand(2, 3, 4, 4)
    model[3].requires_grad_(False)
    wanted = small_model()
    wanted[3].requires_grad_(False)
    total = GradientSum(model, SingleProcess())
    for each in (image, image * 2):
        wanted(each).sum().backward()
        total.hold()
        model(each).sum().backward()
        total.add_up()
    total.hold()
    model(image).sum().backward()
    total.drop()
    for (name, one), other in zip(model.named_parameters(), wanted.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        assert one.grad is None or torch.equal(one.grad, other.grad)  # type: ignore[arg-type]


def test_batch_norms_are_synchronised_where_torch_can_and_saved_as_plain_ones() -> None:
    model = small_model()
    assert not synchronise_batch_norms(model, "cpu", None)
    assert not synchronise_batch_norms(model, "cuda", False)
    before, parameters = {k: v.clone() for k, v in model.state_dict().items()}, list(model.parameters())
    assert synchronise_batch_norms(model, "cuda", None)
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in model.modules()) == 2
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    plain_batch_norms(model)
    assert [type(m) for m in model.modules()] == [type(m) for m in small_model().modules()]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_an_image_that_does_not_count_leaves_statistics_alone() -> None:
    model = small_model().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with frozen_statistics(model):
        model(torch.rand(1, 3, 4, 4))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(m.training for m in model.modules())
