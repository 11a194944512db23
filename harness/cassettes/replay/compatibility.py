"""What a cassette asks of a target; with one that is not ours, whether it may be played, and what is cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Iterable
from typing import Final
from uuid import uuid4

from harness.cassettes import BLANKED, Cassette, Event, Note, Open, Receive, Request, Response, Role, Send
from harness.cassettes.events import fields_of
from harness.cassettes.replay.causality import sent, submits_without_service
from harness.cassettes.replay.expectations import noted_wait_s
from harness.clients import ExpectationTimeout, LegacyClient, Unreachable
from harness.clients.hub_clients import open_jobs
from harness.errors import CouldNotRun
from harness.protocols import hub
from harness.targets import Needs, Side, Target

CLEANUP_S: Final = 3.0


def needs_of(cassette: Cassette) -> Needs:
    """The token that the recorded server demanded: the one that opened a connection which was greeted, or a header
    with which a request was answered. One that was blanked is any token at all.
    """
    for index, event in enumerate(cassette.events):
        if isinstance(event, Open):
            token = re.search(r"[?&]token=([^&]*)", event.path)
            found = token[1] if token else BLANKED if event.headers.get("Authorization") == BLANKED else None
            if found and _was_greeted(cassette.events[index + 1 :], event.actor):
                return Needs(token=found)
        elif isinstance(event, Request) and event.headers.get("Authorization") == BLANKED:
            return Needs(token=BLANKED)
    return Needs()


def _was_greeted(events: Iterable[Event], actor: str) -> bool:
    told = (event for event in events if event.actor == actor and isinstance(event, Receive))
    first = next(told, None)
    return first is not None and isinstance(first.content, dict) and first.content.get("type") != "error"


class LeftOut(CouldNotRun):
    """This recording cannot judge a target that somebody else runs, or would harm it; the sentence says why."""


def check_compatible(cassette: Cassette, target: Target) -> None:
    """Raise LeftOut where this recording cannot judge a target that is not ours, or would harm it."""
    if target.owned:
        return
    needed = needs_of(cassette).token
    if needed is not None and target.token is None:
        raise LeftOut("It was recorded on a server that demands a token, and none is known for this target.")
    if needed not in {None, BLANKED, target.token}:
        raise LeftOut(f"It was recorded on a server that demands the token {needed}, and this target has another.")
    if target.side is Side.HUB and any(_stops_a_hub(event) for event in cassette.events):
        raise LeftOut("It sends a priority that stops a hub for good: it is only played on a hub of our own.")
    if Role.MONITOR in cassette.roles.values():
        raise LeftOut("A monitor looks at all that is on the target, and there may be jobs and workers of others.")
    if submits_without_service(cassette.events):
        raise LeftOut("Its job cannot be given a service of this run's own: workers of others might take it.")
    if target.side is Side.HUB and any(_serves_anything(event) for event in cassette.events):
        raise LeftOut("Its worker lists no services: the hub would offer it the jobs of others.")
    if target.side is Side.HUB and any(_counts_all_that_wait(event) for event in cassette.events):
        raise LeftOut("It asks for a job's place among all that wait on the hub, and there may be jobs of others.")
    if target.side is Side.HUB and any(isinstance(event, Note) and noted_wait_s(event) for event in cassette.events):
        raise LeftOut("It waits to see that nothing comes, and whatever others do on a hub makes it offer jobs again.")


def _serves_anything(event: Event) -> bool:
    capabilities = fields_of(event).get("capabilities")
    lists_some = isinstance(capabilities, dict) and capabilities.get("supported_job_types")
    return sent(event) == "register_worker" and not lists_some


def _counts_all_that_wait(event: Event) -> bool:
    """Over REST a hub counts every job before one, whatever their types; over the WebSocket those of its type."""
    return isinstance(event, Response) and isinstance(fields_of(event).get("position"), int)


def _stops_a_hub(event: Event) -> bool:
    """The hub's fault 2: after a priority that is no whole number it answers nobody."""
    return isinstance(event, Send) and isinstance(fields_of(event).get("priority"), float)


async def clean_up(target: Target, job_ids: Iterable[str], services: Collection[str]) -> tuple[str, ...]:
    """After a replay on a target that is not ours: cancel what is left of its jobs, so that they do not stand in the
    next one's way, nor in anybody else's. Both sides know the words. Answers what could not be brought to an end.

    The jobs of these services are its own; a hub may have some whose ids no client is told (fault 5).
    """
    left = dict.fromkeys(job_ids)

    async def end_all() -> None:
        if target.side is Side.HUB:
            name = f"hubgate-cleanup-monitor-{uuid4()}"
            left.update(dict.fromkeys(await open_jobs(target.ws_url, name, services, token=target.token)))
        async with LegacyClient(target.ws_url, f"hubgate-cleanup-{uuid4()}", token=target.token) as client:
            for job_id in list(left):
                # A hub overwrites the end of a job that is cancelled after it: so it is asked first.
                if await _is_over(client, job_id) or await _is_cancelled(client, job_id):
                    del left[job_id]

    with contextlib.suppress(TimeoutError, ExpectationTimeout, Unreachable):
        await asyncio.wait_for(end_all(), CLEANUP_S)
    return tuple(left)


async def _is_cancelled(client: LegacyClient, job_id: str) -> bool:
    answer = await client.cancel(job_id, "a replay is over", timeout_s=CLEANUP_S)
    return answer.get("status") == "cancelled"


async def _is_over(client: LegacyClient, job_id: str) -> bool:
    """Whether it has ended, or is no job at all."""
    place = len(client.received)
    await client.send(client.session.ask(job_id))
    answer = await client.wait_for(
        lambda message: message.get("job_id") == job_id or job_id in (hub.error_of(message) or ""),
        f"how {job_id} stands",
        timeout_s=CLEANUP_S,
        after=place,
    )
    return hub.error_of(answer) is not None or answer.get("status") in {"completed", "failed", "cancelled"}
