"""Phase 2A, 2: new clients submit by HTTP and follow by server-sent events, with no gap and no double."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from harness.clients import ModernClient, Refused, StreamEvent
from harness.testing import Server, fresh
from scenarios.received_facts import facts_by_events, kinds, progress_of, reached, story
from scenarios.stacks import OwnStack, Payload, fail, script, service_for, wait

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast]

ANSWER_S = 5.0
MORE_THAN_AT_ONCE = 10
"""Few large results are on their way at once: each has to make room for the next."""
ERROR = "model 'sd-xl' not found on any worker"


async def test_a_submission_is_answered_with_where_the_job_is(stack: Server) -> None:
    job_id, payload = fresh("job"), script(50, result="found")
    async with stack.http() as http:
        body = {"service_required": stack.service, "payload": payload, "priority": 3, "id": job_id}
        answer = await http.post("/api/jobs", json=body)
        assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/jobs/{job_id}")
        stored = (await http.get(answer.headers["Location"])).json()
        assert (stored["job_id"], stored["service_required"], stored["priority"]) == (job_id, stack.service, 3)
        assert stored["payload"] == payload


async def test_a_result_can_be_read_after_the_job_is_done(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(result={"images": ["a.png", "b.png"], "seed": 7}))
        events = await client.follow_to_end(job_id)
        assert events[-1].data["result"] == {"images": ["a.png", "b.png"], "seed": 7}
        stored = await client.job(job_id)
        assert (stored["status"], stored["result"]) == ("completed", {"images": ["a.png", "b.png"], "seed": 7})


async def test_a_large_result_arrives_whole(stack: Server) -> None:
    result = {"image": "QUJD" * 50_000}
    async with stack.modern() as client:
        job_id = await client.submit(script(result=result))
        for _ in range(MORE_THAN_AT_ONCE):
            assert (await client.follow_to_end(job_id))[-1].data["result"] == result
        assert (await client.job(job_id))["result"] == result


async def test_a_worker_runs_what_was_submitted_and_nothing_else(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(3, 33, 93, result="mine"))
        events = await client.follow_to_end(job_id)
        assert progress_of(facts_by_events(events)) == [3, 33, 93]
        assert events[-1].data["result"] == "mine"


async def test_a_late_subscriber_hears_the_job_from_its_beginning(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(20, wait(100), 80, result="done"))
        live = await client.follow_to_end(job_id)
        assert story(live) == "submitted claimed progress progress completed"
        late = await client.follow_to_end(job_id)
        assert [(told.id, told.data) for told in late] == [(told.id, told.data) for told in live]


async def test_a_subscriber_that_comes_in_the_middle_hears_all_of_it_once(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(*range(1, 6), wait(300), *range(6, 11), result="done"))
        whole = asyncio.create_task(client.follow_to_end(job_id))
        async with aclosing(client.follow(job_id)) as stream:
            async for told in stream:
                if told.data.get("progress") == 5:
                    break
        middle = await client.follow_to_end(job_id)
        assert progress_of(facts_by_events(middle)) == list(range(1, 11))
        assert [told.id for told in middle] == [told.id for told in await whole]


async def finished(client: ModernClient) -> tuple[str, list[StreamEvent]]:
    job_id = await client.submit(script(10, 30, 50, 70, 90, result="done"))
    return job_id, await client.follow_to_end(job_id)


async def test_every_event_has_an_id_of_its_own_in_order(stack: Server) -> None:
    async with stack.modern() as client:
        _, events = await finished(client)
        places = [tuple(int(part) for part in told.id.split("-")) for told in events]
        assert len(set(places)) == len(events) == 8
        assert places == sorted(places)


async def test_a_stream_is_resumed_with_no_gap_and_no_double_wherever_it_was_cut(stack: Server) -> None:
    async with stack.modern() as client:
        job_id, events = await finished(client)
        for place, last in enumerate(events):
            rest = [told async for told in client.follow(job_id, last_event_id=last.id)]
            assert [told.id for told in rest] == [told.id for told in events[place + 1 :]], f"cut after {last.kind}"


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_a_running_jobs_stream_is_resumed_with_no_gap_and_no_double(stack: Server, after: int) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(*[step for n in range(1, 9) for step in (wait(20), n)], result="done"))
        heard = await client.follow_to_end(job_id, cut_after=after)
        assert kinds(heard) == ["submitted", "claimed", *["progress"] * 8, "completed"]
        assert progress_of(facts_by_events(heard)) == list(range(1, 9))


@pytest.mark.parametrize(("cursor", "reason"), [("1-1", "unknown"), ("last tuesday", "malformed")])
async def test_a_cursor_that_never_was_gets_a_gap_and_then_what_there_is(
    stack: Server, cursor: str, reason: str
) -> None:
    async with stack.modern() as client:
        job_id, events = await finished(client)
        told = [told async for told in client.follow(job_id, last_event_id=cursor)]
        assert (told[0].kind, told[0].data["reason"]) == ("gap", reason)
        assert [each.id for each in told[1:]] == [each.id for each in events]


async def test_a_cursor_that_was_trimmed_away_gets_a_gap_and_then_what_there_is(isolated_stack: OwnStack) -> None:
    async with isolated_stack.modern() as client:
        job_id = await client.submit(script(*[n / 4 for n in range(300)], result="done"))
        submitted = await reached(client, job_id, "submitted")
        await isolated_stack.worker(hubgate_progress_stream_length=20)
        await client.follow_to_end(job_id)
        told = [told async for told in client.follow(job_id, last_event_id=submitted.id)]
        assert (told[0].kind, told[0].data["reason"]) == ("gap", "trimmed")
        assert told[0].data["oldest"] == told[1].id
        assert 20 <= len(told) < 300
        steps = progress_of(facts_by_events(told))
        assert steps == [n / 4 for n in range(300 - len(steps), 300)], "what is left has no hole"
        assert told[-1].kind == "completed"


async def test_whoever_has_heard_the_ending_is_told_that_there_is_no_more(stack: Server) -> None:
    async with stack.modern() as client, stack.http() as http:
        job_id, events = await finished(client)
        answer = await http.get(f"/api/jobs/{job_id}/progress", headers={"Last-Event-ID": events[-1].id})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_an_unknown_job_is_not_found_and_never_silence(stack: Server) -> None:
    async with stack.modern() as client, asyncio.timeout(ANSWER_S):
        with pytest.raises(Refused) as refused:
            await client.follow_to_end("no-such-job")
        assert refused.value.status == 404
        with pytest.raises(Refused) as refused:
            await client.job("no-such-job")
        assert refused.value.status == 404


async def test_a_pending_and_a_running_job_are_cancelled_with_their_reason(isolated_stack: OwnStack) -> None:
    async with isolated_stack.modern() as client:
        running = await client.submit(script(5, wait(60_000)))
        pending = await client.submit(script(5))
        assert (await client.cancel(pending, "changed my mind"))["status"] == "cancelled"
        await isolated_stack.worker()
        async with aclosing(client.follow(running)) as stream:
            async for told in stream:
                if told.kind == "progress":
                    assert (await client.cancel(running))["status"] == "cancelled"
        assert told.kind == "cancelled"
        assert story(await client.follow_to_end(pending)) == "submitted cancelled"
        assert (await client.job(pending))["cancel_reason"] == "changed my mind"
        following = await client.submit(script(100))
        assert kinds(await client.follow_to_end(following))[-1] == "completed"


async def test_a_job_that_has_ended_cannot_be_cancelled(stack: Server) -> None:
    async with stack.modern() as client:
        job_id, _ = await finished(client)
        with pytest.raises(Refused) as refused:
            await client.cancel(job_id)
        assert refused.value.status == 409
        assert (await client.job(job_id))["status"] == "completed"


async def test_a_failure_is_told_as_final_only_when_it_is(stack: Server) -> None:
    async with stack.modern() as client:
        large = {"image": "QUJD" * 1_000}
        job_id = await client.submit(script(fail(ERROR, attempts=1), result="second time") | large)
        events = await client.follow_to_end(job_id)
        assert story(events) == "submitted claimed attempt_failed claimed completed"
        assert events[2].data["error"] == ERROR
        ended = await client.job(job_id)
        assert (ended["result"], ended["error"]) == ("second time", None), "its error is of an attempt that is past"


async def test_a_failed_job_is_retried_by_hand(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(fail(ERROR)), max_retries=0)
        events = await client.follow_to_end(job_id)
        assert (story(events), events[-1].data["error"]) == ("submitted claimed failed", ERROR)
        assert (await client.job(job_id))["error"] == ERROR
        assert (await client.retry(job_id))["attempt"] == 1
        rest = await resumed_to_the_end(client, job_id, events[-1].id)
        assert story(rest) == "retried claimed failed"
        assert (await client.job(job_id))["attempt"] == 2


async def resumed_to_the_end(client: ModernClient, job_id: str, last: str) -> list[StreamEvent]:
    return [told async for told in client.follow(job_id, last_event_id=last)]


async def test_a_result_that_says_success_false_is_a_failure(stack: Server) -> None:
    async with stack.modern() as client:
        job_id = await client.submit(script(40, result={"success": False, "error": "no memory left"}), max_retries=1)
        events = await client.follow_to_end(job_id)
        assert story(events) == "submitted claimed progress attempt_failed claimed progress failed"
        assert {told.data["error"] for told in events if "failed" in told.kind} == {"no memory left"}


async def submit_many(http: httpx.AsyncClient, jobs: list[Payload]) -> list[str]:
    answer = await http.post("/api/jobs", json=jobs)
    assert answer.status_code == 200, answer.text
    assert [item["status"] for item in answer.json()] == [201] * len(jobs)
    return [item["job"]["job_id"] for item in answer.json()]


async def pages(http: httpx.AsyncClient, **query: Any) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    for _ in range(100):
        more = {"cursor": cursor} if cursor else {}
        page = (await http.get("/api/jobs", params=query | more)).raise_for_status().json()
        found += [job["job_id"] for job in page["jobs"]]
        cursor = page["cursor"]
        if cursor is None:
            return found
    raise AssertionError(f"a listing of so few jobs has over 100 pages: {found}")


async def test_a_listing_is_filtered_over_all_its_pages(isolated_stack: OwnStack) -> None:
    async with isolated_stack.http() as http, isolated_stack.modern() as client:
        services = ["upscale" if n % 5 == 0 else "other" for n in range(40)]
        ids = await submit_many(http, [{"service_required": service, "payload": {}} for service in services])
        wanted = [job_id for job_id, service in zip(ids, services, strict=True) if service == "upscale"]
        assert await pages(http, service="upscale", limit=3) == wanted[::-1]
        assert await pages(http, limit=7) == ids[::-1]
        for job_id in wanted[:2]:
            await client.cancel(job_id)
        assert await pages(http, service="upscale", status="pending", limit=2) == wanted[:1:-1]
        assert await pages(http, status="cancelled", limit=1) == wanted[1::-1]


async def test_a_repeated_submission_is_the_same_job_and_another_content_a_conflict(stack: Server) -> None:
    job = {"service_required": stack.service, "payload": script(50, result="once"), "id": fresh("job")}
    async with stack.http() as http, stack.modern() as client:
        assert (await http.post("/api/jobs", json=job)).status_code == 201
        events = await client.follow_to_end(str(job["id"]))
        again = await http.post("/api/jobs", json=job)
        assert (again.status_code, again.json()["status"], again.json()["attempt"]) == (200, "completed", 1)
        other = await http.post("/api/jobs", json=job | {"payload": script(51)})
        assert (other.status_code, other.headers["Content-Type"]) == (409, "application/problem+json")
        assert str(job["id"]) in other.json()["detail"]
        assert [told.id for told in await client.follow_to_end(str(job["id"]))] == [told.id for told in events]


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"{not json", 400, None),
        (b'{"service_required": "simulation", "payload": [1, 2]}', 422, "payload"),
        (b'{"service_required": "simulation", "priority": "high"}', 422, "priority"),
        (b'{"service_required": "", "payload": {}}', 422, "service_required"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_problem_document(
    stack: Server, content: bytes, status: int, field: str | None
) -> None:
    async with stack.http() as http:
        answer = await http.post("/api/jobs", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        told = answer.json()
        assert told["status"] == status
        assert len(told["detail"]) > 10
        assert [error["field"] for error in told.get("errors", [])] == ([field] if field else [])


async def test_priority_comes_before_age_and_age_decides_among_equals(isolated_stack: OwnStack) -> None:
    priorities = [0, 5, -3, 5, 0, 10, 0, 5, 10, -3, 1, 0]
    async with isolated_stack.http() as http, isolated_stack.modern() as client, isolated_stack.legacy() as old:
        ids = []
        for number, priority in enumerate(priorities):
            if number % 2:
                ids.append(await old.submit(script(50, wait(30)), priority=priority))
            else:
                ids.append(await client.submit(script(50, wait(30)), priority=priority))
        await isolated_stack.workers(3)
        claims = await taken_from(client, "/api/events?kinds=claimed&since=0", len(ids))
        line = sorted(range(len(ids)), key=lambda number: (-priorities[number], number))
        assert [told.data["job_id"] for told in claims] == [ids[number] for number in line]
        assert (await http.get("/api/stats")).json()["queue"]["pending"] == 0


async def taken_from(client: ModernClient, path: str, count: int) -> list[StreamEvent]:
    heard: list[StreamEvent] = []
    async with asyncio.timeout(20), aclosing(client.events(path)) as stream:
        async for told in stream:
            heard.append(told)
            if len(heard) == count:
                break
    return heard


async def test_a_stream_of_all_jobs_tells_of_those_it_was_asked_for(stack: Server) -> None:
    service, since = service_for(stack, "feed"), int(time.time() * 1000) - 1_000
    async with stack.modern() as client:
        mine = [await client.submit(script(50), service=service) for _ in range(3)]
        await client.submit(script(50))
        path = f"/api/events?job_types={service}&since={since}"
        events = await taken_from(client, path, 12)
        assert sorted({told.data["job_id"] for told in events}) == sorted(mine)
        for job_id in mine:
            told = [one.kind for one in events if one.data["job_id"] == job_id]
            assert told == ["submitted", "claimed", "progress", "completed"]
        rest = await taken_from(client, f"{path}&last_event_id={events[4].id}", 7)
        assert [told.id for told in rest] == [told.id for told in events[5:]]
        ends = await taken_from(client, f"{path}&kinds=completed", 3)
        assert [told.kind for told in ends] == ["completed"] * 3


async def test_another_api_process_serves_the_same_jobs(isolated_stack: OwnStack) -> None:
    other = await isolated_stack.another_api()
    async with isolated_stack.modern() as here, other.modern() as there:
        job_id = await here.submit(script(5, wait(60_000)))
        following = asyncio.create_task(there.follow_to_end(job_id))
        await isolated_stack.worker()
        await taken_from(here, f"/api/jobs/{job_id}/progress", 3)
        assert (await there.cancel(job_id, "from next door"))["status"] == "cancelled"
        assert kinds(await following) == kinds(await here.follow_to_end(job_id))


async def test_without_the_token_nothing_is_told(guarded: OwnStack) -> None:
    async with guarded.modern() as client:
        job_id = await client.submit({})
    for token in (None, "open-barley"):
        async with Server.of_stack(guarded.http_url, token=token).http() as stranger:
            for path in ("/api/jobs", f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/progress", "/api/stats"):
                assert (await stranger.get(path)).status_code == 401, path


async def test_a_list_is_counted_by_its_jobs_however_many_commas_they_hold(stack: Server) -> None:
    """A list of very many short items is refused before each costs memory."""
    job = {"service_required": stack.service, "payload": script(result="kept") | {"values": [0] * 30_000, "text": ","}}
    async with stack.http() as http:
        answers = (await http.post("/api/jobs", json=[job, job])).json()
        assert [one["status"] for one in answers] == [201, 201]
        refused = await http.post("/api/jobs", json=[{}] * 60_000)
        assert (refused.status_code, refused.json()["title"]) == (422, "Unprocessable Entity")
        assert "one request may carry" in refused.text
