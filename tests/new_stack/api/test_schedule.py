"""The schedule of brown-outs, in cron's words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.api.retirement.schedule import Schedule


def after(text: str, moment: str) -> str:
    found = Schedule.parse(text).next_after(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    assert found is not None
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("text", "moment", "then"),
    [
        ("* * * * *", "2026-11-30T10:00:00", "2026-11-30T10:01"),
        ("0 10 * * *", "2026-11-30T10:00:00", "2026-12-01T10:00"),
        ("*/15 9-17 * * 1-5", "2026-11-27T17:45:00", "2026-11-30T09:00"),
        ("30 6,18 1 * *", "2026-11-30T00:00:00", "2026-12-01T06:30"),
        ("0 0 13 * 5", "2026-11-30T00:00:00", "2026-12-04T00:00"),
        ("0 0 * * 7", "2026-11-30T00:00:00", "2026-12-06T00:00"),
        ("0 0 29 2 *", "2026-11-30T00:00:00", "2028-02-29T00:00"),
        ("10/20 * * * *", "2026-11-30T10:31:00", "2026-11-30T10:50"),
    ],
)
def test_the_next_time(text: str, moment: str, then: str) -> None:
    assert after(text, moment) == then


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "5-1 * * * *", "a * * * *", "*/0 * * * *"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|five"):
        Schedule.parse(text)


def test_a_day_that_never_comes_is_no_time() -> None:
    assert Schedule.parse("0 0 31 2 *").next_after(0) is None


@given(st.integers(0, 59), st.integers(0, 23), st.floats(0, 4e9))
def test_it_comes_within_a_day_at_that_minute(minute: int, hour: int, at: float) -> None:
    found = Schedule.parse(f"{minute} {hour} * * *").next_after(at)
    assert found is not None
    assert at < found <= at + 86_400
    when = datetime.fromtimestamp(found, UTC)
    assert (when.minute, when.hour, when.second) == (minute, hour, 0)
