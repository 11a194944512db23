"""What is looked at before anything is sent to a target that somebody else runs, and what follows from it.

Nothing here writes: HTTP reads, a monitor's greeting, and Redis commands that change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis

from harness.clients import ExpectationTimeout, Unreachable
from harness.clients.recognition import ANSWER_S, OTHER_WORDS, NotRecognised, TokenWrong, greeting, stack_answers
from harness.clients.spoken_side import NO_REDIS, TAKE_ALL
from harness.clients.transport import plain_http
from harness.errors import CouldNotRun
from harness.processes import RedisUnusable, check_redis
from harness.processes.redis import connect
from harness.protocols.description import Described
from harness.results import PreflightRow
from harness.results.formatting import listed, plural, quantity
from harness.targets import LOOPBACK, HubTarget, Side, StackTarget, Target

ASKED: Final = 5
"""Requests whose median is the latency."""
SAMPLED: Final = 2_000
"""So many keys are looked at, at most."""
SKEW_MS: Final = 1_000
"""A clock that is further off makes ages and deadlines that are told in its time misleading."""
LAYOUTS: Final = {
    "jobs:pending": "the first new stack's queue",
    "jobs:active": "the first new stack's queue",
    "job_queue": "a hub's queue",
    "priority_queue": "a hub's queue",
}
"""Keys by which another program's use of the same database is known."""
CALLED: Final = ("fcall", "function|list", "time", "xread", "scan")
"""Commands that workers and observers of ours need."""


class Refused(CouldNotRun):
    """The run may not go on; the sentence says why, and the rows what was found."""

    def __init__(self, rows: list[PreflightRow]) -> None:
        self.rows = rows
        wrong = [f"{row.target}, {row.what}: {row.found}. {row.note}".rstrip() for row in rows if row.stops]
        super().__init__(f"nothing was sent: {' '.join(wrong)}")


async def preflight(
    *targets: Target,
    allowed_hosts: tuple[str, ...] = (),
    exclusive: bool = False,
    protocols: Mapping[Side, Described] = MappingProxyType({}),
) -> list[PreflightRow]:
    """Look at the targets. With `exclusive` nobody else's jobs or workers may be there. Of a side in `protocols` no
    more is known than that. Raises Refused.
    """
    rows = []
    for target in targets:
        look = _Look(target, exclusive=exclusive, protocol=protocols.get(target.side))
        look.place(allowed_hosts)
        with contextlib.suppress(_Stopped):
            await look.answers()
        rows += look.rows
    if any(row.stops for row in rows):
        raise Refused(rows)
    return rows


class _Stopped(Exception):  # noqa: N818 - the state is the name
    """What comes after needs what was not found."""


class _Look:
    """One target."""

    def __init__(self, target: Target, *, exclusive: bool, protocol: Described | None) -> None:
        self.target, self.exclusive, self.protocol = target, exclusive, protocol
        self.rows: list[PreflightRow] = []

    def row(self, what: str, found: str, note: str = "", *, stops: bool = False) -> None:
        self.rows.append(PreflightRow(target=self.target.side.value, what=what, found=found, note=note, stops=stops))

    def place(self, allowed: tuple[str, ...]) -> None:
        """Where it is: loads go to other machines only where that was allowed."""
        host = urlsplit(self.target.http_url).hostname or ""
        if host in LOOPBACK:
            self.row("place", f"{host}, this machine")
        elif host in allowed:
            self.row("place", host, "Loads are allowed there (--allow-load-on).")
        else:
            note = f"Loads go to the loopback only: allow them with --allow-load-on {host}."
            self.row("place", host, note, stops=True)

    async def answers(self) -> None:
        """What it says of itself, and what its Redis holds."""
        async with plain_http(self.target.http_url, self.target.token, ANSWER_S) as http:
            await self._reachable(http)
            if self.protocol is not None:
                self._spoken(self.protocol)
            elif isinstance(self.target, StackTarget):
                await self._stack(self.target)
                await asyncio.to_thread(self._redis, self.target)
            else:
                await self._hub(self.target)

    async def _reachable(self, http: httpx.AsyncClient) -> None:
        ours = "/" if self.target.side is Side.HUB else "/health"
        path = self.protocol.description.health if self.protocol else ours
        took = []
        try:
            for _ in range(ASKED):
                began = time.perf_counter()
                answer = await http.get(path)
                took.append((time.perf_counter() - began) * 1000)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.row("reachable", f"no: {error or type(error).__name__}", stops=True)
            raise _Stopped from error
        self.row("reachable", f"{self.target.http_url} answers {answer.status_code}", stops=answer.status_code >= 500)
        self.row("latency", quantity(round(statistics.median(took), 2), "ms"))

    def _spoken(self, protocol: Described) -> None:
        """What a protocol lets one know: who else is there it does not tell."""
        self.row("protocol", f"{protocol.name}, by its description", protocol.description.about)
        worker = protocol.description.worker
        has_redis = not isinstance(self.target, StackTarget) or bool(self.target.redis_url)
        if worker is not None and worker.needs("{redis}") and not has_redis:
            self.row("workers", "need the URL of their Redis, and none is given", NO_REDIS, stops=True)
        elif worker is None:
            self.row("workers", "its protocol does not say how one is started", "What needs workers is not judged.")
        elif worker.keeps_to_services:
            self.row("workers", "this run starts some", "They take the jobs of this run alone: a service of its own.")
        else:
            self.row("workers", "take every service", f"{TAKE_ALL}, or give --namespace.", stops=not self.exclusive)

    async def _stack(self, target: StackTarget) -> None:
        try:
            answers = await stack_answers(target)
        except NotRecognised as error:
            self.row("token" if isinstance(error, TokenWrong) else "protocol", str(error).removesuffix("."), stops=True)
            raise _Stopped from error
        counts, told = answers["/api/stats"]["queue"], answers["/api/workers"]["workers"]
        self.row("protocol", "hubgate's stack: HTTP, events and the hub's WebSocket")
        self.row("token", "given and taken" if self.target.token else "none is demanded")
        self._workers([worker for worker in told if worker.get("alive")])
        self._jobs({name: int(number) for name, number in counts.items() if isinstance(number, int)})

    async def _hub(self, target: HubTarget) -> None:
        name = f"hubgate-preflight-{secrets.token_hex(4)}"
        try:
            async with greeting(target, "monitor", name) as (monitor, first):
                if first.get("type") == "error":
                    self.row("token", str(first.get("error")), "Give it with --token.", stops=True)
                    raise _Stopped
                shown = await monitor.expect("stats_broadcast", timeout_s=ANSWER_S)
        except (ExpectationTimeout, Unreachable) as error:
            self.row("protocol", f"not that of a hub: {error}", OTHER_WORDS, stops=True)
            raise _Stopped from error
        self.row("protocol", "the hub's WebSocket dialect")
        self.row("token", "given and taken" if target.token else "none is demanded")
        system = shown.get("system") or {}
        self._workers((system.get("workers") or {}).get("active_workers") or [])
        self._jobs((system.get("jobs") or {}).get("status") or {})

    def _workers(self, alive: list[Mapping[str, Any]]) -> None:
        greedy = [_name(worker) for worker in alive if _serves_all(worker)]
        if greedy:
            note = "They would run this run's jobs: stop them, or give a part of its own with --namespace."
            self.row("live workers", f"{listed(greedy)} take every service", note, stops=True)
        elif alive:
            note = "They are given nothing: the jobs of this run have services of its own."
            self.row("live workers", str(len(alive)), self._others(note), stops=self.exclusive)
        else:
            self.row("live workers", "none", "Workers of this run do its jobs.")

    def _jobs(self, counts: Mapping[str, int]) -> None:
        open_jobs = {state: counts[state] for state in ("pending", "active", "claimed") if counts.get(state)}
        if open_jobs:
            found = ", ".join(f"{number:,} {state}" for state, number in open_jobs.items())
            note = "They are neither claimed, changed nor deleted."
            self.row("waiting and running jobs", found, self._others(note), stops=self.exclusive)
        else:
            self.row("waiting and running jobs", "none")

    def _others(self, note: str) -> str:
        return "A namespace of its own was promised (--namespace), and this is not one." if self.exclusive else note

    def _redis(self, target: StackTarget) -> None:
        if not target.redis_url:
            self.row("Redis", "not given", "What needs workers of ours, or a look into the queue, is not judged.")
            return
        try:
            version = check_redis(target.redis_url)
            opened = connect(target.redis_url, socket_timeout=ANSWER_S, decode_responses=True)
            with contextlib.closing(opened) as client:
                self._redis_answers(client, version, target.prefix)
        except (RedisUnusable, redis.RedisError, ValueError) as error:
            self.row("Redis", f"cannot be used: {error}", stops=True)

    def _redis_answers(self, client: Any, version: str, prefix: str) -> None:  # the library has no types for it
        began = time.time()
        seconds, micros = client.time()
        took = (time.time() - began) * 1000
        ahead = (int(seconds) + int(micros) / 1e6 - began) * 1000 - took / 2
        self.row("Redis", f"version {version}, answers in {quantity(round(took, 2), 'ms')}")
        far = abs(ahead) > SKEW_MS
        note = "Latencies that are read from its stamps would be wrong by that." if far else ""
        self.row("clock of Redis", f"{quantity(round(ahead, 1), 'ms')} ahead of this machine's", note, stops=far)
        self._functions(client)
        self._keys(client, prefix)
        self._rights(client)

    def _functions(self, client: Any) -> None:
        names = [str(library[library.index("library_name") + 1]) for library in client.function_list()]
        if any(name.startswith("hubgate") for name in names):
            self.row("functions", f"loaded: {listed(sorted(names))}")
        else:
            note = "The stack's library is not there: is this the Redis that the API uses?"
            self.row("functions", f"loaded: {listed(sorted(names)) or 'none'}", note, stops=True)

    def _keys(self, client: Any, prefix: str) -> None:
        keys = list(itertools.islice(client.scan_iter(count=500), SAMPLED))
        ours = sum(key.startswith(prefix) for key in keys)
        others = sorted({meaning for key in keys for start, meaning in LAYOUTS.items() if key.startswith(start)})
        found = f"{plural(len(keys), 'key')} looked at, {ours:,} under the prefix {prefix!r}"
        note = f"Among them {listed(others)}, which is left alone." if others else ""
        self.row("keys", found, note)

    def _rights(self, client: Any) -> None:
        try:
            user = client.execute_command("ACL", "WHOAMI")
            denied = [name for name in CALLED if not _may(client, user, name)]
        except redis.RedisError as error:
            self.row("rights", f"cannot be told: {error}")
            return
        note = f"It needs {listed(denied)}." if denied else ""
        has = "lacks some" if denied else "has what is needed"
        self.row("rights", f"user {user} {has}", note, stops=bool(denied))


def _may(client: Any, user: str, name: str) -> bool:
    command, *sub = name.split("|")
    rest = {"fcall": ["hubgate", "0"], "xread": ["STREAMS", "x", "0"], "scan": ["0"]}.get(command, sub)
    return bool(client.execute_command("ACL", "DRYRUN", user, command, *rest) in {"OK", b"OK"})


def _name(worker: Mapping[str, Any]) -> str:
    return str(worker.get("worker_id") or worker.get("id"))


def _serves_all(worker: Mapping[str, Any]) -> bool:
    """A worker of the stack says `*`; one of a hub lists no type at all in what it tells of itself."""
    capabilities = worker.get("capabilities")
    types = capabilities.get("supported_job_types") if isinstance(capabilities, dict) else None
    return "*" in (worker.get("services") or ()) or types == []


def lines(rows: Sequence[PreflightRow]) -> Iterator[str]:
    """The list as it is printed."""
    for row in rows:
        mark = "✗" if row.stops else "·"
        yield f"{mark} {row.target}, {row.what}: {row.found}{'. ' + row.note if row.note else ''}"
