"""The load of a target of which only a protocol is known: clients that speak it, in this process, and what they see.

The plan, the ledger and the recorder are those of every load; what ends a job is asked and told by its protocol alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.clients.spoken_client import NotTaken, NotTold
from harness.clients.spoken_side import SpokenSide
from harness.clients.transport import Unreachable
from harness.history import HistoryWriter
from harness.load.account import Account
from harness.load.aggregation import Aggregation, report_of
from harness.load.latencies import Metric, Transport
from harness.load.population import PlannedJob
from harness.load.spec import LoadSpec
from harness.load.swarm import SwarmResult
from harness.machine_time import Deadline
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobEvent, JobState
from harness.tasks import few_at_once

LEAD_S: Final = 1.0
"""From the moment the last client has connected to the first second of the plan."""
LIVE_S: Final = 1.0
LOOK_S: Final = 0.1
AGAIN_S: Final = 1.0
"""Until a client that lost its connection tries again."""
AUDIT_S: Final = 10.0
"""How long a client asks after its jobs when all is over."""
NOTIFY_S: Final = 5.0
"""How long the event of an end may take before it counts as never notified."""
ASKED_AT_ONCE: Final = 8
NOT_ASKED: Final = (
    "By the protocol {name} alone the target is not asked for its own account, which the checkers would judge, for its"
    " queue's depth, its processes' memory, or when by its own clock a job was claimed, and nobody monitors it."
)


class SpokenSwarm:
    """The clients of one load."""

    def __init__(self, side: SpokenSide, spec: LoadSpec, out: Path) -> None:
        self.side: Final = side
        self.spec: Final = spec
        self.transport: Final = Transport.WEBSOCKET if side.protocol.description.socket else Transport.SSE
        self.notes: Final = [NOT_ASKED.format(name=side.protocol.name)]
        history = HistoryWriter(out / "history-clients.jsonl", about="clients of a load")
        self.account: Final = Account(plan=spec.plan, job=spec.job, history=history)
        self._history = history
        self._aggregation = Aggregation(self.account.recorder.window_s)
        self._live = out / "live.jsonl"
        self._users = [_User(self) for _ in range(spec.mix.users)]

    async def run(self) -> SwarmResult:
        """Submit what is planned and wait for the ends; what has not ended then is cancelled."""
        with self._history:
            try:
                async with contextlib.AsyncExitStack() as connected:
                    await few_at_once(lambda user: user.connect(connected), self._users, ASKED_AT_ONCE)
                    await self._load()
                    await asyncio.gather(*(user.audit() for user in self._users))
            finally:
                await self._leave()
        return self._result()

    async def _load(self) -> None:
        self.account.start(self.account.clock() + LEAD_S)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(user.work()) for user in self._users if user.connected]
            tasks.append(group.create_task(self._tell()))
            await asyncio.sleep(self.spec.plan.duration_s - self.account.second)
            drained = Deadline(self.spec.drain_s, self.side.processes.machine)
            while not (self.account.finished or drained.is_over):  # noqa: ASYNC110 - neither rings a bell
                await asyncio.sleep(LOOK_S)
            for task in tasks:
                task.cancel()

    async def _tell(self) -> None:
        """Write how it stands, each second."""
        while True:
            await asyncio.sleep(LIVE_S)
            self._aggregation.take("local", report_of(self.account, whole=False))
            line = self._aggregation.live(self.account.second, len(self._users))
            with self._live.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    async def _leave(self) -> None:
        """Bring to an end what has none, and note what cannot be."""
        ended = {job_id for user in self._users for job_id in user.ended}
        self.side.jobs[:] = [job_id for job_id in self.side.jobs if job_id not in ended]
        if not self.side.jobs:
            return
        try:
            left = await self.side.leave()
        except Unreachable:
            left = self.side.jobs
        if left:
            shown = f"{', '.join(left[:3])}{', …' if len(left) > 3 else ''}"
            self.notes.append(f"{len(left)} of its jobs could not be brought to an end: {shown}.")

    def _result(self) -> SwarmResult:
        self._aggregation.take("local", report_of(self.account))
        account = self.account
        return self._aggregation.result(
            account.plan,
            host=self.side.target.http_url,
            users={f"clients of the protocol {self.side.protocol.name}": len(self._users)},
            started_at=account.start_at or account.clock(),
            seconds=max(0.0, account.second),
        )


class _User:
    """One client, and what it has submitted."""

    def __init__(self, swarm: SpokenSwarm) -> None:
        self._swarm = swarm
        self._account = swarm.account
        self._client = swarm.side.client(heard=self._heard)
        self._results: dict[str, Any] = {}
        """Jobs of this client that are under way, and what they shall result in."""
        self._early: dict[str, list[JobEvent]] = {}
        """What was told of jobs before their submission was answered."""
        self._over: list[str] = []
        self.ended: set[str] = set()
        self.connected = False

    async def connect(self, connected: contextlib.AsyncExitStack) -> None:
        """Connect, or count an error: others go on without this client."""
        try:
            await connected.enter_async_context(self._client)
        except Unreachable as error:
            self._error("connection", error)
        else:
            self.connected = True

    async def work(self) -> None:
        """Submit at each intended moment that this client gets."""
        arrivals = self._account.arrivals()
        while (moment := arrivals.take()) is not None:
            await asyncio.sleep(max(0.0, moment - self._account.clock()))
            await self._connected_again()
            try:
                await self._submit(moment)
            finally:
                arrivals.use()

    async def _submit(self, moment: float) -> None:
        for job_id in self._forgotten():
            self._client.forget(job_id)
        job, payload = self._next()
        asked = job.submission.job_id or ""
        self._account.intend(job, self._swarm.transport, self._client.name, moment)
        try:
            given = await self._client.submit(payload, service=job.submission.service, priority=job.submission.priority)
        except NotTaken as no:
            self._observe(JobEvent(kind=EventKind.REFUSED, job_id=asked, error=str(no)))
        except NotTold as why:
            self._error(Metric.ACCEPTED, why)
        else:
            self._accepted(asked, given, job.expected.result)

    def _next(self) -> tuple[PlannedJob, Any]:
        """The next job, and its payload: a script as the protocol's workers are told of one, and with a result that
        names the job, so that one that was swapped is noticed.
        """
        job = self._account.next_job()
        payload, side = job.submission.payload, self._swarm.side
        script = payload.get("simulate") if isinstance(payload, dict) else None
        if not self._swarm.spec.fleet or not isinstance(script, list):
            return job, payload
        if job.expected.ends == {EventKind.COMPLETED} and not any("result" in step for step in script):
            result = {"status": "success", "job": secrets.token_hex(8)}
            script = [*script, {"result": result}]
            job = msgspec.structs.replace(job, expected=msgspec.structs.replace(job.expected, result=result))
        return job, side.payload(*script)

    def _accepted(self, asked: str, given: str, result: Any) -> None:
        if not self._account.ledger.rename(asked, given):
            self._error(Metric.ACCEPTED, "the id that answers a submission is another job's")
            return
        self._results[given] = result
        self._observe(JobEvent(kind=EventKind.ACCEPTED, job_id=given))
        for event in self._early.pop(given, []):
            self._heard(event)
        self._early.clear()  # what is left is about jobs of others

    def _heard(self, event: JobEvent) -> None:
        """What the client is told. When something happened by the target's clock says nothing by ours."""
        if event.kind in {EventKind.ACCEPTED, EventKind.REFUSED}:
            return
        if event.job_id not in self._results:
            if event.job_id not in self.ended:
                self._early.setdefault(event.job_id, []).append(event)
                return
            self._observe(event)  # the ledger complains of what comes after an end
            return
        untold = event.kind is EventKind.COMPLETED and event.result is None
        result = self._results[event.job_id] if untold else event.result
        self._observe(msgspec.structs.replace(event, at=None, result=result))
        if event.kind in ENDS:
            del self._results[event.job_id]
            self.ended.add(event.job_id)
            self._over.append(event.job_id)

    def _forgotten(self) -> Iterator[str]:
        over, self._over = self._over, []
        yield from over

    async def _connected_again(self) -> None:
        """After a lost connection: connect, and follow what is under way."""
        while not self._client.connected:
            self._error("connection", "a connection was lost")
            try:
                await self._client.open()
                for job_id in self._results:
                    await self._client.follow(job_id)
            except (Unreachable, NotTold) as error:
                self._error("connection", error)
                await asyncio.sleep(AGAIN_S)

    async def audit(self) -> None:
        """Ask what became of every job whose end this client was not told, and close them in the ledger."""
        ledger = self._account.ledger
        asked = ledger.in_flight(self._client.name)
        states: dict[str, JobState] = {}

        async def ask(job_id: str) -> None:
            with contextlib.suppress(NotTold):
                states[job_id] = (await self._client.state(job_id)).state

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AUDIT_S):
                await few_at_once(ask, asked, ASKED_AT_ONCE)
        over = [job_id for job_id in asked if states.get(job_id) in ENDED_STATES]
        with contextlib.suppress(TimeoutError):  # the event of an end may still be on its way
            async with asyncio.timeout(NOTIFY_S):
                for job_id in over:
                    while ledger.is_open(job_id):  # noqa: ASYNC110 - the ledger rings no bell
                        await asyncio.sleep(LOOK_S)
        self.ended.update(over)
        for job_id in ledger.open_jobs(self._client.name):
            for complaint in ledger.audit(job_id, states.get(job_id)):
                self._error(Metric.ENDED, complaint)

    def _observe(self, event: JobEvent) -> None:
        self._account.observe(event, self._swarm.transport, self._client.name)

    def _error(self, name: str, why: object) -> None:
        self._account.error(self._swarm.transport, name, str(why))
