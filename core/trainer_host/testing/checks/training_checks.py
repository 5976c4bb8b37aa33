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
"""Relative tolerance for the loss of a doubled batch."""
GROWTH = 64 * 2**20
"""Bytes by which the process may grow between the second epoch and the last."""
NEEDS = ("trains",)


@check(
    "trains",
    why="All further checks depend on it.",
    fix="see the error with its traceback: trainer run --task NAME, or with --plugin NAME",
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
        raise CheckFailedError("the training saves no best checkpoint.", "return a number as fitness")
    return f"{training.result.epochs} epochs of task {bench.subject.task}."


def missing_layers(bench: Bench) -> None:
    """Skip checks that would pass without ever building a layer of the plugin.

    Raises:
        CheckSkippedError: If the plugin brings layers, and none of them is in the model.
    """
    layers = bench.first().recording.layers
    others = bench.before().recording.layers if bench.subject.plugins else {}
    own = sorted(layers.keys() - others.keys())
    if own and not any(layers[name] for name in own):
        what = f"no layer of the plugin ({', '.join(own)}) is in the model"
        raise CheckSkippedError(f"{what}; give a model whose YAML names it: model=FILE.yaml")


@check(
    "learns",
    why="A loss that does not fall on a handful of images never falls.",
    fix="check that the loss depends on the weights, has the right sign, and that all weights are optimized",
    needs=NEEDS,
)
def learns(bench: Bench) -> str:
    """The loss of a batch before and after training."""
    seen = bench.first().recording
    if seen.loss_before is None or seen.loss_after is None:
        raise CheckSkippedError("the loader has no collate_fn to make a batch with.")
    after = f"{seen.loss_after:.4g} after {EPOCHS} epochs"
    found = f"the loss of a batch is {seen.loss_before:.4g} before training, {after}"
    if not seen.loss_after < seen.loss_before:
        raise CheckFailedError(f"{found}.")
    return f"{found}."


@check(
    "same-seed",
    why="A result that cannot be repeated cannot be compared.",
    fix="draw random numbers from torch, numpy or random, which the host seeds; not from the clock or the system",
    needs=NEEDS,
)
def same_seed(bench: Bench) -> str:
    """The weights of two trainings with the same seed."""
    first = bench.first().recording.weights[0]
    try:
        again = bench.again().recording.weights[0]
    except Exception as error:
        raise CheckSkippedError("the second training fails: see 'two-runs-in-one-process'.") from error
    if again != first and trained_after_import(bench) != first:
        raise CheckFailedError("two trainings with the same seed give different weights.")
    return "two trainings with the same seed give the same weights."


def trained_after_import(bench: Bench) -> str:
    """Return the hash of the weights of a training by modules that were imported again."""
    subject = bench.subject
    with subject.imported_again() as bench.subject:
        try:
            return bench.training("imported-again", stop_after=1).recording.weights[0]
        finally:
            bench.subject = subject


@check(
    "other-seed",
    why="Users train with several seeds to measure how much of a result is chance.",
    fix="do not seed global generators, and seed your own from ctx.args.seed",
    needs=NEEDS,
)
def other_seed(bench: Bench) -> str:
    """The weights of a training with another seed."""
    other = bench.training("other", seed=1, stop_after=1).recording.weights[0]
    if other == bench.first().recording.weights[0]:
        raise CheckFailedError("trainings with the seeds 0 and 1 give the same weights.")
    return "another seed gives other weights."


@check(
    "loss-is-a-sum",
    why="The engine scales steps by batch size and processes: with a mean the learning rate would be wrong.",
    fix='return the loss summed over the batch, or declare its mean: TaskSpec(loss_reduction="mean")',
    needs=NEEDS,
)
def loss_is_a_sum(bench: Bench) -> str:
    """The loss of a batch, and of the same batch with every image twice."""
    seen = bench.first().recording
    if seen.loss_once is None or seen.loss_twice is None:
        raise CheckSkippedError("the loader has no collate_fn to make a batch with.")
    if not math.isclose(seen.loss_twice, 2 * seen.loss_once, rel_tol=TOLERANCE):
        factor = seen.loss_twice / seen.loss_once if seen.loss_once else math.inf
        raise CheckFailedError(f"with every image twice the loss is {factor:.3g} times that of the batch, not 2 times.")
    return f"{seen.loss_once:.5g} for a batch, {seen.loss_twice:.5g} with every image twice."


@check(
    "validation-leaves-training",
    why="Otherwise a run with val=False gives another model than one with validation.",
    fix="evaluate the EMA under torch.no_grad, restore modes, and do not seed",
    needs=NEEDS,
)
def validation_leaves_training(bench: Bench) -> str:
    """Changes of a validation to weights, modes, optimizer or random seeds of the training."""
    if touched := bench.first().recording.touched:
        raise CheckFailedError(f"a validation between epochs changes {', '.join(touched)}.")
    return "a validation between epochs leaves the training unchanged."


@check(
    "memory-flat",
    why="A run that grows with each epoch runs out of memory.",
    fix="keep numbers, not tensors: loss.item(), detach(), and lists that are emptied after each epoch",
    needs=NEEDS,
)
def memory_flat(bench: Bench) -> str:
    """Tensors and memory of the process, from the second epoch to the last."""
    later = bench.first().recording.memory[1:]
    tensors = [count for count, _ in later]
    if all(b > a for a, b in pairwise(tensors)):
        raise CheckFailedError(f"the number of live tensors grows with each epoch from the second on: {tensors}.")
    grown = later[-1][1] - later[0][1]
    if grown > GROWTH:
        raise CheckFailedError(f"the process grows by {grown / 2**20:.0f} MiB from the second epoch to the last.")
    return f"{tensors[0]} tensors after the second epoch, {tensors[-1]} after the last."
