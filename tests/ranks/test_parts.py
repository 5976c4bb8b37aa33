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
from trainer_host.base.errors import PluginError
from trainer_host.base.ranks import Ranks
from trainer_host.engine.process_group import SingleProcess
from trainer_host.engine.ultralytics.distributed_model import (
    GradientSum,
    anchored,
    frozen_statistics,
    noted_outputs,
    plain_batch_norms,
    synchronise_batch_norms,
)
from trainer_host.engine.ultralytics.loss_scaling import (
    FAILED,
    FIRST,
    LAST,
    MOST_NUMBERS,
    BatchTotals,
    _comparable,
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
    assert (first.arrived(), second.arrived()) == (PartSize(2), PartSize(1))


def test_a_process_without_images_stands_in_with_one_of_another() -> None:
    batch = SeededBatch([4])
    batch.seeds = [40]
    share = RankShare(Alone(1, 2))
    assert list(share.part(batch)) == [4]
    assert share.arrived() == PartSize(0)


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


class OtherNorm(nn.BatchNorm1d):
    """A batch norm of a plugin."""


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
    model[1].register_forward_hook(lambda *_: None)
    model[1].f = -1  # as the engine's layers have it
    model.append(nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm1d(4), OtherNorm(4), nn.Unflatten(0, (1, 1))))
    kinds = [type(m) for m in model.modules()]
    before, parameters = {k: v.clone() for k, v in model.state_dict().items()}, list(model.parameters())
    found = synchronise_batch_norms(model, "cuda", None)
    assert found == {"1": nn.BatchNorm2d, "2.0": nn.BatchNorm2d, "4.1": nn.BatchNorm1d}
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in model.modules()) == 3
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    plain_batch_norms(model, found)
    assert [type(m) for m in model.modules()] == kinds
    assert len(model[1]._forward_hooks) == 1 and model[1].f == -1
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.eval()(torch.rand(1, 3, 4, 2)).shape == (1, 1, 4, 2)


class Unlinked(torch.autograd.Function):
    """Stands in for a batch norm that exchanges sums in its backward pass."""

    calls = 0

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        Unlinked.calls += 1
        return gradient * 2


@pytest.mark.parametrize("counts", [True, False])
def test_the_backward_pass_goes_through_branches_that_a_loss_leaves_out(counts: bool) -> None:
    used, left_out = (torch.ones(3, requires_grad=True) for _ in range(2))
    outputs = [Unlinked.apply(each) for each in (used, left_out)]  # type: ignore[no-untyped-call]
    loss = outputs[0].sum() if counts else torch.zeros((), requires_grad=True)
    Unlinked.calls = 0
    anchored(loss, [*outputs, torch.ones(3)]).backward()
    assert Unlinked.calls == 2
    assert (used.grad.tolist(), left_out.grad.tolist()) == ([2.0 * counts] * 3, [0.0] * 3)  # type: ignore[union-attr]


def test_outputs_of_synchronised_batch_norms_are_noted() -> None:
    model = nn.Sequential(nn.SyncBatchNorm(2), nn.BatchNorm2d(2)).eval()
    with noted_outputs(model) as outputs:
        model(torch.ones(1, 2, 3, 3))
    assert len(outputs) == 1
    assert not model[0]._forward_hooks


class Scripted(SingleProcess):
    """One of two processes: what the other one adds to each sum is given, with its place."""

    def __init__(self, *given: dict[int, float]) -> None:
        super().__init__()
        self.ranks, self.given = Ranks(0, 2), list(given)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        for place, number in self.given.pop(0).items():
            tensor[place] += number
        return tensor


def totals(*given: dict[int, float]) -> BatchTotals:
    found = BatchTotals(Scripted(*given), torch.device("cpu"))
    found.begin(True)
    return found


@pytest.mark.parametrize(
    ("given", "calls"), [([{FIRST: 3.0}], 0), ([{LAST: 1.0}], 1), ([{FIRST: 3.0}, {FIRST: 3.0}], 1)]
)
def test_losses_that_exchange_unequally_often_are_refused(given: list[dict[int, float]], calls: int) -> None:
    batch = totals(*given)
    for _ in range(calls):
        batch.sum_over_ranks(torch.ones(2))
    with pytest.raises(PluginError, match="called sum_over_ranks another number of times"):
        batch.finish([1.0])


def test_a_process_that_failed_follows_the_others_to_the_end_of_the_batch() -> None:
    totals({FIRST: 3.0}, {LAST: 1.0}).fail()
    assert totals({FAILED: 1.0}).finish([1.0]) is None
    with pytest.raises(PluginError, match="another number of times"):
        totals({FIRST: 3.0, LAST: 1.0, FAILED: -1.0}).fail()


def test_processes_know_whether_they_gave_the_same() -> None:
    for other, alike in ((b"1101", True), (b"1011", False)):
        theirs = BatchTotals(Scripted({LAST: 1.0}), torch.device("cpu"))
        numbers = _comparable(other)
        batch = totals({LAST: 1.0, **dict(enumerate(numbers, FIRST + MOST_NUMBERS))})
        assert theirs.finish([1.0]) is not None
        assert batch.finish([1.0], b"1101") == [1.0]
        assert batch.alike == alike


def test_an_image_that_does_not_count_leaves_statistics_alone() -> None:
    model = small_model().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with frozen_statistics(model):
        model(torch.rand(1, 3, 4, 4))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(m.training for m in model.modules())
