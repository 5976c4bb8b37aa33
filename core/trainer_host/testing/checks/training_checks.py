"""Checks of the training itself."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from trainer_host.testing.bench import EPOCHS, reason
from trainer_host.testing.check_outcome import CheckFailedError, CheckSkippedError, check

if TYPE_CHECKING:
    from trainer_host.testing.bench import Bench

TOLERANCE = 0.02
"""How far the loss of a doubled batch may be from the double, as a share."""
GROWTH = 64 * 2**20
"""Bytes by which the process may grow between the second epoch and the last."""
NEEDS = ("trains",)


@check(
    "trains",
    why="Everything else rests on it.",
    mend="Read the error with its traceback: trainer run --task NAME, or with --plugin NAME.",
)
def trains(bench: Bench) -> str:
    """A training of a few epochs on a tiny dataset."""
    try:
        training = bench.first()
    except CheckSkippedError:
        raise
    except Exception as error:
        raise CheckFailedError(f"the training fails: {reason(error)}.") from error
    missing_layers(bench)
    if training.result.best is None or not training.result.best.is_file():
        raise CheckFailedError("the training leaves no best checkpoint.", "Return a fitness that is a number.")
    return f"{training.result.epochs} epochs of task {bench.subject.task}."


def missing_layers(bench: Bench) -> None:
    """Skip what would pass without a layer of the plugin ever having been built.

    Raises:
        CheckSkippedError: If the plugin brings layers, and none of them is in the model.
    """
    layers = bench.first().recording.layers
    others = bench.before().recording.layers if bench.subject.plugins else {}
    own = sorted(layers.keys() - others.keys())
    if own and not any(layers[name] for name in own):
        what = f"no layer of the plugin ({', '.join(own)}) is in the model"
        raise CheckSkippedError(f"{what}; give one whose YAML names it: model=FILE.yaml")


@check(
    "learns",
    why="A loss that does not fall on a handful of images never falls.",
    mend="See whether the loss depends on the weights, with the sign that descends, and whether all are optimized.",
    needs=NEEDS,
)
def learns(bench: Bench) -> str:
    """The loss of a batch by the weights after training and before."""
    seen = bench.first().recording
    if seen.loss_before is None or seen.loss_after is None:
        raise CheckSkippedError("the loader has no collate_fn, by which a batch could be made.")
    told = f"the loss of a batch is {seen.loss_before:.4g} before training, {seen.loss_after:.4g} after {EPOCHS} epochs"
    if not seen.loss_after < seen.loss_before:
        raise CheckFailedError(f"{told}.")
    return f"{told}."


@check(
    "same-seed",
    why="A result that nobody can repeat cannot be compared with another.",
    mend="Draw random numbers from torch, numpy or random, which the host seeds; none from the clock or the system.",
    needs=NEEDS,
)
def same_seed(bench: Bench) -> str:
    """Whether two trainings with one seed give the same weights."""
    first = bench.first().recording.weights[0]
    try:
        again = bench.again().recording.weights[0]
    except Exception as error:
        raise CheckSkippedError("the second training fails: see 'two-runs-in-one-process'.") from error
    if again != first and trained_anew(bench) != first:
        raise CheckFailedError("two trainings with one seed give different weights.")
    return "two trainings with one seed give the same weights."


def trained_anew(bench: Bench) -> str:
    """Return the hash of the weights of a training by modules that were imported anew."""
    subject = bench.subject
    with subject.imported_anew() as bench.subject:
        try:
            return bench.training("anew", stop_after=1).recording.weights[0]
        finally:
            bench.subject = subject


@check(
    "other-seed",
    why="People train with several seeds to learn how much of a result is luck.",
    mend="Seed nothing yourself, and give generators of your own a seed from ctx.args.seed.",
    needs=NEEDS,
)
def other_seed(bench: Bench) -> str:
    """Whether a training with another seed gives other weights."""
    other = bench.training("other", seed=1, stop_after=1).recording.weights[0]
    if other == bench.first().recording.weights[0]:
        raise CheckFailedError("trainings with the seeds 0 and 1 give the same weights.")
    return "another seed gives other weights."


@check(
    "loss-is-a-sum",
    why="The engine scales steps by the batch's size and the number of processes: a mean would train at other speeds.",
    mend="Return the loss summed over the batch: the mean times the number of images.",
    needs=NEEDS,
)
def loss_is_a_sum(bench: Bench) -> str:
    """Whether the loss of a batch in which every image is twice is the double."""
    seen = bench.first().recording
    if seen.loss_once is None or seen.loss_twice is None:
        raise CheckSkippedError("the loader has no collate_fn, by which a batch could be made.")
    if not math.isclose(seen.loss_twice, 2 * seen.loss_once, rel_tol=TOLERANCE):
        share = seen.loss_twice / seen.loss_once if seen.loss_once else math.inf
        raise CheckFailedError(f"with every image twice the loss is {share:.3g} times that of the batch, not twice.")
    return f"{seen.loss_once:.5g} for a batch, {seen.loss_twice:.5g} with every image twice."


@check(
    "validation-leaves-training",
    why="Otherwise a run with val=False gives another model than one with validation.",
    mend="Measure the moving average of the weights under torch.no_grad, put modes back, and seed nothing.",
    needs=NEEDS,
)
def validation_leaves_training(bench: Bench) -> str:
    """Whether a validation changes weights, modes or the optimizer of the training, or seeds random numbers anew."""
    if touched := bench.first().recording.touched:
        raise CheckFailedError(f"a validation between epochs changes {', '.join(touched)}.")
    return "a validation between epochs changes nothing of the training."


@check(
    "memory-flat",
    why="A run that grows with each epoch ends in the middle of the night, for want of memory.",
    mend="Keep numbers, not tensors: loss.item(), detach(), and lists that are emptied after each epoch.",
    needs=NEEDS,
)
def memory_flat(bench: Bench) -> str:
    """Whether tensors pile up, or the process grows, from the second epoch to the last."""
    later = bench.first().recording.memory[1:]
    tensors = [count for count, _ in later]
    if all(b > a for a, b in pairwise(tensors)):
        raise CheckFailedError(f"after the epochs from the second on {tensors} tensors are alive, more each time.")
    grown = later[-1][1] - later[0][1]
    if grown > GROWTH:
        raise CheckFailedError(f"the process grows by {grown / 2**20:.0f} MiB from the second epoch to the last.")
    return f"{tensors[0]} tensors after the second epoch, {tensors[-1]} after the last."
