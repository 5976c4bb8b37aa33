"""What is shown of a plugin's options: type, default, help and allowed values."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
import pytest

from trainer_host.plugin.plugin_options import Option, describe_options

if TYPE_CHECKING:
    from nowhere import Thing  # type: ignore[import-not-found]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class AsDataclass:
    gain: float = field(default=0.5, metadata={"help": "How strong it is."})
    mode: Literal["sum", "max"] = field(default="sum", metadata={"help": "How parts are joined."})
    share: Annotated[float, pydantic.Field(gt=0, le=1, description="A share.")] = 0.1
    colour: Colour = Colour.RED
    only: Literal[3] | None = None
    names: tuple[str, ...] = ()
    parts: list[int] = field(default_factory=lambda: [1])


class AsModel(pydantic.BaseModel):
    gain: float = pydantic.Field(0.5, description="How strong it is.")
    mode: Literal["sum", "max"] = pydantic.Field("sum", description="How parts are joined.")
    share: float = pydantic.Field(0.1, gt=0, le=1, description="A share.")
    colour: Colour = Colour.RED
    only: Literal[3] | None = None
    names: tuple[str, ...] = ()
    parts: list[int] = pydantic.Field(default_factory=lambda: [1])


@pytest.mark.parametrize("declared", [AsDataclass, AsModel])
def test_options_say_what_they_are_for_and_what_they_allow(declared: type[Any]) -> None:
    assert describe_options(declared) == [
        Option("gain", "float", 0.5, "How strong it is."),
        Option("mode", "Literal['sum', 'max']", "sum", "How parts are joined.", "sum, max"),
        Option("share", "float", 0.1, "A share.", "above 0, at most 1"),
        Option("colour", "Colour", Colour.RED, "", "red, blue"),
        Option("only", describe_options(declared)[4].type, None, "", "3"),
        Option("names", "tuple[str, ...]", ()),
        Option("parts", "list[int]", [1]),
    ]


def test_types_that_cannot_be_looked_up_are_shown_as_they_are_written() -> None:
    @dataclass
    class Options:
        thing: Thing | None = field(default=None, metadata={"help": "A thing."})

    assert describe_options(Options) == [Option("thing", "Thing | None", None, "A thing.")]


def test_a_file_is_shown_as_a_package_is(trainer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rates.py").write_text(
        "from dataclasses import dataclass, field\n"
        "from typing import Literal\n"
        "from trainer_host import ExtensionSpec, hookimpl\n"
        "@dataclass(frozen=True)\nclass Options:\n"
        "  by: Literal['epoch', 'batch'] = field(default='epoch', metadata={'help': 'When it acts.'})\n"
        "class Hooks:\n  @hookimpl\n  def finish_setup(self, ctx): ...\n"
        "EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)\n"
    )
    shown = trainer("plugins", "show", "./rates.py").out.splitlines()
    assert shown == [
        "rates (extension)",
        f"  file     {tmp_path / 'rates.py'}",
        "  chain    none: an extension works with every task",
        "  hooks    finish_setup",
        "  options",
        "    rates.by=epoch  (one of epoch, batch)",
        "        When it acts.",
    ]
    reported = trainer("plugins", "show", "./rates.py", "--json").json
    expected = {
        "type": "Literal['epoch', 'batch']",
        "default": "epoch",
        "help": "When it acts.",
        "allowed": "epoch, batch",
    }
    assert reported["options"] == {"by": expected}
    assert trainer("plugins", "show", "./none.py").code == 5
