"""docs/queue.md tells what the code does: its tables are made from the code, its keys are those that Redis holds."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from new_stack.queue import (
    Claimant,
    Completed,
    EventKind,
    Failed,
    JobState,
    NewJob,
    ProgressUpdate,
    Queue,
    RetryPolicy,
    WorkerReport,
)
from new_stack.queue import (
    function_caller as library,
)
from new_stack.queue.usage import ClientCount, Counted
from tests.new_stack.queue.conftest import Redis, submission

PAGE = Path(library.__file__).parents[2] / "docs" / "queue.md"

MEANINGS = {
    EventKind.SUBMITTED: "the job is ready",
    EventKind.CLAIMED: "a worker holds it, under a new attempt number",
    EventKind.PROGRESS: "its worker says how far it is",
    EventKind.COMPLETED: "it is done; the result comes with it",
    EventKind.ATTEMPT_FAILED: "this attempt failed and the job will run again",
    EventKind.FAILED: "it failed for good",
    EventKind.CANCELLED: "somebody cancelled it; the reason is the message",
    EventKind.RELEASED: "its worker handed it back unfinished",
    EventKind.LEASE_EXPIRED: "its worker was not heard of in time; it is ready again",
    EventKind.RETRIED: "somebody made it ready again by hand",
    EventKind.LOG: "a line of its connector's log: `status` is the level",
    EventKind.SERVICE_REQUEST: "its connector asks its back end for something: `details`; in `events` only",
    EventKind.STATE: "a page wants to be told how it stands; in `events` only",
}


def functions() -> list[str]:
    rows = ["| function | what it is for |", "| --- | --- |"]
    for path in sorted(library.FOLDER.glob("*.lua")):
        header = " ".join(
            line.removeprefix("-- ") for line in path.read_text().split("-- Keys:")[0].splitlines() if line[:3] == "-- "
        )
        name, _, meaning = header.partition(": ")
        assert name == path.stem
        rows.append(f"| `hubgate_{name}` | {meaning} |")
    return rows


def events() -> list[str]:
    return ["| event | when |", "| --- | --- |", *(f"| `{kind}` | {MEANINGS[kind]} |" for kind in EventKind)]


@pytest.mark.parametrize("table", [functions, events], ids=lambda table: table.__name__)
def test_a_table_of_the_page_is_the_codes(table) -> None:
    assert section(table.__name__) == "\n".join(table())


async def lose(redis: Redis, job_id: str, *, times: int) -> None:
    if (await redis.record(job_id))["state"] != "claimed":
        return
    await redis.change(job_id, deliveries=times, lost_alone=times)
    await redis.lapse(job_id)
    await redis.write("reap", 100)


MOVES = {
    "claim": lambda redis, job_id: redis.claim("w2", 1, services=job_id),
    "renew": lambda redis, job_id: redis.write("renew", 1, job_id, 1, "w1"),
    "complete": lambda redis, job_id: redis.end("complete", job_id),
    "fail_for_good": lambda redis, job_id: redis.end("fail", job_id, again="0"),
    "fail_and_retry": lambda redis, job_id: redis.end("fail", job_id),
    "release": lambda redis, job_id: redis.end("release", job_id),
    "reap": lambda redis, job_id: lose(redis, job_id, times=0),
    "reap_for_good": lambda redis, job_id: lose(redis, job_id, times=1_000),
    "cancel": lambda redis, job_id: redis.write("cancel", job_id, ""),
    "retry": lambda redis, job_id: redis.write("retry", job_id),
}
REACHED_BY = {
    "pending": "reap",
    "completed": "complete",
    "failed": "fail_for_good",
    "cancelled": "cancel",
}


@pytest.mark.usefixtures("reaped_before")
async def test_the_moves_of_the_page_are_those_that_the_functions_make(redis: Redis) -> None:
    """From each state, which w1's first attempt has come to, each move is tried."""
    rows = ["| state | move | then |", "| --- | --- | --- |"]
    for state in JobState:
        for move, make in MOVES.items():
            job_id = f"{state}-{move}"
            await redis.submit(job_id, service=job_id)
            await redis.claim("w1", 1, services=job_id)
            if way := REACHED_BY.get(state):
                await MOVES[way](redis, job_id)
            assert (await redis.record(job_id))["state"] == state
            await make(redis, job_id)
            if (then := (await redis.record(job_id))["state"]) != state:
                rows.append(f"| {state} | {move} | {then} |")
    assert section("moves") == "\n".join(rows)


async def test_redis_holds_the_keys_of_the_page_and_no_others(queue: Queue, redis: Redis) -> None:
    await queue.submit_many([NewJob(id=job_id, service_required="s") for job_id in "abcdefg"])
    await queue.heartbeat(WorkerReport(worker_id="w1"))
    held = await queue.claim("w1", count=4)
    await queue.progress(held[0], ProgressUpdate(progress=1))
    await queue.end(Completed(lease=held[0]))
    await queue.end(Failed(lease=held[1], error="no"))
    await queue.end(Failed(lease=held[2], error="no", retryable=False))
    await queue.cancel("d")
    large = msgspec.Raw(b'{"x": "%s"}' % (b"x" * 2_000))
    await queue.submit(NewJob(id="large", service_required="s", payload=large, priority=9))
    [lease] = await queue.claim("w1")
    await queue.end(Completed(lease=lease, result=large))
    await redis.change("f", state=None)
    await queue.claim("w1", count=3)
    for name in ("w2", "w3"):
        worker = Claimant(worker_id=name, services=("s",))
        await queue.heartbeat(WorkerReport(worker_id=name, services=("s",)))
        await queue.wait_and_claim(worker, 1, timeout_ms=60_000)
    await queue.submit_many([NewJob(id=job_id, service_required="s") for job_id in "hi"])
    [running] = await queue.claim("w1")
    await queue.cancel(running.job_id)
    while (await queue.end_and_claim(worker, [], 1, idle_ms=60_000))[1]:
        pass  # until there is nothing left, and it waits
    await queue.unregister("w1")
    await redis.command("RPUSH", "signals:w1", "1 somebody's")
    await queue.submit(NewJob(id="unserved", service_required="nobody's"))
    await redis.write("submit", 1, *submission("asks", group='s\n{"customer":"c"}'))
    await queue.submit(NewJob(id="due", retry_policy=RetryPolicy(deadline_ms=60_000)))
    await redis.command("SET", "walk:w1", 2_000)  # as a claim does behind 2,000 signatures that it cannot do
    used = Counted("websocket hub", "a program", "connect", 2_000_000_000_000, 1)
    await queue.usage.add([ClientCount("c", [used], [])])
    await queue.pause_service("nobody's")
    await redis.command("DEL", "sampled")  # what this minute already has: the fixture has reaped
    await queue.reap()
    found = await redis.caller.connection.call("KEYS", f"{redis.prefix}*")
    names = {key.decode().removeprefix(redis.prefix) for key in found}
    patterns = set(re.findall(r"^\| `(.*?)` \|", section("keys"), re.MULTILINE))
    assert {name for name in names if not any(matches(pattern, name) for pattern in patterns)} == set()
    assert {pattern for pattern in patterns if not any(matches(pattern, name) for name in names)} == set()


def section(name: str) -> str:
    """What stands between the page's marks of that name."""
    [written] = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE.read_text(), re.DOTALL)
    return str(written)


def matches(pattern: str, name: str) -> bool:
    return re.fullmatch(re.sub(r"\\{\w+\\}", r".+", re.escape(pattern)), name, re.DOTALL) is not None
