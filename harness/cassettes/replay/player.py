"""Plays a cassette: every actor does what it did, in the recorded order, each time once its causes are there."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec

from harness.cassettes import (
    BLANKED,
    CannotExpand,
    Cassette,
    Close,
    Closed,
    Drop,
    Event,
    Incoming,
    Note,
    Open,
    Outgoing,
    Receive,
    Request,
    Role,
    Send,
    contracted,
)
from harness.cassettes.replay.causality import (
    chosen_ids,
    connected_ids,
    effects_of,
    greetings_of,
    services_of,
)
from harness.cassettes.replay.compatibility import clean_up, needs_of
from harness.cassettes.replay.expectations import Deadlines, Expectations, noted_wait_s
from harness.cassettes.replay.order_of_work import Exchange
from harness.cassettes.replay.plan import Plan
from harness.cassettes.replay.transports import (
    ActorConnection,
    Arrived,
    HttpActor,
    ModernActor,
    Remark,
    ReplayClock,
    SseActor,
    WebSocketActor,
)
from harness.cassettes.replay.waiting import Waiting
from harness.cassettes.tokens import Bindings, tokens_of
from harness.clients.puppet import Puppet, Puppets
from harness.clients.recognition import recognise
from harness.clients.transport import Http
from harness.errors import CouldNotRun
from harness.machine_time import NOBODY_WATCHES, MachineLog
from harness.parity.comparison import translated
from harness.parity.facts import as_facts
from harness.targets import Side, StackTarget, Target

DEFAULT_DEADLINES = Deadlines()
MOST_EVENTS = 200_000
SOON_S = 1.0
"""For a job that the worker which asks for it has failed: by then the wait before its next attempt is over."""


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All events of a replay in the order they happened, their ids exchanged for those of the cassette."""

    scenario: str
    target: str
    """`hub` or `stack`."""
    events: tuple[Event, ...]
    bindings: dict[str, str] = {}
    """The cassette's ids to those that the target really gave."""
    incidents: tuple[str, ...] = ()
    """What did not go as recorded, in sentences: a frame waited for in vain, a send on a closed connection."""
    exchanges: tuple[Exchange, ...] = ()
    """Where the stack's order of work was another one than the recording's, and was followed."""
    cut_short: str = ""
    """A sentence where a recorded wait was not waited out: then a difference proves nothing."""
    left_behind: tuple[str, ...] = ()
    """Jobs on a target that is not ours that could not be brought to an end."""
    took_s: float = 0.0
    began_s: float | None = None
    """When the replay began, in seconds since the epoch."""


async def replay(
    cassette: Cassette,
    target: Target,
    *,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    modern_clients: bool = False,
    clock: Callable[[], float] = time.monotonic,
    machine: MachineLog = NOBODY_WATCHES,
) -> Transcript:
    """Play a cassette against a target and answer what was observed.

    With `modern_clients` the clients of the recording use HTTP and server-sent events, and receive facts: the
    transcript is then to be held against `harness.parity.facts.as_facts` of the reference.

    All actions keep their recorded order, and each waits until everything that the recording has before it was
    received; what does not come within its deadline, by what `machine` knows of the time that there was for it, is
    given up and becomes an incident. Raises CouldNotRun where the target cannot be reached, the cassette cannot be sent
    again, or the whole takes too long.
    """
    if modern_clients:
        cassette = msgspec.structs.replace(cassette, events=as_facts(cassette.events))
    player = _Player(cassette, target, deadlines, clock, machine, modern_clients=modern_clients)
    try:
        async with asyncio.timeout(deadlines.whole_s):
            return await player.play()
    except TimeoutError as error:
        raise CouldNotRun(f"{cassette.name} was not played to its end within {deadlines.whole_s:g} s") from error
    except CannotExpand as error:
        raise CouldNotRun(f"{cassette.name} cannot be played: {error}") from error
    finally:
        await player.leave()


class _Player:
    """One replay under way."""

    def __init__(
        self,
        cassette: Cassette,
        target: Target,
        deadlines: Deadlines,
        clock: Callable[[], float],
        machine: MachineLog,
        *,
        modern_clients: bool,
    ) -> None:
        self._cassette, self._target, self._deadlines, self._clock = cassette, target, deadlines, clock
        self._modern_clients = modern_clients
        self._adds_token = needs_of(cassette).token is None
        """Recorded where no token was demanded: a target that demands one gets it."""
        self._bindings = Bindings(tokens_of(cassette.events))
        workers = frozenset(actor for actor, role in cassette.roles.items() if role == Role.WORKER.value)
        self._puppet_actors = workers if target.side is Side.STACK else frozenset()
        self._expectations = Expectations(cassette.events, self._bindings, ignored=self._puppet_actors)
        self._plan = Plan(cassette.events, self._expectations, has_puppets=bool(self._puppet_actors))
        self._put_off = False
        """Whether what was to be done has to wait: another actor does it later."""
        self._observed: list[Event] = []
        self._incidents: list[str] = []
        self._cut_short = ""
        self._left_behind: tuple[str, ...] = ()
        self._flooded = False
        remark = self._incidents.append
        self._waiting = Waiting(self._plan, self._expectations, deadlines, clock, remark, self._check, machine)
        self._began = clock()
        self._began_s = time.time()
        self._connections: dict[str, ActorConnection] = {}
        self._puppets: Puppets | None = None
        self._playing: dict[str, Puppet] = {}
        self._http: dict[str, HttpActor] = {}
        self._client = Http(target.http_url)

    @property
    def _events(self) -> Sequence[Event]:
        return self._plan.events

    async def play(self) -> Transcript:
        if isinstance(self._target, StackTarget) and self._puppet_actors:
            if not self._target.owned:
                await recognise(self._target)
            self._puppets = await Puppets.open(
                self._target, self._puppet_received, self._incidents.append, everything=self._choose_fresh_ids()
            )
        else:
            self._choose_fresh_ids()
        index = 0
        while index < len(self._events):
            event = self._events[index]
            if isinstance(event, Outgoing):
                await self._waiting.for_causes_of(index)
                await self._perform(index, event)
                if self._put_off:
                    self._put_off = False
                    continue
            elif isinstance(event, Closed) and event.actor in self._playing:
                await self._playing.pop(event.actor).leave()  # the hub had sent it away
            elif isinstance(event, Note):
                await self._waiting.for_causes_of(index)
                await self._settle(event)
            index += 1
        await self._waiting.for_causes_of(len(self._events))
        if not self._target.owned:
            named = {*services_of(self._events), *connected_ids(self._events)}
            jobs = [there for here, there in self._bindings.table().items() if here not in named]
            services = [self._bindings.outgoing(service) for service in services_of(self._events)]
            self._left_behind = await clean_up(self._target, jobs, services)
        return self._transcript()

    async def leave(self) -> None:
        """Close whatever is still open, in whatever state the replay ended."""
        for connection in self._connections.values():
            await connection.drop()
        for asking in self._http.values():
            await asking.give_up()
        if self._puppets is not None:
            await self._puppets.close()
        await self._client.close()

    def _transcript(self) -> Transcript:
        return Transcript(
            scenario=self._cassette.name,
            target=self._target.side.value,
            events=tuple(translated(event, self._bindings) for event in self._observed),
            bindings=self._bindings.table(),
            incidents=tuple(self._bindings.incoming(text) for text in self._incidents),
            exchanges=tuple(self._plan.exchanges),
            cut_short=self._cut_short,
            left_behind=self._left_behind,
            took_s=self._clock() - self._began,
            began_s=self._began_s,
        )

    def _now_ms(self) -> float:
        return round((self._clock() - self._began) * 1000, 1)

    # what is received
    def _arrived(self, event: Incoming) -> None:
        self._flooded = len(self._observed) >= MOST_EVENTS
        if not self._flooded:
            self._observed.append(event)
            self._waiting.arrived(event)

    def _reports_of(self, actor: str) -> tuple[str, Arrived, Remark, ReplayClock]:
        return actor, self._arrived, self._incidents.append, self._now_ms

    def _puppet_received(self, actor: str, message: dict[str, Any]) -> None:
        self._observed.append(Receive(at=self._now_ms(), actor=actor, message=contracted(message)))

    def _check(self) -> None:
        """Raises where what is missing cannot come any more."""
        if self._flooded:
            raise CouldNotRun(f"the target sent more than {MOST_EVENTS:,} frames: the replay reads no more")
        for asking in self._http.values():
            asking.check()

    # what is done
    async def _perform(self, index: int, event: Outgoing) -> None:
        if isinstance(event, Close | Drop):
            await self._waiting.linger(index)
        self._observed.append(msgspec.structs.replace(event, at=self._now_ms()))
        if isinstance(event, Open):
            await self._open(index, event)
            await self._waiting.for_all(greetings_of(self._events, index))
        elif isinstance(event, Send):
            await self._send(index, event)
        elif isinstance(event, Request):
            await self._ask(event)
        else:
            await self._leave(event)

    async def _open(self, index: int, event: Open) -> None:
        self._expectations.connect(event.actor, index)
        path, reports = self._path(event.path), self._reports_of(event.actor)
        if self._puppets is not None and event.actor in self._puppet_actors:
            puppet = self._playing[event.actor] = self._puppets.puppet(event.actor)
            await puppet.connect(path.partition("?")[0].rpartition("/")[2] or event.actor)
        elif self._modern_clients and event.role is Role.CLIENT:
            self._connections[event.actor] = ModernActor(*reports, target=self._target)
        elif event.role is Role.SSE:
            stream = SseActor(*reports, http=self._client)
            self._connections[event.actor] = stream
            await stream.open(path, self._deadlines.connect_s, self._headers(event.headers))
        else:
            socket = WebSocketActor(*reports)
            self._connections[event.actor] = socket
            await socket.open(self._target.ws_url + path, self._deadlines.connect_s, self._headers(event.headers))

    async def _send(self, index: int, event: Send) -> None:
        content = self._bindings.outgoing(event.content)
        if event.actor not in self._playing:
            await self._connections[event.actor].send(content, is_text=event.message is msgspec.UNSET)
        elif self._plan.asks_in_vain(index) or not await self._act(index, event.actor, content):
            self._waiting.give_up_all(effects_of(self._events, index))

    async def _act(self, index: int, actor: str, content: Any) -> bool:
        """Have a puppet do something. Where the stack gives it another job than the hub did, go on in that order."""
        puppet, granted = self._playing[actor], self._plan.granted(index)
        doubtful = granted and self._plan.is_for_another(index)
        patience_s = SOON_S if doubtful else self._deadlines.deadline_s + self._lease_s()
        if not await puppet.act(content, granted=granted, patience_s=patience_s):
            self._put_off = doubtful and self._plan.hand_over(index)
            return self._put_off
        given = self._bindings.incoming(puppet.holds)
        if content["type"] == "claim_job" and not self._plan.given(index, given):
            self._incidents.append(f"{actor} was given {given}, which no worker of the recording goes on to do")
        return True

    async def _ask(self, event: Request) -> None:
        actor = self._http.get(event.actor)
        if actor is None:
            actor = self._http[event.actor] = HttpActor(*self._reports_of(event.actor), http=self._client)
        body = self._bindings.outgoing(event.body if event.text is msgspec.UNSET else event.text)
        await actor.ask(self._path(event.path), event, body, self._headers(event.headers), self._deadlines.request_s)

    async def _leave(self, event: Close | Drop) -> None:
        if event.actor in self._playing:
            puppet = self._playing.pop(event.actor)
            await (puppet.leave() if isinstance(event, Close) else puppet.drop())
        elif isinstance(event, Close):
            await self._connections[event.actor].close(event.code)
        else:
            await self._connections[event.actor].drop()

    async def _settle(self, note: Note) -> None:
        """Wait as the recording does, with nothing to come. On a stack a lost lease is over within its term."""
        # The one wait that is a time and not a frame: the recording claims that nothing comes, and that takes as long
        # to see. The hub's 30 s for a lost worker are the lease on a stack, which is known and shorter.
        noted_s = noted_wait_s(note)
        by_lease = min(noted_s, self._lease_s() + 1.0) if self._puppet_actors else noted_s
        waited_s = min(by_lease, self._deadlines.settle_s)
        if waited_s < by_lease:
            self._cut_short = f"The recording waits {noted_s:g} s and the replay waited {waited_s:g} s."
        if note.actor in self._playing:
            await self._playing[note.actor].look_for_work(waited_s)
        else:
            await asyncio.sleep(waited_s)

    def _lease_s(self) -> float:
        return self._target.lease_ms / 1000 if isinstance(self._target, StackTarget) else 0.0

    def _path(self, path: str) -> str:
        """The path with this run's ids, and the target's token where one was blanked."""
        bound = "".join(self._bindings.outgoing(part) for part in re.split(r"([/?&=])", path))
        if self._target.token is None:
            return bound
        if self._adds_token and "token=" not in bound:
            bound += f"{'&' if '?' in bound else '?'}token={BLANKED}"
        return bound.replace(f"={BLANKED}", f"={quote(self._target.token)}")

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        """The recorded headers; a blanked one is left out where there is no token to put in its place."""
        token = f"Bearer {self._target.token}" if self._target.token else None
        filled = {
            name: token if value == BLANKED else self._bindings.outgoing(value) for name, value in headers.items()
        }
        return {name: value for name, value in filled.items() if value is not None}

    def _choose_fresh_ids(self) -> tuple[str, ...]:
        """On a target that is not ours, ids that actors choose may be taken, and its own workers and jobs are there.
        So the ids of jobs, clients and workers and the services are exchanged for fresh ones. Answers the services of
        a worker that lists none.
        """
        if self._target.owned:
            return ()
        wanted = services_of(self._events)
        for chosen in (*chosen_ids(self._events), *wanted, *connected_ids(self._events)):
            self._bindings.bind(chosen, f"{chosen}-{uuid4()}")
        return tuple(self._bindings.outgoing(service) for service in wanted)
