"""One cassette against one target."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from websockets.asyncio.server import ServerConnection, serve

from harness.cassettes import Cassette, Receive, load
from harness.cassettes.replay import Deadlines, replay
from harness.errors import CouldNotRun
from harness.machine_time import Lost, MachineLog, MachineTime
from harness.parity import compare
from harness.processes import Processes, Valkey, free_port
from harness.targets import REPLAYED, HubPool, HubTarget, Needs, Setup, Side, StackPool, Target
from tests.harness.cassettes.replay.conftest import CASSETTES

QUICK = Deadlines(deadline_s=0.4, hurried_deadline_s=0.1)
LINES = [
    {"cassette": 1, "scenario": "small"},
    {"at": 0, "actor": "c", "event": "open", "role": "client", "path": "/ws/client/c"},
    {"at": 1, "actor": "c", "event": "receive", "message": {"type": "connection_established"}},
    {"at": 2, "actor": "c", "event": "send", "message": {"type": "submit_job"}},
    {
        "at": 3,
        "actor": "c",
        "event": "receive",
        "message": {"type": "job_accepted", "job_id": "job-9c659bfb-51a9-4ba2-a2cf-783b535edf8e"},
    },
    {
        "at": 9000,
        "actor": "c",
        "event": "send",
        "message": {"type": "request_job_status", "job_id": "job-9c659bfb-51a9-4ba2-a2cf-783b535edf8e"},
    },
    {
        "at": 9001,
        "actor": "c",
        "event": "receive",
        "message": {"type": "response_job_status", "job_id": "job-9c659bfb-51a9-4ba2-a2cf-783b535edf8e"},
    },
    {"at": 9002, "actor": "c", "event": "close"},
    {"at": 9003, "actor": "c", "event": "closed", "code": 1000},
]


def small(tmp_path: Path) -> Cassette:
    path = tmp_path / "small.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)))
    return load(path)


Answer = Callable[[dict[str, Any], set[str]], list[dict[str, Any]]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[Target]:
    """A server that greets and then says what `answer` makes of each message; it keeps the ids it gave."""
    given: set[str] = set()

    async def speak(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "connection_established"}))
        async for text in connection:
            for reply in answer(json.loads(text), given):
                await connection.send(json.dumps(reply))

    async with serve(speak, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield HubTarget.at(f"ws://127.0.0.1:{port}", owned=True)


def honest(message: dict[str, Any], given: set[str], *, word: str = "job_accepted") -> list[dict[str, Any]]:
    if message["type"] == "submit_job":
        job_id = f"job-{uuid4()}"
        given.add(job_id)
        return [{"type": word, "job_id": job_id}]
    known = message["job_id"] in given
    return [{"type": "response_job_status", "job_id": message["job_id"]} if known else {"type": "error"}]


async def test_an_id_received_earlier_is_sent_later(tmp_path: Path) -> None:
    cassette = small(tmp_path)
    async with server(honest) as target:
        transcript = await replay(cassette, target, deadlines=QUICK)
    assert compare(cassette.events, transcript.events) == []
    assert transcript.incidents == ()
    assert transcript.took_s < 2, "nine recorded seconds in which nothing came are not slept through"


async def test_an_id_in_a_message_of_another_name_is_bound_all_the_same(tmp_path: Path) -> None:
    cassette = small(tmp_path)
    async with server(lambda message, given: honest(message, given, word="job_submitted")) as target:
        transcript = await replay(cassette, target, deadlines=QUICK)
    findings = compare(cassette.events, transcript.events)
    assert [(finding.kind.value, finding.field) for finding in findings] == [("changed", "type")]


async def test_a_frame_that_never_comes_is_given_up_and_the_rest_is_played(tmp_path: Path) -> None:
    cassette = small(tmp_path)

    def silent_about_submission(message: dict[str, Any], given: set[str]) -> list[dict[str, Any]]:
        return [] if message["type"] == "submit_job" else honest(message, given)

    async with server(silent_about_submission) as target:
        transcript = await replay(cassette, target, deadlines=QUICK)
    assert "waited in vain for job_accepted to c (recorded at 3 ms)" in transcript.incidents
    kinds = [(finding.kind.value, finding.message_type) for finding in compare(cassette.events, transcript.events)]
    assert ("missing", "job_accepted") in kinds


@pytest.mark.parametrize("lost_s", [0.0, 2.0])
async def test_a_frame_is_waited_for_in_machine_time(tmp_path: Path, lost_s: float) -> None:
    """The server says nothing for longer than the deadline; for most of it others had the machine, or nobody."""

    class Log(MachineLog):
        def time(self) -> MachineTime:
            return MachineTime([Lost(time.time() - 2, time.time(), lost_s)])

    async def slow(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "connection_established"}))
        async for text in connection:
            await asyncio.sleep(2 * QUICK.deadline_s)
            for reply in honest(json.loads(text), given):
                await connection.send(json.dumps(reply))

    given: set[str] = set()
    async with serve(slow, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        target = HubTarget.at(f"ws://127.0.0.1:{port}", owned=True)
        transcript = await replay(small(tmp_path), target, deadlines=QUICK, machine=Log())
    assert bool(transcript.incidents) is (lost_s == 0)


async def test_one_frame_too_many_is_seen_even_after_the_last_one(tmp_path: Path) -> None:
    cassette = small(tmp_path)

    def twice(message: dict[str, Any], given: set[str]) -> list[dict[str, Any]]:
        return honest(message, given) * (2 if message["type"] == "submit_job" else 1)

    async with server(twice) as target:
        transcript = await replay(cassette, target, deadlines=QUICK)
    findings = compare(cassette.events, transcript.events)
    assert [(finding.kind.value, finding.message_type) for finding in findings] == [("extra", "job_accepted")]


async def test_what_was_received_before_a_send_is_received_before_it_in_the_replay(tmp_path: Path) -> None:
    cassette = small(tmp_path)

    async def slow(connection: ServerConnection) -> None:
        given: set[str] = set()
        await asyncio.sleep(0.2)
        await connection.send(json.dumps({"type": "connection_established"}))
        async for text in connection:
            await asyncio.sleep(0.2)
            for reply in honest(json.loads(text), given):
                await connection.send(json.dumps(reply))

    async with serve(slow, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        transcript = await replay(cassette, HubTarget.at(f"http://127.0.0.1:{port}", owned=True))
    assert [type(event).__name__ for event in transcript.events[:5]] == ["Open", "Receive", "Send", "Receive", "Send"]


async def test_a_target_that_never_stops_sending_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cassettes.replay.player.MOST_EVENTS", 500)

    async def flood(connection: ServerConnection) -> None:
        while True:
            await connection.send('{"type": "noise"}')

    async with serve(flood, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        with pytest.raises(CouldNotRun, match="sent more than 500 frames"):
            await replay(small(tmp_path), HubTarget.at(f"http://127.0.0.1:{port}", owned=True))


async def test_an_unreachable_target_cannot_be_judged(tmp_path: Path) -> None:
    target = HubTarget.at(f"ws://127.0.0.1:{free_port()}")
    with pytest.raises(CouldNotRun, match="cannot connect to ws://"):
        await replay(small(tmp_path), target, deadlines=QUICK)
    with pytest.raises(CouldNotRun, match="cannot connect to http://"):
        await replay(load(CASSETTES / "rest-bad-requests.jsonl"), target, deadlines=QUICK)


async def test_a_server_that_refuses_the_handshake_is_heard(tmp_path: Path) -> None:
    async def refuse(connection: ServerConnection, _: Any) -> Any:
        return connection.respond(403, "no")

    async def never(_: ServerConnection) -> None:
        raise AssertionError

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        transcript = await replay(small(tmp_path), HubTarget.at(f"ws://127.0.0.1:{port}"), deadlines=QUICK)
    closed = [event for event in transcript.events if type(event).__name__ == "Closed"]
    assert [(event.code, event.reason) for event in closed] == [(1006, "HTTP 403")]  # type: ignore[union-attr]


async def test_on_a_target_that_is_not_ours_chosen_ids_are_made_fresh(processes: Processes) -> None:
    cassette = load(CASSETTES / "client-chosen-job-id.jsonl")
    async with HubPool(processes, Setup(side=Side.HUB, name="hub-not-ours")).acquire(Needs()) as ours:
        foreign = HubTarget(http_url=ours.http_url, owned=False)
        for _ in range(2):
            transcript = await replay(cassette, foreign)
            findings = compare(cassette.events, transcript.events)
            assert {finding.field for finding in findings} <= {"position"}, "an earlier replay's job is in the line"
            assert transcript.bindings["order-1729"].startswith("order-1729-")


async def test_three_recorded_seconds_with_a_monitor_take_well_under_one(processes: Processes, valkey: Valkey) -> None:
    cassette = load(CASSETTES / "happy-path-seen-by-monitor.jsonl")
    assert cassette.events[-1].at > 3000
    async with StackPool(processes, valkey, replace(REPLAYED, name="timed-api"), first_database=24).acquire(
        Needs()
    ) as target:
        await replay(cassette, target)
        transcript = await replay(cassette, target)
    assert transcript.took_s < 1


async def test_a_puppet_takes_jobs_in_the_stacks_own_order(processes: Processes, valkey: Valkey) -> None:
    cassette = load(CASSETTES / "priority-then-age.jsonl")
    async with StackPool(processes, valkey, replace(REPLAYED, name="order-api"), first_database=25).acquire(
        Needs()
    ) as target:
        transcript = await replay(cassette, target)
    claimed = [
        event.content["job_id"]
        for event in transcript.events
        if isinstance(event, Receive) and event.content.get("type") == "job_assigned"
    ]
    assert claimed == ["p10-n3", "p5-n1", "p5-n4", "p0-n0", "p0-n2"]
