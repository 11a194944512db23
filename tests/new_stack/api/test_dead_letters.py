"""Dead letters: failed jobs are listed by reason, and retried or dropped in bulk, with a dry run first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from hubgate.cli import cli
from new_stack.queue import Claimant, Failed, InvalidTransition, JobNotFound, dead_letters
from new_stack.queue.dead_letters import normalised

from .conftest import Api


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("timed out after 30.5 s", "timed out after N s"),
        ("no model 3f2a9c1e-0000-4000-8000-1234567890ab", "no model …"),
        ("shard deadbeef01 is away\nTraceback", "shard … is away"),
        ("HTTP 503 from shard 7", "HTTP 503 from shard N"),
        ("HTTP/1.1 404 for job 7", "HTTP/1.1 404 for job N"),
        ("HTTP Error 502: Bad Gateway after 3 tries", "HTTP Error 502: Bad Gateway after N tries"),
        ("answered with status code 429 after 12 ms", "answered with status code 429 after N ms"),
        ("status=500, try 3", "status=500, try N"),
        ("ffmpeg: exit code -9 on frame 1234", "ffmpeg: exit code -9 on frame N"),
        ("[Errno 111] no answer from port 8188", "[Errno 111] no answer from port N"),
        ("no answer from http://10.0.0.7:8188", "no answer from http://N.N:N"),
        ("order code 20261130 is unknown", "order code … is unknown"),
        ("barcode 1234 is unknown", "barcode N is unknown"),
        ("status: 42 % of 1.5 GB", "status: N % of N GB"),
        ("", "no reason given"),
        (None, "no reason given"),
    ],
)
def test_errors_of_one_kind_have_one_reason(error: str | None, reason: str) -> None:
    assert normalised(error) == reason


async def fail(api: Api, service: str, error: str) -> str:
    job_id = await api.submit(service_required=service, max_retries=0)
    [lease] = await api.queue.claim(Claimant(worker_id="w", services=(service,)))
    await api.queue.end(Failed(lease=lease, error=error))
    return job_id


async def bulk(api: Api, **body: Any) -> Any:
    return await api.post("/api/jobs/bulk", body, 200)


async def run(api: Api, *options: str) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["failures", "--target", api.base, *options])
    assert done.exit_code == 0, done.output
    return done.output


async def test_failed_jobs_are_listed_by_service_and_reason(api: Api) -> None:
    first, second = await fail(api, "draw", "timed out after 5 s"), await fail(api, "draw", "timed out after 7 s")
    cut = await fail(api, "cut", "no disk")
    found = await api.get("/api/failures")
    assert [(group["service"], group["reason"], group["count"]) for group in found["groups"]] == [
        ("draw", "timed out after N s", 2),
        ("cut", "no disk", 1),
    ]
    assert set(found["groups"][0]["examples"]) == {first, second}
    assert (found["looked_at"], found["more"]) == (3, False)
    assert [group["examples"] for group in (await api.get("/api/failures?service=cut"))["groups"]] == [[cut]]


async def test_only_the_newest_are_grouped_where_there_are_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    monkeypatch.setattr(dead_letters, "GROUPED", 3)
    jobs = [await fail(api, "draw", f"no disk {number}") for number in range(6)]
    found = await api.get("/api/failures")
    assert [(group["count"], group["examples"]) for group in found["groups"]] == [(4, jobs[:2:-1])]
    assert (found["looked_at"], found["more"]) == (4, True)
    assert (await run(api)).splitlines() == [
        "      4  draw: no disk N",
        "Failed jobs older than the newest 4 are not counted.",
    ]
    monkeypatch.setattr(dead_letters, "LOOKED_AT", 3)
    assert (await run(api, "--drop")).splitlines() == ["At least 4 jobs are meant; --yes does it."]
    assert (await run(api, "--drop", "--yes")).splitlines() == ["4 jobs: done.", "There may be more: do it again."]
    monkeypatch.setattr(dead_letters, "LOOKED_AT", 100)
    assert (await bulk(api, action="retry", dry_run=False))["changed"] == 2


async def test_a_filter_says_which_are_retried_and_a_dry_run_changes_nothing(api: Api) -> None:
    meant = [await fail(api, "draw", f"timed out after {number} s") for number in range(3)]
    other = await fail(api, "draw", "no disk")
    wanted = {"service": "draw", "reason": "timed out after N s"}
    dry = await bulk(api, action="retry", filter=wanted)
    assert (dry["dry_run"], dry["matched"], dry["changed"], set(dry["job_ids"])) == (True, 3, 0, set(meant))
    assert (await api.queue.counts()).failed == 4
    done = await bulk(api, action="retry", filter=wanted, dry_run=False)
    assert (done["matched"], done["changed"], done["more"]) == (3, 3, False)
    states = [(await api.get(f"/api/jobs/{job_id}"))["status"] for job_id in [*meant, other]]
    assert states == ["pending"] * 3 + ["failed"]


async def test_dropped_jobs_are_gone_and_only_so_many_as_the_limit_says(api: Api) -> None:
    for _ in range(3):
        await fail(api, "draw", "no disk")
    done = await bulk(api, action="drop", dry_run=False, limit=2)
    assert (done["changed"], done["more"]) == (2, True)
    counts = await api.queue.counts()
    assert (counts.failed, counts.pending) == (1, 0)
    for job_id in done["job_ids"]:
        await api.get(f"/api/jobs/{job_id}", 404)


async def test_a_job_that_has_not_ended_is_never_dropped(api: Api) -> None:
    job_id = await api.submit()
    with pytest.raises(InvalidTransition):
        await api.queue.drop(job_id)
    with pytest.raises(JobNotFound):
        await api.queue.drop("nobody")
    await api.get(f"/api/jobs/{job_id}")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"action": "burn"}, "action"), ({"action": "drop", "filter": {"colour": "red"}}, "filter"), ({}, "action")],
)
async def test_a_request_that_makes_no_sense_is_refused_with_its_field(api: Api, body: Any, field: str) -> None:
    assert field in str(await api.post("/api/jobs/bulk", body, 422))


async def test_the_command_lists_and_acts_only_when_told_yes(api: Api) -> None:
    await fail(api, "draw", "no disk")

    assert "1  draw: no disk" in await run(api)
    assert "1 jobs are meant" in await run(api, "--reason", "no disk", "--drop")
    assert "1 jobs: done" in await run(api, "--reason", "no disk", "--drop", "--yes")
    assert "No job has failed" in await run(api)
