"""What is asked of a stack by its protocol alone: each check is evidence for one criterion, and says in the words of
those who build the stack what is wrong.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harness.cassettes import Event, Receive
from harness.clients.spoken_client import SpokenClient
from harness.clients.spoken_side import NotAsked, SpokenSide, steps
from harness.parity import parity_of
from harness.protocols import ENDS, EventKind, JobEvent, JobState
from harness.protocols.description import Described
from harness.results.formatting import listed, plural

TOLD_S: Final = 15.0
"""What an idle worker has for a short job, and the stack for telling of it."""
OVER: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
WORDS: Final = {EventKind.FAILED: EventKind.ATTEMPT_FAILED}
"""Not every protocol has a word for the last failure: it is one of an attempt."""
CHECK_S: Final = 240.0
"""What one check may take."""
QUIET_S: Final = 0.5
"""After so long without a frame nothing more is on its way."""
LATENCIES: Final = 30
"""Jobs, one after another, whose latencies are measured."""


class Broken(Exception):  # noqa: N818 - the state is the name
    """The stack does not do what it has to; the sentence says what."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The hub, the stack that shall replace it, and the latencies that were measured on the stack, in ms."""

    hub: SpokenSide
    stack: SpokenSide
    claimed_ms: list[float] = field(default_factory=list)
    progress_ms: list[float] = field(default_factory=list)

    @property
    def old(self) -> Described:
        """What the hub's clients speak to the stack."""
        if self.stack.protocol.description.serves != self.hub.protocol.name:
            name = self.stack.protocol.name
            raise NotAsked(f"The protocol {name} does not say that clients of the hub can speak to it (`serves`).")
        return self.hub.protocol


def _told(client: SpokenClient, job_id: str) -> str:
    kinds = [one.event.kind.value for one in client.of(job_id)]
    return f"it was told {listed(kinds)}" if kinds else "it was told nothing"


async def _ended(side: SpokenSide, client: SpokenClient, job_id: str, within_s: float = TOLD_S) -> JobEvent:
    """The job's end as the client was told it."""
    end = await client.ended(job_id, within_s)
    if end is None:
        held = await side.in_redis(job_id)
        raise Broken(f"{job_id} did not end for its client within {within_s:g} s: {_told(client, job_id)}{held}")
    return end


def _progress(client: SpokenClient, job_id: str) -> list[float]:
    found = [one.event.progress for one in client.of(job_id) if one.event.kind is EventKind.PROGRESS]
    return [value for value in found if value is not None]


async def legacy_clients_are_told_as_on_the_hub(pair: Pair) -> None:
    """The same conversation on both: a job that completes, one that is cancelled while it waits, one nobody knows."""
    old = pair.old
    on_hub, on_stack = await asyncio.gather(_conversation(pair.hub, old), _conversation(pair.stack, old))
    found = [finding for finding in parity_of(on_hub, on_stack).findings if not finding.excused]
    if found:
        more = f" ({plural(len(found) - 1, 'difference')} more)" if len(found) > 1 else ""
        raise Broken(f"a client of the hub notices: {found[0].sentence.rstrip('.')}{more}")


async def _conversation(side: SpokenSide, old: Described) -> list[Event]:
    service, heard = side.service(), list[Event]()
    async with side.client(old) as client, side.workers(1, service):
        done = await client.submit(side.payload(*steps(20, 60, result={"ok": True})), service=service)
        await _ended(side, client, done)
        await client.quiet(QUIET_S)
        heard += _heard("runs", client, done)
    async with side.client(old) as client:
        waiting = await client.submit(side.payload(*steps(50)), service=side.service())
        await client.cancel(waiting)
        await client.wait(waiting, {EventKind.CANCELLED}, TOLD_S)
        await client.quiet(QUIET_S)
        await client.state(waiting)
        await client.quiet(QUIET_S)
        heard += _heard("waits", client, waiting)
    return heard


def _heard(actor: str, client: SpokenClient, job_id: str) -> list[Event]:
    """What a client received, with one name for the job, the worker and itself on both sides."""
    frames = [frame for frame in client.frames if client.protocol.description.job_id in frame]
    text = json.dumps(frames).replace(job_id, "job")
    return [
        Receive(
            at=float(place),
            actor=actor,
            message={**frame, **({"worker_id": "worker"} if frame.get("worker_id") else {})},
        )
        for place, frame in enumerate(json.loads(text))
    ]


async def modern_clients_follow_a_job_to_its_end(pair: Pair) -> None:
    """Result told, and read afterwards; a late subscriber learns the end."""
    side, service, result = pair.stack, pair.stack.service(), {"images": ["a.png"], "seed": 7}
    async with side.client() as client, side.client() as late, side.workers(1, service):
        job_id = await client.submit(side.payload(*steps(50, result=result)), service=service)
        end = await _ended(side, client, job_id)
        if end.kind is not EventKind.COMPLETED or end.result not in (result, None):
            raise Broken(f"a job whose worker answered {result} ended as {end.kind.value} with {end.result}")
        status = await client.settled(job_id, OVER, TOLD_S)
        if status.state is not JobState.COMPLETED or status.result != result:
            raise Broken(
                f"who asks for a job that completed with {result} is told {status.state.value} with {status.result}"
            )
        await late.follow(job_id)
        if await late.ended(job_id, TOLD_S) is None:
            raise Broken(f"who follows a job after its end waits for ever: {_told(late, job_id)}")


async def an_unknown_job_is_not_silence(pair: Pair) -> None:
    """Who asks for a job that is not there is told so."""
    async with pair.stack.client() as client:
        state = (await client.state("hubgate-no-such-job")).state
        if state is not JobState.UNKNOWN:
            raise Broken(f"who asks for a job that nobody submitted is told that it is {state.value}")


async def both_kinds_of_client_learn_the_same(pair: Pair) -> None:
    """The same scripts on hub and stack: the same steps, results and errors in the same order."""
    scripts: list[list[dict[str, Any]]] = [
        steps(10, 40, 90, result={"ok": 1}),
        [{"progress": 30}, {"fail": "out of memory"}],
    ]
    for script in scripts:
        on_hub, on_stack = await asyncio.gather(_facts(pair.hub, script), _facts(pair.stack, script))
        told = pair.hub.protocol.tells & pair.stack.protocol.tells
        left, right = (
            [fact for fact in facts if fact[0] in {WORDS.get(k, k) for k in told}] for facts in (on_hub, on_stack)
        )
        if left != right:
            raise Broken(
                f"of one job the hub's client learns {_facts_in_words(left)}, the stack's {_facts_in_words(right)}"
            )


async def _facts(side: SpokenSide, script: Sequence[dict[str, Any]]) -> list[tuple[EventKind, Any]]:
    """What a client learns of a job, up to its end or the end of its first attempt."""
    service = side.service()
    async with side.client() as client, side.workers(1, service):
        job_id = await client.submit(side.payload(*script), service=service)
        await client.wait(job_id, ENDS | {EventKind.ATTEMPT_FAILED}, TOLD_S)
        facts = list[tuple[EventKind, Any]]()
        for event in (one.event for one in client.of(job_id)):
            kind = WORDS.get(event.kind, event.kind)
            if kind in {EventKind.PROGRESS, EventKind.COMPLETED, EventKind.ATTEMPT_FAILED}:
                facts.append((kind, event.progress if kind is EventKind.PROGRESS else event.result or event.error))
            if kind in ENDS | {EventKind.ATTEMPT_FAILED}:
                break
        return facts


def _facts_in_words(facts: Sequence[tuple[EventKind, Any]]) -> str:
    return listed([f"{kind.value} {value}" for kind, value in facts]) or "nothing"


async def a_job_of_one_kind_of_client_is_the_others_too(pair: Pair) -> None:
    """Submitted by an old client, followed by a new one to its end; and the other way round."""
    side, service = pair.stack, pair.stack.service()
    async with side.client(pair.old) as old, side.client() as new, side.workers(1, service):
        for submits, follows in ((old, new), (new, old)):
            job_id = await submits.submit(side.payload(*steps(50, pause_ms=300)), service=service)
            await follows.follow(job_id)
            for client in (submits, follows):
                if await client.ended(job_id, TOLD_S) is None:
                    who = f"a client of the protocol {client.protocol.name}"
                    raise Broken(f"{who} was not told how a job ended that both kinds follow: {_told(client, job_id)}")


async def jobs_run_by_priority_then_the_oldest_first(pair: Pair) -> None:
    """Five jobs wait; then one worker comes."""
    side, service = pair.stack, pair.stack.service()
    waiting = [("A", 0), ("B", 0), ("C", 5), ("D", 0), ("E", 5)]
    names: dict[str, str] = {}
    async with side.client() as client:
        for name, priority in waiting:
            names[await client.submit(side.payload(*steps(50)), service=service, priority=priority)] = name
            await asyncio.sleep(0.02)  # clocks of whole ms, too, have to tell them apart
        async with side.workers(1, service):
            for job_id in names:
                await _ended(side, client, job_id, 2 * TOLD_S)
    ran = "".join(names[one.event.job_id] for one in client.told if one.event.kind in ENDS)
    if ran != "CEABD":
        backwards = ran.index("E") < ran.index("C") or ran.index("D") < ran.index("A")
        newest = "; of equal priority the newest is taken first" if backwards else ""
        raise Broken(
            f"jobs A, B and D of priority 0 and C and E of priority 5, submitted in the order of their letters,"
            f" ran as {ran}; by priority and then oldest first it is CEABD{newest}"
        )


async def a_cancelled_job_ends_as_cancelled(pair: Pair) -> None:
    """While it waits: no worker ever gets it. While it runs: its completion does not overwrite it."""
    side = pair.stack
    if side.protocol.description.cancel is None:
        raise NotAsked(f"The protocol {side.protocol.name} has no way to cancel a job.")
    for running in (False, True):
        service = side.service()
        async with side.client() as client:
            if running:
                async with side.workers(1, service):
                    job_id = await client.submit(side.payload(*steps(10, 20, pause_ms=1_500)), service=service)
                    await client.wait(job_id, {EventKind.CLAIMED, EventKind.PROGRESS}, TOLD_S)
                    await client.cancel(job_id)
                    await asyncio.sleep(3.5)  # the work itself would be over by then
                    state = (await client.state(job_id)).state
            else:
                job_id = await client.submit(side.payload(*steps(50)), service=service)
                await client.cancel(job_id)
                async with side.workers(1, service):
                    state = (await client.settled(job_id, OVER, 3.0)).state
            if state is not JobState.CANCELLED:
                when = "while it ran" if running else "while it waited"
                held = await side.in_redis(job_id)
                raise Broken(
                    f"a job that was cancelled {when} is {state.value} afterwards{held}, though the"
                    " cancellation was answered with yes"
                )


async def every_update_reaches_its_subscriber(pair: Pair) -> None:
    """Each step that the worker reports is told once and in order; with its send time, how soon."""
    side, service, wanted = pair.stack, pair.stack.service(), [10.0, 30.0, 55.0, 80.0]
    async with side.client() as client, side.workers(1, service):
        for _ in range(5):
            job_id = await client.submit(side.payload(*steps(*wanted)), service=service)
            status = await client.settled(job_id, OVER, TOLD_S)
            await client.ended(job_id, 1.0)
            told = _progress(client, job_id)
            if told != wanted:
                missing = f"{len(wanted) - len(set(told) & set(wanted))} of {len(wanted)} updates did not come"
                came = listed([f"{step:g}" for step in told]) if told else "none of it"
                raise Broken(
                    f"a worker reported progress {listed([f'{step:g}' for step in wanted])}; the client that follows"
                    f" the job was told {came}: {missing}, and the job is {status.state.value}"
                )
        sent = [(one.at, one.event.sent_at) for one in client.told if one.event.kind is EventKind.PROGRESS]
        pair.progress_ms.extend(1000 * (at - since) for at, since in sent if since is not None)


async def an_idle_worker_claims_at_once(pair: Pair) -> None:
    """Jobs one after another, each for a worker that waits: from the submission to the first word of its work."""
    side, service = pair.stack, pair.stack.service()
    async with side.client() as client, side.workers(1, service):
        for _ in range(LATENCIES):
            began = time.time()
            job_id = await client.submit(side.payload(*steps(100, pause_ms=1)), service=service)
            await client.wait(job_id, ENDS | {EventKind.CLAIMED, EventKind.PROGRESS}, TOLD_S)
            seen = [one.at for one in client.of(job_id) if one.event.kind is not EventKind.ACCEPTED]
            if not seen:
                raise Broken(
                    f"a job that one idle worker serves was not begun within {TOLD_S:g} s: {_told(client, job_id)}"
                )
            pair.claimed_ms.append(1000 * (seen[0] - began))
            await client.settled(job_id, OVER, TOLD_S)


async def more_jobs_than_workers_all_end(pair: Pair) -> None:
    """Nobody is killed; there is only more to do than workers that do it."""
    side, service = pair.stack, pair.stack.service()
    async with side.client() as client, side.workers(2, service):
        jobs = [await client.submit(side.payload(*steps(50, pause_ms=1_200)), service=service) for _ in range(8)]
        states = {job: await client.settled(job, OVER, TOLD_S) for job in jobs}
        open_jobs = [job for job, status in states.items() if status.state not in OVER]
        if open_jobs:
            first = states[open_jobs[0]]
            held = await side.in_redis(open_jobs[0])
            by = f" by {first.worker_id}" if first.worker_id else ""
            raise Broken(
                f"of 8 jobs for 2 workers {len(open_jobs)} did not end, though nobody was killed and the workers are"
                f" idle: {open_jobs[0]} stays {first.state.value}{by}{held}: a busy worker takes jobs and does not"
                " run them"
            )


async def a_killed_workers_job_runs_again(pair: Pair) -> None:
    """SIGKILL in the middle of a job, and another worker beside it."""
    side, service = pair.stack, pair.stack.service()
    within = side.protocol.description.worker.lost_within_s if side.protocol.description.worker else TOLD_S
    async with side.client() as client, side.workers(1, service) as workers:
        script: list[dict[str, Any]] = [
            {"progress": 10},
            {"sleep_ms": 2_000},
            {"progress": 90},
            {"result": {"ok": True}},
        ]
        job_id = await client.submit(side.payload(*script), service=service)
        if await client.wait(job_id, {EventKind.CLAIMED, EventKind.PROGRESS}, TOLD_S) is None:
            await client.settled(job_id, {JobState.CLAIMED}, TOLD_S)
        await asyncio.to_thread(workers[0].kill)
        other = await side.another(service)
        try:
            status = await client.settled(job_id, OVER, within)
        finally:
            await asyncio.to_thread(other.stop)
        if status.state is not JobState.COMPLETED:
            held = await side.in_redis(job_id)
            raise Broken(
                f"{within:g} s after its worker {workers[0].name} was killed (SIGKILL), {job_id} is"
                f" {status.state.value}{held}, and the worker beside it is idle: nothing takes a dead worker's job back"
            )


async def a_failed_attempt_is_followed_by_another(pair: Pair) -> None:
    """The first attempt fails, the second completes: so does the job."""
    side, service = pair.stack, pair.stack.service()
    async with side.client() as client, side.workers(1, service):
        script: list[dict[str, Any]] = [
            {"progress": 10},
            {"fail": "out of memory", "attempts": 1},
            {"result": {"ok": True}},
        ]
        job_id = await client.submit(side.payload(*script), service=service)
        status = await client.settled(job_id, {JobState.COMPLETED}, 2 * TOLD_S)
        if status.state is not JobState.COMPLETED:
            held = await side.in_redis(job_id)
            raise Broken(f"a job whose first attempt failed is {status.state.value}{held}: it was not tried again")


async def clients_move_over_and_back_with_jobs_in_flight(pair: Pair) -> None:
    """Each job ends where it was submitted, and its client is told, wherever the client is by then."""
    jobs = list[tuple[SpokenSide, SpokenClient, str]]()
    services = {id(side): side.service() for side in (pair.hub, pair.stack)}
    async with (
        pair.hub.client() as before,
        pair.stack.client() as moved,
        pair.hub.client() as back,
        pair.hub.workers(1, services[id(pair.hub)]),
        pair.stack.workers(1, services[id(pair.stack)]),
    ):
        for side, client in ((pair.hub, before), (pair.stack, moved), (pair.hub, back)):
            for _ in range(2):
                payload = side.payload(*steps(50, pause_ms=300))
                jobs.append((side, client, await client.submit(payload, service=services[id(side)])))
        for side, client, job_id in jobs:
            end = await _ended(side, client, job_id, 2 * TOLD_S)
            if end.kind is not EventKind.COMPLETED:
                raise Broken(
                    f"a job that was in flight on {side.name} while its client moved ended as {end.kind.value}"
                )


Run = Callable[[Pair], Awaitable[None]]
CHECKS: Final[tuple[tuple[str, Run], ...]] = (
    ("legacy-clients", legacy_clients_are_told_as_on_the_hub),
    ("modern-clients", modern_clients_follow_a_job_to_its_end),
    ("modern-clients", an_unknown_job_is_not_silence),
    ("same-facts", both_kinds_of_client_learn_the_same),
    ("mixed-clients", a_job_of_one_kind_of_client_is_the_others_too),
    ("mixed-clients", jobs_run_by_priority_then_the_oldest_first),
    ("mixed-clients", a_cancelled_job_ends_as_cancelled),
    ("migration", clients_move_over_and_back_with_jobs_in_flight),
    ("claims", an_idle_worker_claims_at_once),
    ("progress", every_update_reaches_its_subscriber),
    ("nothing-lost", a_failed_attempt_is_followed_by_another),
    ("nothing-lost", more_jobs_than_workers_all_end),
    ("nothing-lost", a_killed_workers_job_runs_again),
)
"""Each with the criterion that it is evidence for."""
ASKED: Final = frozenset(criterion for criterion, _ in CHECKS)
