"""The page of the engine's settings says what the commands do."""

from __future__ import annotations

from tests.docs.settings import PAGE, page
from trainer_host.engine.ultralytics.engine_settings import engine_keys
from trainer_host.engine.ultralytics.setting_effects import _USED, COMMANDS, effect_of, kinds_of_task


def test_the_page_of_settings_is_that_of_the_sources() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs.settings"


def test_every_setting_of_the_engine_is_described_and_no_other() -> None:
    described = {key for keys in _USED.values() for key in keys.split()}
    assert described | {key for key in engine_keys() if kinds_of_task(key)} == engine_keys()


def test_a_setting_without_an_effect_has_a_reason() -> None:
    effects = [effect_of(key, command, "obb") for key in engine_keys() for command in COMMANDS]
    assert all(effect.why for effect in effects if effect.kind != "used")
