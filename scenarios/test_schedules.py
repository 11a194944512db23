"""Brown-outs come when their schedule says, in cron's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from harness.testing import until
from scenarios.stacks import ours

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

SCHEDULES: Final[list[tuple[str, Callable[[datetime], bool]]]] = [
    ("*/7 * * * *", lambda at: at.minute % 7 == 0),
    ("3-9/3,59 */5 * * *", lambda at: at.minute in {3, 6, 9, 59} and at.hour % 5 == 0),
    ("30 4 1,15 * *", lambda at: (at.minute, at.hour) == (30, 4) and at.day in {1, 15}),
    ("0 12 * * 0", lambda at: (at.minute, at.hour, at.isoweekday()) == (0, 12, 7)),
    ("0 12 * * 7", lambda at: (at.minute, at.hour, at.isoweekday()) == (0, 12, 7)),
    ("15 0 * * 1-5", lambda at: (at.minute, at.hour) == (15, 0) and at.isoweekday() <= 5),
    ("0 0 13 * 5", lambda at: (at.minute, at.hour) == (0, 0) and (at.day == 13 or at.isoweekday() == 5)),
    ("59 23 31 12 *", lambda at: (at.minute, at.hour, at.day, at.month) == (59, 23, 31, 12)),
]
"""A schedule, and the same as a condition on a minute."""


def next_minute(holds: Callable[[datetime], bool]) -> int:
    """The first minute from now on for which it holds, in ms since the epoch."""
    at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not holds(at):
        at += timedelta(minutes=1)
    return int(at.timestamp() * 1000)


async def test_the_next_brown_out_is_the_next_minute_that_its_schedule_means(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = tmp_path / "deprecation.toml"
    path.write_text("")
    settings = {"hubgate_deprecation_file": path}
    with ours(request, "a configuration that it can change").stack("schedules", settings=settings) as stack:
        async with stack.http() as http:
            for schedule, holds in SCHEDULES:
                beside = path.with_suffix(".new")
                beside.write_text(f'[[brown_out]]\nschedule = "{schedule}"\nminutes = 1\n')
                beside.replace(path)

                async def announced(holds: Callable[[datetime], bool] = holds) -> bool:
                    state: dict[str, Any] = (await http.get("/api/usage")).json()["state"]
                    return bool(state["next_brown_out_at"] == next_minute(holds))

                await until(announced, 15, f"the next brown-out by {schedule}")
