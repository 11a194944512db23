"""Server-sent events to the letter: frames and ids, where a reader goes on, gaps, keep-alives, and what is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import msgspec
import pytest
import redis.asyncio

from harness.processes import start_valkey
from harness.targets import Deployment
from harness.testing import OwnServer, Server, fresh, until
from scenarios.received_facts import reached
from scenarios.stacks import OwnStack, Stacks, ours, script

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast, pytest.mark.timeout(60)]

WITHIN_S: Final = 15
KEEPALIVE_MS: Final = 200
RETRY_MS: Final = 700
USUAL_RETRY_MS: Final = "1000"
STEPS: Final = 300
KEPT: Final = 20


class Frame(msgspec.Struct, frozen=True):
    """One frame as it came."""

    id: str = ""
    event: str = ""
    data: Any = None
    comment: str = ""
    retry: str = ""


def frame_of(text: str) -> Frame:
    """Read a frame, in which nothing may stand that the format does not have."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(": ")
        assert name in {"", "id", "event", "data", "retry"}, f"a line {line!r}"
        fields[name or "comment"] = value
    return Frame(**fields | ({"data": json.loads(fields["data"])} if "data" in fields else {}))


@asynccontextmanager
async def stream(http: httpx.AsyncClient, path: str, last: str = "") -> AsyncIterator[AsyncIterator[Frame]]:
    """The frames of a stream, the first of which says when to come again."""
    headers = {"Last-Event-ID": last} if last else {}
    async with http.stream("GET", path, headers=headers, timeout=WITHIN_S) as answer:
        assert answer.status_code == httpx.codes.OK, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"

        async def frames() -> AsyncIterator[Frame]:
            rest = ""
            async for text in answer.aiter_text():
                *whole, rest = (rest + text).split("\n\n")
                for one in whole:
                    yield frame_of(one)

        found = frames()
        assert (await anext(found)).retry in {str(RETRY_MS), USUAL_RETRY_MS}
        yield found


async def all_of(http: httpx.AsyncClient, job_id: str, last: str = "") -> list[Frame]:
    """A job's whole stream."""
    async with asyncio.timeout(WITHIN_S), stream(http, f"/api/jobs/{job_id}/progress", last) as frames:
        return [frame async for frame in frames if not frame.comment]


async def some_of(http: httpx.AsyncClient, path: str, count: int, last: str = "") -> list[Frame]:
    """So many frames of the feed, and that no more come until it keeps alive."""
    found: list[Frame] = []
    async with asyncio.timeout(WITHIN_S), stream(http, path, last) as frames:
        async for frame in frames:
            if frame.comment and len(found) >= count:
                break
            found += [] if frame.comment else [frame]
    return found


def gap(frame: Frame) -> tuple[str, str]:
    """Why events are missing, and the oldest that there is; a gap has no id, so that nobody goes on from it."""
    assert (frame.event, frame.id) == ("gap", "")
    return frame.data["reason"], frame.data["oldest"]


def shifted(event_id: str, ms: int, sequence: int = 0) -> str:
    """An id so many ms and entries away."""
    at, number = event_id.split("-")
    return f"{int(at) + ms}-{int(number) + sequence}"


@asynccontextmanager
async def redis_of(stack: OwnStack) -> AsyncIterator[Any]:
    """A connection to a stack's Redis."""
    async with redis.asyncio.Redis.from_url(stack.namespace.url) as connection:
        yield connection


@pytest.fixture(scope="module")
def _quick(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    settings = {"hubgate_keepalive_ms": KEEPALIVE_MS, "hubgate_progress_stream_length": KEPT}
    settings |= {"hubgate_sse_retry_ms": RETRY_MS}
    with ours(request, "a stack whose settings it can choose").stack("streams", settings=settings) as own:
        yield own


@pytest.fixture
def quick(_quick: OwnStack) -> Iterator[OwnStack]:
    """A stack that keeps streams alive every moment, and keeps little of each."""
    yield _quick
    _quick.deployment.empty()


async def test_a_jobs_stream_goes_on_after_the_id_that_the_reader_had_last(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client:
        await quick.worker()
        job_id = await client.submit(script(10, 20, 30, result="done"))
        await client.follow_to_end(job_id)
        frames = await all_of(http, job_id)
        assert [frame.data["kind"] for frame in frames] == ["submitted", "claimed", *["progress"] * 3, "completed"]
        assert await all_of(http, job_id, "0-0") == frames
        path = f"/api/jobs/{job_id}/progress"
        for number, frame in enumerate(frames[:-1]):
            assert await all_of(http, job_id, frame.id) == frames[number + 1 :]
        async with stream(http, f"{path}?last_event_id={frames[3].id}") as found:
            assert [frame async for frame in found] == frames[4:]
        for last in ("x", "1-x", "-"):
            told = await all_of(http, job_id, last)
            assert (gap(told[0]), told[1:]) == (("malformed", frames[0].id), frames)
        unknown = (shifted(frames[0].id, -1), shifted(frames[2].id, 0, 1_000), shifted(frames[-1].id, 5_000), "7-0")
        for last in unknown:
            told = await all_of(http, job_id, last)
            assert (gap(told[0]), told[1:]) == (("unknown", frames[0].id), frames), last
        for headers in ({"Last-Event-ID": frames[-1].id}, {"Last-Event-ID": frames[-1].id, "X-Other": "1"}):
            answer = await http.get(path, headers=headers)
            assert (answer.status_code, answer.content) == (204, b""), "who has had the end is to come no more"

        async def nobody_is_left() -> bool:
            lines = (await http.get("/metrics")).text.splitlines()
            return {"hubgate_subscribers 0.0", 'hubgate_connections{role="sse"} 0.0'} <= set(lines)

        await until(nobody_is_left, WITHIN_S, "a server that keeps nothing of readers that have gone")


async def test_a_stream_of_which_the_beginning_is_gone_says_so_to_whom_it_concerns(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client:
        job_id = await client.submit(script(*[n / 4 for n in range(STEPS)], result="done"))
        submitted = await reached(client, job_id, "submitted")
        await quick.worker()  # not before: the beginning would be gone before it was read
        await client.follow_to_end(job_id)
        told = await all_of(http, job_id)
        frames = told[1:]
        assert gap(told[0]) == ("trimmed", frames[0].id)
        assert [frame.data.get("progress") for frame in frames[:-1]] == [
            n / 4 for n in range(STEPS - len(frames) + 1, STEPS)
        ]
        for number in (0, len(frames) // 2, len(frames) - 2):
            assert await all_of(http, job_id, frames[number].id) == frames[number + 1 :]
        for last, reason in (
            (submitted.id, "trimmed"),
            (shifted(frames[0].id, -1), "trimmed"),
            (shifted(frames[0].id, 0, 1_000), "unknown"),
            (shifted(frames[-1].id, 60_000), "unknown"),
            ("y", "malformed"),
        ):
            told = await all_of(http, job_id, last)
            assert (gap(told[0]), told[1:]) == ((reason, frames[0].id), frames), last


async def test_of_a_job_whose_events_are_gone_the_end_is_told_out_of_its_record(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client, redis_of(quick) as server:
        await quick.worker()
        job_id = await client.submit(script(10, result="done"))
        waiting = await client.submit({}, service="nobody")
        submitted, *_ = await client.follow_to_end(job_id)
        for one in (job_id, waiting):
            await server.delete(f"{quick.namespace.prefix}events:{one}")
        told = await all_of(http, job_id)
        assert [gap(told[0]), told[1].data["kind"], told[1].data["result"]] == [
            ("trimmed", told[1].id),
            "completed",
            "done",
        ]
        assert len(told) == 2
        again = await all_of(http, job_id, submitted.id)
        assert (gap(again[0]), again[1:]) == (("trimmed", told[1].id), told[1:])
        answer = await http.get(f"/api/jobs/{job_id}/progress", headers={"Last-Event-ID": told[1].id})
        assert answer.status_code == 204, "who has had the end is to come no more"
        async with stream(http, f"/api/jobs/{waiting}/progress") as frames, asyncio.timeout(WITHIN_S):
            assert (await anext(frames)).data["kind"] == "submitted"
            assert (await anext(frames)).comment == "keep-alive"
            await client.cancel(waiting, "too late")
            rest = [frame async for frame in frames if not frame.comment]
            assert [(frame.data["kind"], frame.data["message"]) for frame in rest] == [("cancelled", "too late")]


async def test_the_feed_goes_on_after_an_id_or_a_time_and_holds_what_is_wanted(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client:
        await quick.worker("draws", connector="simulation:services=draw")
        for number in range(6):
            await client.follow_to_end(await client.submit(script(10, 20), job_id=f"feed-{number}", service="draw"))
        await client.submit({}, job_id="cut", service="cut")
        count = 6 * 5 + 1
        frames = await some_of(http, "/api/events", count, "0-0")
        assert len(frames) == count
        assert frames == sorted(frames, key=lambda frame: [int(part) for part in frame.id.split("-")])
        assert all(frame.event == frame.data["kind"] for frame in frames)
        for number in (0, 7, count - 2):
            assert await some_of(http, "/api/events", count - number - 1, frames[number].id) == frames[number + 1 :]
        assert await some_of(http, f"/api/events?last_event_id={frames[-1].id}", 0) == []
        told = await some_of(http, "/api/events", 1, "x")
        assert gap(told[0])[0] == "malformed"
        assert (await some_of(http, "/api/events", 1, shifted(frames[0].id, -1)))[1:] == frames
        assert gap((await some_of(http, "/api/events", 1, shifted(frames[0].id, -1)))[0]) == ("trimmed", frames[0].id)
        told = await some_of(http, "/api/events", count + 1, shifted(frames[3].id, 0, 1_000))
        assert (gap(told[0]), told[1:]) == (("unknown", frames[0].id), frames)
        since = int(frames[9].id.split("-")[0])
        later = [frame for frame in frames if int(frame.id.split("-")[0]) > since]
        assert [one for one in await some_of(http, f"/api/events?since={since}", len(later)) if one in later] == later
        assert await some_of(http, "/api/events?since=0", count) == frames
        for query, wanted in (
            ("services=cut", frames[-1:]),
            ("job_types=cut,%20draw", frames),
            ("services=cut&job_types=draw", frames),
            ("kinds=completed", [frame for frame in frames if frame.event == "completed"]),
            ("kinds=completed,submitted&services=cut", frames[-1:]),
            ("kinds=completed&services=cut", []),
        ):
            assert await some_of(http, f"/api/events?since=0&{query}", len(wanted)) == wanted, query
        refused = await http.get("/api/events?kinds=zebra,apple,completed")
        assert (refused.status_code, "'apple'" in refused.text) == (422, True)
        for value in ("-1", "x", str(10**14 + 1)):
            assert (await http.get(f"/api/events?since={value}")).status_code == 422


async def test_who_follows_nothing_is_kept_alive_at_the_pace_that_is_set(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client:
        job_id = await client.submit({}, service="nobody")

        async def comments(path: str) -> float:
            clock = asyncio.get_running_loop().time
            async with asyncio.timeout(WITHIN_S), stream(http, path) as frames:
                began: list[float] = []
                async for frame in frames:
                    began += [clock()] if frame.comment == "keep-alive" else []
                    if len(began) == 6:
                        break
            return (began[-1] - began[0]) / 5

        for path in (f"/api/jobs/{job_id}/progress", "/api/events"):
            assert 0.7 * KEEPALIVE_MS / 1000 < await comments(path) < 2.5, "s between two of them"


async def test_a_result_that_is_laid_out_over_lines_is_one_event(quick: OwnStack) -> None:
    async with quick.http() as http, quick.modern() as client:
        await quick.worker("odd", connector="harness.workers.odd_connector:OddConnector:services=odd")
        job_id = await client.submit({"does": "tell"}, service="odd")
        frames = await all_of(http, job_id)
        assert frames[-1].data["result"]["does"] == "tell"


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> Iterator[tuple[OwnServer, Any]]:
    """A stack on a Redis of its own, whose data the test may delete."""
    stacks: Stacks = ours(request, "a Redis of its own")
    redis = start_valkey(stacks.processes, name=fresh("valkey"))
    environment = {"HUBGATE_KEEPALIVE_MS": str(KEEPALIVE_MS)}
    setup = stacks.setup(name=fresh("api"))
    setup = msgspec.structs.replace(setup, environment=dict(setup.environment) | environment)
    deployment = Deployment.start(stacks.processes, setup, redis)
    yield OwnServer(deployment), redis
    for process in (*deployment.workers, *deployment.servers):
        process.kill()
    redis.close()


async def test_who_waits_for_what_was_deleted_learns_it_and_what_comes_next_is_told(
    alone: tuple[OwnServer, Any],
) -> None:
    stack, redis = alone
    async with stack.http() as http, stack.modern() as client, stack.legacy() as old, stack.legacy() as other:
        lost = await old.submit({})
        await other.subscribe(lost)
        path = f"/api/jobs/{lost}/progress"
        async with stream(http, path) as job, stream(http, "/api/events") as feed, asyncio.timeout(WITHIN_S):
            assert (await anext(job)).data["kind"] == "submitted"
            redis.execute("FLUSHDB")
            for client_of_old in (old, other):
                end = await client_of_old.expect("fail_job", job_id=lost)
                assert end["error"] == f"Job {lost} is gone: its data was deleted."
            last = [frame async for frame in job if not frame.comment][-1]
            assert last.event == "disconnect"
            assert "is gone" in last.data["reason"]
            told = await anext(frame async for frame in feed if not frame.comment)
            assert gap(told)[0] == "missed"
            again = await client.submit({}, job_id="again")
            assert (await anext(frame async for frame in feed if not frame.comment)).data["job_id"] == again
        assert (await http.get(path)).status_code == 404


async def test_a_server_that_stops_says_so_to_load_balancers_streams_and_sockets(quick: OwnStack) -> None:
    quick.deployment.setup = msgspec.structs.replace(
        quick.deployment.setup,
        environment=dict(quick.deployment.setup.environment) | {"HUBGATE_SHUTDOWN_NOTICE_MS": "1500"},
    )
    other: Server = await quick.another_api()
    api = quick.deployment.servers[-1]
    async with other.http() as http, quick.http() as first, other.legacy() as old:
        job_id = (await http.post("/api/jobs", json={"service_required": "nobody"})).json()["job_id"]
        streams = [f"/api/jobs/{job_id}/progress", "/api/events"]
        async with stream(http, streams[0]) as job, stream(http, streams[1]) as feed, asyncio.timeout(WITHIN_S):
            await anext(job)
            api.expected_to_live = False
            api.terminate()

            async def says_so() -> bool:
                return (await http.get("/health/ready")).status_code == httpx.codes.SERVICE_UNAVAILABLE

            await until(says_so, WITHIN_S, "a server that says that it will not be there")
            refused = (await http.get("/health")).json()
            assert refused["detail"] == "The queue is not available: this server is shutting down."
            assert (await http.get("/health/live")).status_code == httpx.codes.OK
            assert (await first.get("/health/ready")).status_code == httpx.codes.OK
            for frames in (job, feed):
                last = [frame async for frame in frames if not frame.comment][-1]
                assert (last.event, last.data) == ("disconnect", {"reason": "this server is shutting down: reconnect"})
        await until(lambda: old.closed is not None, WITHIN_S, "the end of a socket")
        assert str(old.closed).startswith("1001"), old.closed
    await until(lambda: not api.alive, WITHIN_S, "the end of a server that stops")
    assert api.returncode == 0
