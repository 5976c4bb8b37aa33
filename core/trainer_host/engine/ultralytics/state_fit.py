"""Whether the state of a training fits the training that is to go on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.wording import listed
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.base.type_aliases import Tensor

FORM = 1
"""Version of the form of states: it changes when an older state cannot be restored any more."""
SAME_RUN = "resume with the model, dataset and settings of the run"


def require_form(content: Mapping[str, Any]) -> None:
    """Require a state of the form that this version reads.

    Raises:
        SettingsError: If it has another one.
    """
    if content.get("form") != FORM:
        what = f"the training state has form {content.get('form')!r}; trainer-host {__version__} reads form {FORM}."
        writer = content.get("host")
        fix = f'pip install "trainer-host=={writer}"' if isinstance(writer, str) else "start a new run"
        raise SettingsError(Problem(what, fix))


def require_tensors(saved: Mapping[str, Tensor], current: Mapping[str, Tensor], model: str) -> None:
    """Require the same tensors: names, shapes and types.

    Raises:
        SettingsError: If they differ; the first differences are named.
    """
    found = [f"it lacks {name}" for name in current if name not in saved]
    found += [f"the model lacks {name}" for name in saved if name not in current]
    for name, other in current.items():
        one = saved.get(name, other)
        if one.shape != other.shape:
            found.append(f"{name} has the shape {_shape(one)} instead of {_shape(other)}")
        elif one.dtype != other.dtype:
            found.append(f"{name} is {one.dtype} instead of {other.dtype}")
    if found:
        what = f"the training state does not fit the {model}: {listed(found)}."
        raise SettingsError(Problem(what, SAME_RUN))


def require_optimizer(saved: Mapping[str, Any], optimizer: Any, settings: Mapping[str, Any]) -> None:
    """Require the same class of optimizer, with the same groups of parameters.

    Raises:
        SettingsError: If it differs.
    """
    kind = type(optimizer).__name__
    if saved["class"] != kind:
        what = f"the training state is of the optimizer {saved['class']}, not {kind}."
        raise SettingsError(Problem(what, f"add optimizer={saved['class']} lr0={settings['lr0']}"))
    groups = [len(g["params"]) for g in saved["state"]["param_groups"]]
    current = [len(g["params"]) for g in optimizer.param_groups]
    if groups != current:
        what = f"the training state's optimizer has groups of {groups} parameters instead of {current}."
        raise SettingsError(Problem(what, SAME_RUN))


def require_plugins(saved: Iterable[str], current: Iterable[str]) -> None:
    """Require that the plugins that keep a state are those that kept one in the saved training.

    Raises:
        SettingsError: If one is missing, or one more is active.
    """
    saved, current = set(saved), set(current)
    problems = [
        Problem(f"plugin {name!r} keeps its data in the training state, but is not active.", f"add --plugin {name}")
        for name in sorted(saved - current)
    ]
    problems += [
        Problem(f"plugin {name!r} was not active in the saved training.", f"resume without plugin {name}")
        for name in sorted(current - saved)
    ]
    if problems:
        raise SettingsError(*problems)


def require_batches(content: Mapping[str, Any], batches: int) -> None:
    """Require the number of batches that an epoch had, in the middle of one.

    Raises:
        SettingsError: If it differs.
    """
    loop = content["loop"]
    if content["batches"] != batches and loop["batch"] and loop["phase"] == "batches":
        place = f"batch {loop['batch']} of {content['batches']}"
        what = f"the training state is of {place}, but an epoch has {batches} here."
        raise SettingsError(Problem(what, "resume with the dataset and batch size of the run"))


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
