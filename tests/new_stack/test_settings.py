"""The one reader of settings."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from new_stack.settings import Settings, SettingsError


class Inner(Settings, frozen=True, kw_only=True):
    depth: int = 3


class Some(Settings, frozen=True, kw_only=True):
    PREFIX = "SOME_"
    NAMES: ClassVar = {"name": "PLAIN_NAME"}
    PARSERS: ClassVar = {"pair": lambda raw: (len(raw), len(raw))}
    ZERO_ALLOWED = frozenset({"spare"})

    name: str = "n"
    count: int = 1
    spare: int = 1
    share: float = 0.5
    loud: bool = False
    tags: tuple[str, ...] = ()
    pair: tuple[int, int] = (0, 0)
    inner: Inner = Inner()


def read(environment: dict[str, str], **options: Any) -> Some:
    return Some.from_environment(environment, options)


def test_options_beat_the_environment_and_that_beats_the_defaults() -> None:
    texts = {"COUNT": "3", "SHARE": "0.25", "LOUD": "Yes", "TAGS": "a, b,", "PAIR": "xx", "SPARE": ""}
    environment = {"PLAIN_NAME": "e", "SOME_NAME": "x"} | {f"SOME_{name}": text for name, text in texts.items()}
    assert read({}) == Some()
    assert read(environment) == Some(name="e", count=3, share=0.25, loud=True, tags=("a", "b"), pair=(2, 2))
    assert read(environment, name="o", count=None) == read(environment | {"PLAIN_NAME": "o"})


def test_settings_inside_settings_are_read_from_the_same_environment_and_options() -> None:
    assert read({"HUBGATE_DEPTH": "5"}).inner.depth == 5
    assert read({"HUBGATE_DEPTH": "5"}, depth=6).inner.depth == 6
    assert read({"HUBGATE_DEPTH": "5"}, inner=Inner(depth=7)).inner.depth == 7


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SOME_COUNT": "2.5"}, "SOME_COUNT must be a whole number, not '2.5'."),
        ({"SOME_SHARE": "half"}, "SOME_SHARE must be a number, not 'half'."),
        ({"SOME_LOUD": "maybe"}, "SOME_LOUD must be true or false, not 'maybe'."),
        ({"HUBGATE_DEPTH": "-1"}, "HUBGATE_DEPTH must be greater than 0, not -1."),
    ],
)
def test_a_text_of_the_wrong_type_is_told(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(environment)
    assert str(refused.value) == sentence


def test_numbers_are_greater_than_zero_unless_zero_is_allowed() -> None:
    Some(spare=0).check()
    for wrong in (Some(count=0), Some(share=-0.1), Some(share=float("nan"))):
        with pytest.raises(SettingsError, match="must be greater than 0"):
            wrong.check()
