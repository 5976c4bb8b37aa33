"""Settings as users give them, on the command line and in files; and data laid flat for tables."""

from __future__ import annotations

import math
import re
import string
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_host import SettingsError
from trainer_host.base.option_declaration import Door
from trainer_host.base.request import Request, from_command, from_file
from trainer_host.base.resolved_run import as_yaml
from trainer_host.base.run_options import declared
from trainer_host.base.settings import parse_pairs, parse_value
from trainer_host.session.prediction_tables import flatten

WORDS = st.text(string.ascii_letters + "/._-", min_size=1)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = (
    st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none() | WORDS
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3))


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(plain(v) for v in value)
    if isinstance(value, dict):
        return all(plain(k) and plain(v) for k, v in value.items())
    return type(value) in {str, int, float, bool, type(None)}


def read(text: str | bytes) -> Request:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exp.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return from_file(path)


# On the command line


@given(NUMBERS)
def test_numbers_are_read_as_python_writes_them(number: float) -> None:
    assert same(parse_value(repr(number)), number)


@pytest.mark.parametrize(("text", "number"), [("1e-3", 0.001), ("1E3", 1000.0), ("-.5", -0.5), ("007", "007")])
def test_other_ways_to_write_a_number(text: str, number: Any) -> None:
    assert same(parse_value(text), number)


@given(st.sampled_from(["true", "false", "none", "null"]), st.data())
def test_words_mean_the_same_in_any_case(word: str, data: st.DataObject) -> None:
    written = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in word)
    assert parse_value(written) is {"true": True, "false": False}.get(word)


@given(st.lists(NUMBERS | st.booleans() | st.text(), max_size=5))
def test_lists_are_read_as_python_writes_them(values: list[Any]) -> None:
    assert parse_value(repr(values)) == values


@given(st.from_regex(r"[A-Za-z/][A-Za-z0-9/._-]*\.(pt|yaml|jpg)", fullmatch=True))
def test_names_of_files_stay_text(text: str) -> None:
    assert parse_value(text) == text


@given(st.text())
def test_every_text_is_plain_data_or_itself(text: str) -> None:
    value = parse_value(text)
    assert value == text or plain(value)


@pytest.mark.parametrize(
    "text", ["{[]: 1}", "{{}}", "...", "b'x'", "1j", "{1, 2}", "(" * 500, "'\\d'", "0x1for x in y", "1" * 5000, "\0"]
)
def test_texts_that_python_stumbles_over_stay_text(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = parse_value(text)
    assert value == text or plain(value)


@given(st.lists(st.text(), max_size=6))
def test_any_words_are_settings_or_a_settings_error(words: list[str]) -> None:
    try:
        parse_pairs(tuple(words))
    except SettingsError as error:
        wrong = [w for w in words if not w.partition("=")[0].strip() or not w.partition("=")[2].strip()]
        assert len(error.problems) == len(wrong)
        assert len(str(error).splitlines()) == len(error.problems)


@given(st.sampled_from(["name", "project"]), st.from_regex(r"[0-9][0-9e._]*", fullmatch=True))
def test_the_folders_of_a_run_are_never_numbers(key: str, text: str) -> None:
    assert parse_pairs((f"{key}={text}",)) == {key: text}


def test_every_kind_of_word() -> None:
    words = ("task=pose", " epochs = 3", "cbam.gain=0.5", "./my.file.rate=1", "data=a=b.yaml", "classes=0,1")
    got = from_command("run", words, {})
    assert got.options.task == "pose"
    assert got.values == {"epochs": 3, "data": "a=b.yaml", "classes": (0, 1)}
    assert got.plugin_options == {"cbam": {"gain": 0.5}, "./my.file": {"rate": 1}}
    assert {one.origin for one in got.settings.values()} == {"command"}


def test_no_task_is_no_task() -> None:
    assert from_command("run", ("task=none",), {}).options.task is None


def test_all_words_that_are_wrong_are_reported() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_pairs(("epochs", "=3", "lr0=", "imgsz=64"))
    assert [str(p) for p in caught.value.problems] == [
        "'epochs' is not a setting. Fix: write key=value, such as epochs=10",
        "'=3' is not a setting. Fix: write key=value, such as epochs=10",
        "lr0= has no value. Fix: write lr0=VALUE",
    ]


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_pairs(("epochs=1", "imgsz=64", "epochs=1"))
    assert str(caught.value) == "epochs= is given twice: epochs=1 and epochs=1. Fix: remove one of the two"


# In files

HOST_KEYS = {"plugins", "record", *(name for name, one in declared("run").items() if Door.FILE in one.doors)}


@given(st.dictionaries(WORDS.filter(lambda k: "." not in k and k not in HOST_KEYS), VALUES))
def test_a_file_gives_what_it_holds(content: dict[str, Any]) -> None:
    def words_meant(value: Any, key: str) -> Any:
        quoted = yaml.safe_dump({key: value}).endswith(("'\n", '"\n'))
        return parse_value(value) if isinstance(value, str) and key not in {"name", "project"} and not quoted else value

    got = read(yaml.safe_dump(content) if content else "{}")
    if not {"train", "val"} <= content.keys():
        assert got.values == {k: words_meant(v, k) for k, v in content.items()}


@given(st.lists(st.from_regex(r"[a-z]+[0-9]?=[^\s'\"\\=#]+", fullmatch=True), max_size=5))
def test_a_file_says_the_same_as_the_command(words: list[str]) -> None:
    words = list({word.partition("=")[0]: word for word in words}.values())
    reported = from_command("run", words, {})
    task = {"task": reported.options.task} if reported.options.task else {}
    file = as_yaml({**task, **reported.values, "record": {"status": "done"}})
    reread = read(file)
    lists = {
        k: list(v) if isinstance(v, tuple) else v for k, v in reported.values.items() if k not in {"plugins", "record"}
    }
    if "plugins" not in reported.settings:
        assert (reread.options.task, {k: listed(v) for k, v in reread.values.items()}) == (
            reported.options.task,
            {k: listed(v) for k, v in lists.items()},
        )


def listed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [listed(v) for v in value]
    return {k: listed(v) for k, v in value.items()} if isinstance(value, dict) else value


@settings(max_examples=300)
@given(st.text() | st.binary() | st.text(alphabet="{}[]:,-!&*|>?'\"#%@ \n\tabc019.e"))
def test_any_file_is_settings_or_a_settings_error(content: str | bytes) -> None:
    try:
        read(content)
    except SettingsError as error:
        assert len(str(error).splitlines()) == len(error.problems)


@pytest.mark.parametrize(
    "value", ["2020-99-99", "!!int x", "!!bool x", "!!timestamp x", "!!float x", "!!int ''", "[" * 2000]
)
def test_values_that_yaml_cannot_make_are_settings_errors(value: str) -> None:
    with pytest.raises(SettingsError, match=r"exp\.yaml"):
        read(f"epochs: {value}\n")


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text("task: pose\ndata: [a, b\nepochs: 3\n")
    with pytest.raises(SettingsError) as caught:
        from_file(path)
    assert caught.value.problems[0].where == f"{path}:2"  # where the list that is not closed begins


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "text", "5"])
def test_a_file_must_be_a_mapping(content: str) -> None:
    with pytest.raises(SettingsError, match="the settings file is not a mapping"):
        read(content)


def test_a_dataset_is_distinguished_from_a_settings_file() -> None:
    with pytest.raises(SettingsError, match="this is a dataset"):
        read("train: images/train\nval: images/val\nnames: {0: x}\n")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"settings file .* not found"):
        from_file(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        from_file(tmp_path)


@pytest.mark.parametrize(
    ("written", "plugins", "options"),
    [
        ("[cbam, rates]", ["cbam", "rates"], {"cbam": {}, "rates": {}}),
        ("{cbam: {gain: 0.5}, rates: }", ["cbam", "rates"], {"cbam": {"gain": 0.5}, "rates": {}}),
        ("{./my.py: {gain: 0.5}}", ["./my.py"], {"my": {"gain": 0.5}}),
        ("", [], {}),
    ],
)
def test_plugins_are_a_list_or_a_mapping(written: str, plugins: list[str], options: dict[str, Any]) -> None:
    got = read(f"task: pose\nplugins: {written}\n")
    assert (got.options.task, list(got.options.plugins), got.plugin_options) == ("pose", plugins, options)


@pytest.mark.parametrize("written", ["cbam", "5", "[1, 2]", "{cbam: 0.5}"])
def test_plugins_are_nothing_else(written: str) -> None:
    with pytest.raises(SettingsError, match="plugins: is neither"):
        read(f"plugins: {written}\n")


@pytest.mark.parametrize("written", ["5", "[pose]", "{pose: 1}", "true"])
def test_a_task_is_a_name(written: str) -> None:
    (problem,) = read(f"task: {written}\n").problems
    assert re.search(r"exp\.yaml:1: task: .* is not a name\. Fix: write task: NAME$", str(problem))


def test_numbers_in_a_file() -> None:
    got = read("lr0: 1e-3\nmomentum: 9E-1\nepochs: 3\nname: '5'\nproject: 1e3\ncache: none\ncbam.gain: 2e-1\n")
    assert got.values == {"lr0": 0.001, "momentum": 0.9, "epochs": 3, "name": "5", "project": "1e3", "cache": None}
    assert got.plugin_options == {"cbam": {"gain": 0.2}}


def test_the_record_of_a_run_is_ignored() -> None:
    got = read("task: pose\nepochs: 3\nrecord: {status: done, epochs: 99}\n")
    assert (got.options.task, got.values) == ("pose", {"epochs": 3})


# Together


def test_what_stands_over_goes_before() -> None:
    over = Request.of("run", {"epochs": 1, "lr0": 2}, {"p": {"x": 1}}, task="a", plugins=["p"])
    below = {"p": {"x": 9, "y": 8}, "q": {"z": 7}}
    under = Request.of("run", {"epochs": 9, "batch": 8}, below, origin="file", task="b", plugins=["q", "p"])
    together = over.over(under)
    assert (together.options.task, together.options.plugins) == ("a", ("q", "p"))
    assert together.values == {"epochs": 1, "batch": 8, "lr0": 2}
    assert {key: one.origin for key, one in together.settings.items()} == {
        "epochs": "call",
        "batch": "file",
        "lr0": "call",
    }
    assert together.plugin_options == {"p": {"x": 1, "y": 8}, "q": {"z": 7}}
    assert under.plugin_options == below
    assert Request().over(under).options.task == "b"


def test_the_stronger_source_switches_plugins_on_and_off() -> None:
    file = Request.of("run", None, {"p": {"x": 1}}, plugins=["p", "q"], no_plugins=["r"])
    off = Request.of("run", no_plugins=["p"]).over(file)
    assert (off.options.plugins, off.options.no_plugins, off.plugin_options) == (("q",), ("r", "p"), {})
    on = Request.of("run", plugins=["r"]).over(file)
    assert (on.options.plugins, on.options.no_plugins) == (("p", "q", "r"), ())


@given(*[st.dictionaries(st.sampled_from("abcdef"), st.integers())] * 2)
def test_merging_keeps_every_setting(over: dict[str, int], under: dict[str, int]) -> None:
    together = Request.of("run", over, {"p": over}).over(Request.of("run", under, {"p": under}))
    assert together.values == together.plugin_options["p"] == {k: over.get(k, under.get(k)) for k in {*over, *under}}


# Tables

LEAVES = NUMBERS | st.booleans() | WORDS
NESTED = st.recursive(
    st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), LEAVES, max_size=4),
    lambda inner: st.dictionaries(
        st.from_regex(r"[a-z]+", fullmatch=True).filter(lambda k: k != "name"),
        LEAVES | inner | st.lists(LEAVES, max_size=4) | st.lists(inner, max_size=3),
        max_size=4,
    ),
)


def leaves(value: Any, within_list: bool = False) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() if not (within_list and k == "name") for leaf in leaves(v)]
    if isinstance(value, list):
        return [leaf for v in value for leaf in leaves(v, True)]
    return [value]


@given(NESTED)
def test_flat_data_keeps_every_leaf_and_nothing_nested(data: dict[str, Any]) -> None:
    flat = flatten(data)
    assert not any(isinstance(v, (dict, list)) for v in flat.values())
    assert sorted(map(repr, flat.values())) == sorted(map(repr, leaves(data)))


def test_entries_of_a_list_go_by_their_names() -> None:
    found = {"box": [1.0, 2.0], "points": [{"name": "nose", "x": 1}, {"x": 2}, {"name": "nose", "x": 3}]}
    assert flatten(found) == {
        "box.0": 1.0,
        "box.1": 2.0,
        "points.nose.x": 1,
        "points.1.x": 2,
        "points.nose.2.x": 3,
    }


def test_infinity_is_a_number() -> None:
    assert math.isinf(parse_value("1e999"))
