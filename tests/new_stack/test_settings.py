"""The one reader of settings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from new_stack.settings import SettingsError, check_numbers, read_settings


class Some(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "n"
    count: int = 1
    share: float = 0.5
    loud: bool = False
    tags: tuple[str, ...] = ()
    inner: tuple[int, int] = (0, 0)


def read(environment: dict[str, str], **options: Any) -> Some:
    return read_settings(
        Some, environment, options, name_of=str.upper, parsers={"inner": lambda raw: (len(raw), len(raw))}
    )


def test_options_beat_the_environment_and_that_beats_the_defaults() -> None:
    environment = {"NAME": "e", "COUNT": "3", "SHARE": "0.25", "LOUD": "Yes", "TAGS": "a, b,", "INNER": "xx"}
    assert read({}) == Some()
    assert read(environment) == Some(name="e", count=3, share=0.25, loud=True, tags=("a", "b"), inner=(2, 2))
    assert read(environment, name="o", count=None) == read(environment | {"NAME": "o"})


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"COUNT": "2.5"}, "COUNT must be a whole number, not '2.5'."),
        ({"SHARE": "half"}, "SHARE must be a number, not 'half'."),
        ({"LOUD": "maybe"}, "LOUD must be true or false, not 'maybe'."),
    ],
)
def test_a_text_of_the_wrong_type_is_told(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(environment)
    assert str(refused.value) == sentence


def test_numbers_are_greater_than_zero_unless_zero_is_allowed() -> None:
    check_numbers(Some(), name_of=str.upper)
    check_numbers(Some(count=0), name_of=str.upper, zero_allowed=frozenset({"count"}))
    for wrong in (Some(count=0), Some(share=-0.1), Some(share=float("nan"))):
        with pytest.raises(SettingsError, match="must be greater than 0"):
            check_numbers(wrong, name_of=str.upper)
