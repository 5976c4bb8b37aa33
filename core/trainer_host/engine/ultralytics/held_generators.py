"""Random number generators of the process, and those that objects such as samplers and transforms hold."""

from __future__ import annotations

import functools
import hashlib
import random
import struct
from contextlib import contextmanager
from pathlib import Path
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from trainer_host.base.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST_ITEMS = 64
"""Longer lists and dicts hold data, such as labels, rather than transforms."""
MOST_OBJECTS = 5000
OPAQUE = (torch.Tensor, np.ndarray, ModuleType, type, str, bytes, int, float, Path)
PROCESS = (random.random.__self__, np.random.mtrand._rand, torch.default_generator)  # type: ignore[attr-defined]
"""The generators behind the functions of `random`, `numpy.random` and `torch`."""


def seed_of(*numbers: int) -> int:
    """Return a seed of 63 bits that any change of the numbers changes in all its bits."""
    digest = hashlib.blake2b(struct.pack(f"<{len(numbers)}q", *numbers), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def held_generators(*roots: Any, without: Any = None) -> list[Any]:
    """Return the generators that objects hold, in an order that is the same in every process.

    They are looked for in attributes, short lists and dicts, bound methods, partial functions and closures. Those of
    the process are not among them.

    Args:
        roots: The objects.
        without: An object that is not searched.
    """
    return [thing for thing in _held(roots, without) if _is_generator(thing)]


def seeded_transforms(*roots: Any) -> list[Any]:
    """Return the objects that keep the seed of their own generators, as compositions of albumentations do.

    The engine seeds these once, when it first sees that their seed is not that of torch.
    """
    return [thing for thing in _held(roots, None) if hasattr(thing, "set_random_seed") and hasattr(thing, "seed")]


def _held(roots: Sequence[Any], without: Any) -> Iterator[Any]:
    """Yield objects and what they hold, each once."""
    seen = {id(thing) for thing in (*PROCESS, without)}
    waiting = list(reversed(roots))
    while waiting and len(seen) < MOST_OBJECTS:
        thing = waiting.pop()
        if thing is None or isinstance(thing, OPAQUE) or id(thing) in seen:
            continue
        seen.add(id(thing))
        yield thing
        if not _is_generator(thing):
            waiting += reversed(list(_inside(thing)))


def _is_generator(thing: Any) -> bool:
    kinds = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
    return isinstance(thing, kinds) and not isinstance(thing, random.SystemRandom)


def _inside(thing: Any) -> Iterable[Any]:
    if isinstance(thing, (list, tuple)):
        return thing if len(thing) <= MOST_ITEMS else ()
    if isinstance(thing, dict):
        return thing.values() if len(thing) <= MOST_ITEMS else ()
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, (MethodType, BuiltinMethodType)):
        return (thing.__self__,)
    if isinstance(thing, FunctionType):
        return [value for cell in thing.__closure__ or () if (value := _content(cell)) is not None]
    return vars(thing).values() if hasattr(thing, "__dict__") else ()


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def seed_generator(generator: Any, seed: int) -> None:
    """Seed a generator."""
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits: Any = generator.bit_generator
        bits.state = type(bits)(seed).state
    elif isinstance(generator, np.random.RandomState):
        generator.seed(seed & 0xFFFFFFFF)
    else:
        generator.seed(seed)


def seed_all(held: Iterable[Any], seed: int) -> None:
    """Seed the generators of the process, and others, each with a seed of its own.

    With one seed, two generators of a kind would draw the same numbers, such as those of two transforms.
    """
    for number, generator in enumerate((*PROCESS, *held)):  # torch's default generator: devices are not seeded
        seed_generator(generator, seed_of(seed, number))
    cv2.setRNGSeed(seed & 0x7FFFFFFF)  # it cannot be read, so it is not put back


def state_of(generator: Any) -> Any:
    """Return the state of a generator."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def set_state(generator: Any, state: Any) -> None:
    """Put a generator into a state."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


@contextmanager
def preserved_generators(held: Sequence[Any] = ()) -> Iterator[None]:
    """Put the generators of the process, and others, back on leaving."""
    generators = (*PROCESS, *held)
    before = [state_of(generator) for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            set_state(generator, state)


def plain_states(generators: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the states of generators as plain data and tensors."""
    return [{"kind": type(g).__name__, "state": _plain(state_of(g))} for g in generators]


def set_plain_states(generators: Sequence[Any], states: Sequence[Mapping[str, Any]], holder: str) -> None:
    """Put generators into states that `plain_states` returned.

    Args:
        generators: The generators.
        states: Their states.
        holder: What holds them, for the message.

    Raises:
        SettingsError: If these are other generators.
    """
    if (now := [type(g).__name__ for g in generators]) != (then := [s["kind"] for s in states]):
        what = f"the random generators of the {holder} are {now or 'none'}; the saved state has {then or 'none'}."
        raise SettingsError(Problem(what, "resume with the plugins and versions of the run, or start a new run"))
    for generator, state in zip(generators, states, strict=True):
        set_state(generator, _restored(state["state"]))


def _plain(state: Any) -> Any:
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": str(state.dtype)}
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    if isinstance(state, tuple):
        return tuple(_plain(v) for v in state)
    return state.item() if isinstance(state, np.generic) else state


def _restored(state: Any) -> Any:
    if isinstance(state, dict):
        if state.keys() == {"array", "dtype"}:
            return np.array(state["array"], dtype=state["dtype"])
        return {k: _restored(v) for k, v in state.items()}
    return tuple(_restored(v) for v in state) if isinstance(state, tuple) else state
