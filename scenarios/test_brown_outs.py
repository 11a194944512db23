"""Brown-outs come when their schedule says, in cron's words, and spare whose jobs are in flight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from harness.testing import Server, until
from scenarios.stacks import ours, script, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

SCHEDULES: Final[list[tuple[str, Callable[[datetime], bool]]]] = [
    ("*/7 * * * *", lambda at: at.minute % 7 == 0),
    ("3-9/3,59 */5 * * *", lambda at: at.minute in {3, 6, 9, 59} and at.hour % 5 == 0),
    ("30 4 1,15 * *", lambda at: (at.minute, at.hour) == (30, 4) and at.day in {1, 15}),
    ("0 12 * * 0", lambda at: (at.minute, at.hour, at.isoweekday()) == (0, 12, 7)),
    ("15 0 * * 1-5", lambda at: (at.minute, at.hour) == (15, 0) and at.isoweekday() <= 5),
    ("0 12 * * 7", lambda at: (at.minute, at.hour, at.isoweekday()) == (0, 12, 7)),
    ("0 0 13 * 5", lambda at: (at.minute, at.hour) == (0, 0) and (at.day == 13 or at.isoweekday() == 5)),
    ("59 23 31 12 *", lambda at: (at.minute, at.hour, at.day, at.month) == (59, 23, 31, 12)),
]
"""A schedule, and the same as a condition on a minute: no two neighbours mean the same one."""


def next_minute(holds: Callable[[datetime], bool]) -> int:
    """The first minute from now on for which it holds, in ms since the epoch."""
    at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not holds(at):
        at += timedelta(minutes=1)
    return int(at.timestamp() * 1000)


def say(path: Path, schedule: str, minutes: int) -> None:
    """Put a brown-out into the file at once, as an operator does."""
    beside = path.with_suffix(".new")
    beside.write_text(f'[[brown_out]]\nschedule = "{schedule}"\nminutes = {minutes}\n')
    beside.replace(path)


async def test_the_next_brown_out_is_the_next_minute_that_its_schedule_means(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = tmp_path / "deprecation.toml"
    path.write_text("")
    settings = {"hubgate_deprecation_file": path}
    with ours(request, "a configuration that it can change").stack("schedules", settings=settings) as stack:
        async with stack.http() as http:
            for schedule, holds in SCHEDULES:
                say(path, schedule, 1)

                async def announced(holds: Callable[[datetime], bool] = holds) -> bool:
                    state: dict[str, Any] = (await http.get("/api/usage")).json()["state"]
                    return bool(state["next_brown_out_at"] == next_minute(holds))

                await until(announced, 15, f"the next brown-out by {schedule}")


async def is_refused(server: Server, name: str) -> bool:
    """Whether a connection under that name is told that it is not served."""
    client = server.legacy(name)
    await client.open()
    first = await client.wait_for(lambda _: True, "a first word")
    await client.close()
    return bool(first["type"] == "error")


async def test_a_server_that_starts_in_a_brown_out_knows_whose_jobs_are_in_flight(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = tmp_path / "deprecation.toml"
    path.write_text("")
    jobs: list[dict[str, Any]] = [
        {"client_id": "ends", "payload": script(50)},
        {"client_id": "runs", "payload": script(50, wait(60_000))},
        {"client_id": "waits", "service_required": "nobody"},
        {"client_id": "comes-later", "not_before": 2**41},
    ]
    settings = {"hubgate_deprecation_file": path}
    with ours(request, "a configuration that it can change").stack("late", settings=settings, workers=1) as stack:
        async with stack.http() as http:
            for job in jobs:
                await http.post("/api/jobs", json={"service_required": stack.service, "id": job["client_id"]} | job)

            async def one_runs() -> bool:
                counts = (await http.get("/api/stats")).json()["queue"]
                return bool((counts["completed"], counts["claimed"], counts["pending"]) == (1, 1, 2))

            await until(one_runs, 15, "a job in each state")
            say(path, "* * * * *", 5)
            late = await stack.another_api()
            for name in ("somebody", "ends"):

                async def refused(name: str = name) -> bool:
                    return await is_refused(late, name)

                await until(refused, 15, f"the refusal of {name}")
            assert [await is_refused(late, name) for name in ("runs", "waits", "comes-later")] == [False, False, False]
