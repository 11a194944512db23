"""Mixes of clients that nobody thought of, with real workers: both kinds are told the same, and it is what happened.

A mix that fails is made smaller and smaller; the smallest stays in the run's folder, as `smallest-client-mix.jsonl`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.cassettes import load
from harness.cassettes.record import Recorder, Sessions
from harness.clients import LegacyClient, ModernClient, Refused, StreamEvent
from harness.parity.facts import Fact
from harness.testing import Server, fresh
from scenarios.received_facts import facts_by_events, facts_by_websocket, kinds, progress_of
from scenarios.stacks import Payload, fail, script, wait

pytestmark = pytest.mark.criterion("mixed-clients")

EXAMPLES: Final = 16
SHRINKING_S: Final = 15.0
"""How long a failure is made smaller."""
PATIENCE_S: Final = 8.0
ERROR: Final = "out of luck"
ATTEMPTS: Final = 4
RESULT: Final = {"image": "mixed.png"}

T = TypeVar("T")


class ClientKind(StrEnum):
    """Which protocol a client speaks."""

    OLD = "old"
    NEW = "new"


class Ending(StrEnum):
    """What a job's workers bring it to, if nobody cancels it."""

    DONE = "done"
    DONE_AFTER_A_FAILURE = "done after a failure"
    FAILED = "failed"


class JobPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job: who submits it, what its worker does, and what the clients do meanwhile."""

    by: ClientKind = ClientKind.NEW
    priority: int = 0
    steps: tuple[int, ...] = ()
    ending: Ending = Ending.DONE
    cancelled_by: ClientKind | None = None
    cancelled_after: int = 0
    """How many events its canceller waits for; beyond the last one the job hangs until it is cancelled."""
    cut_after: int | None = None
    """The stream of events is given up after so many, again and again, and resumed."""
    drops: bool = False
    """The old client drops off once it has heard of the job, and comes back."""

    @property
    def payload(self) -> Payload:
        """What its worker is told to do."""
        if self.cancelled_by:
            return script(*self.steps, {"hang": True})
        endings = {
            Ending.DONE: [],
            Ending.DONE_AFTER_A_FAILURE: [fail(ERROR, attempts=1)],
            Ending.FAILED: [fail(ERROR)],
        }
        return script(*self.steps, *([wait(60)] if self.drops else []), *endings[self.ending], result=RESULT)

    def expected(self) -> list[str]:
        """The kinds of events of a job that nobody cancels."""
        told = ["claimed", *["progress"] * len(self.steps)]
        retried = [*told, "attempt_failed"]
        endings = {
            Ending.DONE: [*told, "completed"],
            Ending.DONE_AFTER_A_FAILURE: [*retried, *told, "completed"],
            Ending.FAILED: [*retried * (ATTEMPTS - 1), *told, "failed"],
        }
        return ["submitted", *endings[self.ending]]


def told(mix: Sequence[JobPlan]) -> str:
    """A mix in one line, without what is as usual."""
    return msgspec.json.encode(mix).decode()


class Seen(msgspec.Struct, kw_only=True):
    """What the two clients of a job were told of it."""

    job_id: str
    events: list[StreamEvent]
    old: list[list[Fact]]
    """By connection: who asks again is told of the end again."""
    stored: str
    asked: str


async def play(stack: Server, mix: Sequence[JobPlan]) -> None:
    """Play all jobs of a mix at once; every job has a client of each kind. Raises AssertionError."""
    async with AsyncExitStack() as opened:
        pairs = [
            (await opened.enter_async_context(stack.legacy()), await opened.enter_async_context(stack.modern()))
            for _ in mix
        ]
        seen = await asyncio.gather(
            *(play_job(plan, stack, old, new) for plan, (old, new) in zip(mix, pairs, strict=True))
        )
    for plan, one in zip(mix, seen, strict=True):
        try:
            check(plan, one)
        except AssertionError as error:
            error.add_note(f"of {told([plan])} in the mix {told(mix)}")
            raise


async def play_job(plan: JobPlan, stack: Server, old: LegacyClient, new: ModernClient) -> Seen:
    """One job from its submission to its end, as both clients see it."""
    job_id = await submitted(plan, old, new)
    try:
        return await followed(plan, stack, job_id, old, new)
    except BaseException:
        with contextlib.suppress(Refused, httpx.HTTPError):  # a job that hangs must not keep its worker from the next
            await new.cancel(job_id)
        raise


async def followed(plan: JobPlan, stack: Server, job_id: str, old: LegacyClient, new: ModernClient) -> Seen:
    """What both are told of a job that was submitted, and what becomes of it."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(following_by_websocket(plan, old, job_id))
        events = tasks.create_task(within(new.follow_to_end(job_id, cut_after=plan.cut_after)))
        if plan.cancelled_by:
            tasks.create_task(within(cancelling(plan, stack, new, job_id)))
    end = facts_by_events(events.result())[-1]
    await old.wait_for(
        lambda _: facts_by_websocket(old.received, job_id)[-1:] == [end], f"the end: {end}", timeout_s=PATIENCE_S
    )
    asked = await old.status(job_id)  # the answer comes after all that was told before
    return Seen(
        job_id=job_id,
        events=events.result(),
        old=facts_by_connection(old, job_id),
        stored=str((await new.job(job_id))["status"]),
        asked=str(asked["status"]),
    )


async def within(work: Coroutine[Any, Any, T]) -> T:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(PATIENCE_S):
        return await work


async def submitted(plan: JobPlan, old: LegacyClient, new: ModernClient) -> str:
    if plan.by is ClientKind.OLD:
        return await old.submit(plan.payload, priority=plan.priority, timeout_s=PATIENCE_S)
    return await new.submit(plan.payload, priority=plan.priority, job_id=fresh("job"))


async def following_by_websocket(plan: JobPlan, old: LegacyClient, job_id: str) -> None:
    if plan.by is ClientKind.NEW:
        await old.subscribe(job_id, timeout_s=PATIENCE_S)
    if plan.drops:
        await old.drop()
        await old.open()
        await old.subscribe(job_id, timeout_s=PATIENCE_S)


async def cancelling(plan: JobPlan, stack: Server, new: ModernClient, job_id: str) -> None:
    """Cancel the job once so much was told of it."""
    reached = min(plan.cancelled_after, len(plan.steps) + 2)
    async with aclosing(new.follow(job_id)) as stream:
        count = 0
        while count < reached:
            await anext(stream)
            count += 1
    if plan.cancelled_by is ClientKind.OLD:
        async with stack.legacy() as canceller:
            await canceller.cancel(job_id, "called off", timeout_s=PATIENCE_S)
    else:
        await new.cancel(job_id, "called off")


def check(plan: JobPlan, seen: Seen) -> None:
    """What both were told fits what was planned, and each other. Raises AssertionError."""
    facts, words = facts_by_events(seen.events), kinds(seen.events)
    if plan.cancelled_by:
        assert words[-1] == seen.stored == seen.asked == "cancelled"
        assert words[:-1] == ["submitted", "claimed", *["progress"] * len(plan.steps)][: len(words) - 1]
        assert len(words) > plan.cancelled_after or len(words) == len(plan.steps) + 3
    else:
        assert words == plan.expected()
        assert seen.stored == seen.asked == words[-1]
    rounds = words.count("claimed")
    assert progress_of(facts) == ([*plan.steps] * rounds)[: len(progress_of(facts))]
    assert len({told.id for told in seen.events}) == len(seen.events)
    check_websocket(plan, seen.old, facts)


def facts_by_connection(old: LegacyClient, job_id: str) -> list[list[Fact]]:
    """What an old client was told over each of its connections; each begins with a greeting."""
    places = [place for place, entry in enumerate(old.received) if entry.message["type"] == "connection_established"]
    parts = zip(places, [*places[1:], len(old.received)], strict=True)
    return [facts_by_websocket(old.received[begin:end], job_id) for begin, end in parts]


def check_websocket(plan: JobPlan, connections: Sequence[Sequence[Fact]], facts: Sequence[Fact]) -> None:
    """Who submitted hears all; who subscribed, all from then on; who was away misses that and no more."""
    heard = connections[-1]
    assert heard[-1] == facts[-1], "the end reaches both"
    if plan.drops:
        for part in connections:
            assert in_order(part, facts), "what was heard happened, in that order, and nothing of it twice"
    else:
        assert list(heard) == list(facts[-len(heard) :]), "the whole rest reaches both"
        assert plan.by is ClientKind.NEW or len(heard) == len(facts), "who submits hears of it from the beginning"


def in_order(some: Sequence[Fact], whole: Sequence[Fact]) -> bool:
    """Whether these are facts of the whole, in its order, each at most as often as there."""
    rest = iter(whole)
    return all(any(fact == other for other in rest) for fact in some)


job_plans = st.builds(
    JobPlan,
    by=st.sampled_from(ClientKind),
    priority=st.integers(-2, 2),
    steps=st.lists(st.integers(0, 100), max_size=5).map(tuple),
    ending=st.sampled_from(Ending),
    cancelled_by=st.none() | st.none() | st.sampled_from(ClientKind),
    cancelled_after=st.integers(0, 7),
    cut_after=st.none() | st.integers(1, 3),
    drops=st.booleans(),
)
mixes = st.lists(job_plans, min_size=1, max_size=5)


class Found:
    """The failures of one search: the newest is the smallest, and after a while only known ones are played again."""

    def __init__(self, folder: Path) -> None:
        self.smallest: Final = folder / "smallest-client-mix.jsonl"
        self._folder = folder
        self._failing: set[str] = set()
        self._until = 0.0

    def worth_playing(self, mix: Sequence[JobPlan]) -> bool:
        """Whether there is time for another one."""
        return not self._failing or repr(mix) in self._failing or time.monotonic() < self._until

    async def recorded(self, stack: Server, mix: Sequence[JobPlan], act: Callable[..., Any]) -> None:
        """Play a mix through a recorder. What is recorded of one that fails is kept."""
        recording = self._folder / "client-mix.jsonl"
        sessions = Sessions(recording, about=told(mix), target="stack")
        sessions.begin(mix_goes_on := object())
        try:
            async with Recorder(stack.http_url, sessions) as recorder:
                await act(Server.of_stack(recorder.url, service=stack.service), mix)
        except BaseException:
            self._until = self._until or time.monotonic() + SHRINKING_S
            self._failing.add(repr(mix))
            sessions.end(mix_goes_on)
            shutil.move(recording, self.smallest)
            raise
        sessions.end(mix_goes_on)


@pytest.mark.timeout(120)
def test_whatever_clients_do_at_once_both_kinds_are_told_what_happened(stack: Server, hubgate_run_folder: Path) -> None:
    found = Found(hubgate_run_folder)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mixes)
    def search(mix: list[JobPlan]) -> None:
        if found.worth_playing(mix):
            asyncio.run(found.recorded(stack, mix, play))

    search()


async def test_a_mix_that_fails_is_kept_as_a_cassette(stack: Server, tmp_path: Path) -> None:
    found = Found(tmp_path)

    async def act(recorded: Server, mix: Sequence[JobPlan]) -> None:
        await play(recorded, mix)
        async with recorded.modern() as client:
            job_id = await client.submit(script(1))
            raise LookupError(f"as if {job_id} had been told wrongly")

    with pytest.raises(LookupError):
        await found.recorded(stack, [JobPlan(by=ClientKind.OLD, steps=(50,))], act)
    cassette = load(found.smallest)
    assert {"client", "sse", "http"} <= set(cassette.roles.values())
    assert found.worth_playing([JobPlan(by=ClientKind.OLD, steps=(50,))])
