"""The window of engine releases: what is noticed of an engine that was never tested, and what users see of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.engines.engine_copy import engine_copy
from tests.engines.known_sources import known_sources, reimplementations
from tests.engines.reach import used_by_watched
from tests.engines.watch_list import WATCHED, WITHOUT_EFFECT, YAMLS
from tests.support.command import Done, command
from trainer_host.base.errors import EnvironmentProblemError
from trainer_host.engine.ultralytics import release_window
from trainer_host.engine.ultralytics.engine_settings import engine_folder
from trainer_host.engine.ultralytics.release_window import KNOWN_SOURCES, compare, engine_state, missing_name
from trainer_host.engine.ultralytics.source_hashes import bound_names, definitions
from trainer_host.version import ENGINE_WINDOW

KNOWN = json.loads(KNOWN_SOURCES.read_text(encoding="utf-8"))
NEWEST = KNOWN["releases"][-1]
WARMUP = ("engine/trainer.py", ("return round(warmup_epochs * num_batches)", "return int(warmup_epochs * num_batches)"))
SAVE = ("engine/trainer.py", ("def save_model(self):\n", "def save_model(self, again=False):\n"))
SIGMA = ("utils/metrics.py", ("OKS_SIGMA = (", "OKS_SIGMA = 1.0 * ("))
BOX = ("cfg/default.yaml", ("\nbox: 7.5", "\nbox: 7"))
LOSS = ("utils/loss.py", ("class v8PoseLoss(", "class v8PointLoss("))
GONE = ("nn/tasks.py", ("def yaml_model_load(path)", "def read_model_yaml(path)"))


# Hashes


def test_comments_layout_and_docstrings_do_not_count() -> None:
    plain = "def f(a, b=1):\n    return a + b\n"
    same = 'def f(\n    a,  # one\n    b=1,\n):\n    """Add."""\n    # both\n    return (a + b)\n'
    other = "def f(a, b=1):\n    return a - b\n"
    hashed = [definitions(source, ["f"])["f"] for source in (plain, same, other)]
    assert hashed[0] == hashed[1] != hashed[2]


def test_a_number_and_its_type_count() -> None:
    sources = ["x = 1", "x = 1.0", "x = True", "x = '1'", "x: int = 1", "x, y = 1, 2"]
    assert len({definitions(source, ["x"])["x"] for source in sources}) == len(sources)


def test_methods_have_hashes_and_a_class_has_one_for_the_rest() -> None:
    def of(source: str) -> dict[str, str]:
        return definitions(source, ["A"])

    before = of("class A(B):\n    x = 1\n    def f(self): return 1\n")
    assert before.keys() == {"A", "A.f"}
    changed_method = of("class A(B):\n    '''Doc.'''\n    x = 1\n    def f(self): return 2\n")
    assert changed_method["A"] == before["A"] and changed_method["A.f"] != before["A.f"]
    for source in (
        "class A(C):\n    x = 1\n    def f(self): return 1\n",
        "class A(B):\n    x = 2\n    def f(self): return 1\n",
        "class A(B):\n    x = 1\n    def f(self): return 1\n    def g(self): return 1\n",
    ):
        assert of(source)["A"] != before["A"] and of(source)["A.f"] == before["A.f"]


def test_names_are_found_wherever_a_module_binds_them() -> None:
    source = (
        "import a.b, c as d\nfrom e import f as g\ntry:\n    import h\nexcept ImportError:\n    h = i = None\n"
        "if x:\n    def j(): k = 1\nelse:\n    class l: m = 1\nn, (o, *p) = 1, (2, 3)\nq: int = 1\n"
    )
    assert bound_names(source) == set("adghijlnopq")


# The installed engine


def test_the_installed_engine_is_a_tested_one() -> None:
    state = engine_state()
    assert (state.status, state.as_data(), state.problem()) == ("tested", "tested", None)


def test_the_known_sources_are_those_of_the_installed_engine() -> None:
    """After a change of the watch-list, or of a name that is used: ``python -m tests.engines --write ...``."""
    release = engine_state().release
    column = KNOWN["releases"].index(release)
    now = known_sources({release: engine_folder()})
    assert now["names"] == KNOWN["names"]
    assert now["reimplemented"] == KNOWN["reimplemented"]
    assert now["files"].keys() == KNOWN["files"].keys()
    for file, hashed in KNOWN["watched"].items():
        of_release = {name: h if isinstance(h, str) else h[column] for name, h in hashed.items()}
        assert now["watched"][file] == {name: h for name, h in of_release.items() if h is not None}, file


def test_every_watched_name_exists() -> None:
    assert KNOWN["watched"].keys() == {*WATCHED, *YAMLS}
    for file, names in WATCHED.items():
        assert set(names.split()) <= KNOWN["watched"][file].keys(), file


def test_what_watched_definitions_use_is_watched_or_has_no_effect() -> None:
    """A new call in the engine asks for a decision: an entry in one of the two lists."""
    undecided = {
        f"{file}: {name}, used by {', '.join(sorted(users))}"
        for (file, name), users in used_by_watched().items()
        if name not in WITHOUT_EFFECT.get(file, "").split()
    }
    assert undecided == set()


def test_what_is_reimplemented_serves_every_tested_release() -> None:
    unknown = [
        f"{r.ours} re-implements {r.name}, whose source {hashed} it does not know"
        for r in reimplementations()
        for hashed in _set(KNOWN["watched"][r.file][r.name]) - r.hashes
    ]
    assert unknown == []


def test_the_window_begins_with_a_tested_release() -> None:
    assert ENGINE_WINDOW.startswith(f">={KNOWN['releases'][0]},")


def _set(hashed: str | list[str]) -> set[str]:
    return {hashed} if isinstance(hashed, str) else set(hashed)


# Others


def test_an_untested_release_with_the_same_source_is_silent(tmp_path: Path) -> None:
    edits = {"engine/trainer.py": ("# Warmup", "# Warm-up\n"), "utils/plotting.py": ("def ", "def _new(): ...\ndef ")}
    state = compare(engine_copy(tmp_path, edits))
    assert (state.release, state.as_data(), state.problem()) == ("8.4.191", f"same source as {NEWEST}", None)


@pytest.mark.parametrize(
    ("file", "edit", "reported"),
    [
        (*WARMUP, "BaseTrainer._get_warmup_iterations"),
        (*SIGMA, "OKS_SIGMA"),
        (
            "models/yolo/pose/train.py",
            ("    def get_model(", "    def x(self): ...\n\n    def get_model("),
            "PoseTrainer",
        ),
        (*BOX, "box of cfg/default.yaml"),
        (*LOSS, "v8PoseLoss"),
    ],
)
def test_a_change_is_named(tmp_path: Path, file: str, edit: tuple[str, str], reported: str) -> None:
    state = compare(engine_copy(tmp_path, {file: edit}))
    assert (state.status, state.nearest, state.missing) == ("changed", NEWEST, ())
    assert reported in state.changed
    assert f"ultralytics 8.4.191 is untested: {state.changed[0]}" in str(state.problem())
    verb = "differs" if len(state.changed) == 1 else "differ"
    assert str(state.problem()).endswith(
        f'{verb} from {NEWEST}, so results may differ. Fix: pip install "ultralytics=={NEWEST}"'
    )


def test_a_changed_copy_of_a_tested_release_is_noticed(tmp_path: Path) -> None:
    state = compare(engine_copy(tmp_path, dict([WARMUP]), NEWEST))
    assert f"ultralytics {NEWEST} is modified: BaseTrainer._get_warmup_iterations" in str(state.problem())


def test_a_changed_reimplemented_method_has_its_own_sentence(tmp_path: Path) -> None:
    state = compare(engine_copy(tmp_path, dict([SAVE])))
    assert (state.changed, state.bypassed) == ((), ("BaseTrainer.save_model",))
    reported = f"the host re-implements BaseTrainer.save_model as in {NEWEST}, without the changes."
    assert reported in str(state.problem())


def test_many_changes_are_counted(tmp_path: Path) -> None:
    state = compare(engine_copy(tmp_path, dict([WARMUP, SIGMA, BOX, LOSS])))
    assert len(state.changed) > 3
    assert f" and {len(state.changed) - 3} more differ from" in str(state.problem())


def test_a_missing_name_and_a_missing_module_are_reported(tmp_path: Path) -> None:
    package = engine_copy(tmp_path, {GONE[0]: GONE[1], "utils/patches.py": ("def imread", "def read_image")})
    (package / "utils" / "instance.py").unlink()
    state = compare(package)
    names = ("nn.tasks.yaml_model_load", "utils.instance.Instances", "utils.patches.imread")
    assert (state.status, state.missing) == ("missing names", tuple(f"ultralytics.{name}" for name in names))


def test_a_name_that_is_missed_later_is_reported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fractions import Fraction

    class Gone:
        """A class of the engine."""

    Gone.__module__ = "ultralytics.engine.trainer"
    errors: list[AttributeError | ImportError]
    errors = [AttributeError("x", name="x", obj=owner) for owner in (Gone, Gone(), ModuleType("ultralytics.x"))]
    errors.append(ImportError("x", name="ultralytics.nn.x"))
    assert [missing_name(e) for e in errors] == [None] * 4  # with a tested release it is a bug
    package = engine_copy(tmp_path, dict([WARMUP]))
    monkeypatch.setattr(release_window, "engine_folder", lambda: package)
    assert [type(missing_name(e)) for e in errors] == [EnvironmentProblemError] * 4
    others = [AttributeError("x", name="x", obj=Fraction), AttributeError("x"), ImportError("x", name="other")]
    assert [missing_name(e) for e in others] == [None] * 3


# What users see


def dry_run(tmp_path: Path, edits: dict[str, tuple[str, str]], *words: str) -> Done:
    engine_copy(tmp_path / "engine", edits)
    given = ("run", "--task", "detect", "--dry-run", "model=yolo11n.yaml", *words)
    return command(*given, cwd=tmp_path, path=[tmp_path / "engine"])


def test_a_run_warns_once(tmp_path: Path) -> None:
    done = dry_run(tmp_path, dict([WARMUP]))
    assert done.code == 0, done.err
    assert done.err.count("ultralytics 8.4.191 is untested: BaseTrainer._get_warmup_iterations differ") == 1


def test_an_exact_run_is_refused(tmp_path: Path) -> None:
    done = dry_run(tmp_path, dict([SAVE]), "--exact")
    reported = f"the host re-implements BaseTrainer.save_model as in {NEWEST}, without the changes."
    reported = f"--exact is refused: ultralytics 8.4.191 is untested: {reported}"
    assert (done.code, done.problems) == (3, [f'{reported} Fix: pip install "ultralytics=={NEWEST}"'])


def test_a_missing_name_is_one_line(tmp_path: Path) -> None:
    done = dry_run(tmp_path, dict([GONE]), "--json")
    reported = "ultralytics 8.4.191 lacks ultralytics.nn.tasks.yaml_model_load, needed by trainer-host."
    assert (done.code, done.problems) == (3, [f'{reported} Fix: pip install "ultralytics=={NEWEST}"'])
    assert (done.json["error"], done.json["problems"][0]["message"]) == ("EnvironmentProblemError", reported)
    assert "Traceback" not in done.err


def test_the_state_is_known_without_importing_the_engine() -> None:
    code = (
        "import sys\nfrom trainer_host.engine.ultralytics.release_window import engine_state\n"
        "assert engine_state().status == 'tested'\nassert not {'torch', 'ultralytics', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
