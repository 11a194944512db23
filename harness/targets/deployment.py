"""`Deployment`: a hub or a stack that runs, started here or by somebody else, with its workers.

    redis = start_valkey(processes)
    stack = await Deployment.astart(processes, Setup(token="s3cret"), redis)
    await stack.add_workers(4)
    stack.target.http_url

Gate, scenarios, loads, replays, `hubgate up` and tests start what they judge here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from uuid import uuid4

import msgspec

from harness.errors import CouldNotRun
from harness.processes import Launch, Process, Processes, RedisServer, Valkey, empty, log_says, services
from harness.targets.target import LEASE_MS, RETRY_BACKOFF_MS, HubTarget, Side, StackTarget, Target

HUB_WORKERS = "harness.clients.hub_worker"
"""The program that plays workers of a hub; it is started by name, as everything that is judged."""
SCRIPTED = "harness.workers.scripted_connector:ScriptedConnector"
"""The connector of a worker of the stack that writes down what it ran."""
AT_ONCE = 16
"""Workers that are starting at the same time."""


class Namespace(msgspec.Struct, frozen=True):
    """A part of a Redis that is one deployment's own."""

    url: str
    prefix: str = ""

    @classmethod
    def fresh(cls, redis: RedisServer, database: int) -> Self:
        """A database of its own where the Redis is ours, else a prefix that nobody else has."""
        if isinstance(redis, Valkey):
            return cls(redis.url_of(database))
        return cls(redis.url, f"hubgate-{uuid4().hex[:12]}:")


class Crew(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers that are alike."""

    services: tuple[str, ...]
    """What they take; `*` for all, which only workers of the stack can."""
    share: float = 1.0
    """Of a fleet, against the other crews' shares; each crew has at least one worker."""
    places: int = 1
    """Jobs that one of them runs at once; on a hub always one."""


def sizes_of(crews: Sequence[Crew], count: int) -> list[int]:
    """How many workers of each crew are among that many. Raises CouldNotRun where they are too few."""
    if count < len(crews):
        raise CouldNotRun(f"{len(crews)} kinds of workers need at least as many workers, not {count}")
    total = sum(crew.share for crew in crews)
    sizes = [max(1, int(count * crew.share / total)) for crew in crews]
    while (missing := count - sum(sizes)) != 0:
        by_lack = sorted(range(len(crews)), key=lambda n: count * crews[n].share / total - sizes[n])
        sizes[by_lack[-1] if missing > 0 else max(by_lack, key=sizes.__getitem__)] += 1 if missing > 0 else -1
    return sizes


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a hub or a stack of ours is started. `environment` has the settings of the server and of its workers."""

    side: Side = Side.STACK
    name: str = ""
    """Of the server's process and its log; as a default `api` or `hub`."""
    token: str | None = None
    port: int | None = None
    overlay: Path | None = None
    """A folder whose modules come first: a copy of the stack with a seeded defect."""
    without: tuple[str, ...] = ()
    """Faults that the simulated hub leaves out."""
    lease_ms: int = LEASE_MS
    retry_backoff_ms: int = RETRY_BACKOFF_MS
    poll_ms: int = 1_000
    """How long an idle worker of the stack waits for work at a time."""
    workers_url: str = ""
    """By which way the workers of a hub reach it, where not straight."""
    apart: bool = False
    """Whether each worker of a hub is a process of its own, so that faults can be done to one of them."""
    environment: Mapping[str, str] = {}

    @property
    def settings(self) -> dict[str, str]:
        """The environment of every process of a stack."""
        terms = {"HUBGATE_LEASE_MS": self.lease_ms, "HUBGATE_RETRY_BACKOFF_MS": self.retry_backoff_ms}
        return {name: str(value) for name, value in terms.items()} | dict(self.environment)


class Deployment:
    """A target and what of it is ours. Of one that was given, no process is; it can still get workers of ours."""

    def __init__(
        self,
        target: Target,
        *,
        setup: Setup | None = None,
        processes: Processes | None = None,
        redis: RedisServer | None = None,
        namespace: Namespace | None = None,
        server: Process | None = None,
    ) -> None:
        self.target = target
        self.setup = setup or Setup(side=target.side, token=target.token)
        self.redis = redis
        """The Redis that it runs on, None where it is not ours to know."""
        self.servers: list[Process] = [server] if server else []
        """The hub, or the API processes, of which the target's URL names the first; none where they are not ours."""
        self.workers: list[Process] = []
        self._namespace = namespace
        self._processes = processes
        self._own = "" if target.owned else f"hubgate-{uuid4().hex[:8]}-"

    @classmethod
    def start(
        cls, processes: Processes, setup: Setup, redis: RedisServer | None = None, namespace: Namespace | None = None
    ) -> Self:
        """Start a hub or a stack, ready, without workers. A hub without a Redis keeps everything in memory.

        Without a namespace it has the whole database. Raises EnvironmentFailure.
        """
        namespace = namespace or _whole(redis)
        return cls._of(processes, setup, redis, namespace, processes.start(_server(setup, namespace)))

    @classmethod
    async def astart(
        cls, processes: Processes, setup: Setup, redis: RedisServer | None = None, namespace: Namespace | None = None
    ) -> Self:
        """`start` for asyncio."""
        namespace = namespace or _whole(redis)
        return cls._of(processes, setup, redis, namespace, await processes.astart(_server(setup, namespace)))

    @classmethod
    def _of(
        cls,
        processes: Processes,
        setup: Setup,
        redis: RedisServer | None,
        namespace: Namespace | None,
        server: Process,
    ) -> Self:
        return cls(
            _target(setup, namespace, server.http_url),
            setup=setup,
            processes=processes,
            redis=redis,
            namespace=namespace,
            server=server,
        )

    @property
    def side(self) -> Side:
        """Hub or stack."""
        return self.target.side

    def worker_launch(
        self,
        name: str,
        *,
        concurrency: int = 1,
        connector: str = services.ANY_JOB,
        poll_ms: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Launch:
        """How one worker of the stack is started."""
        target = self.target
        if not isinstance(target, StackTarget) or not target.redis_url:
            raise CouldNotRun("workers of ours need the stack's Redis: give its URL")
        return services.worker(
            name,
            redis_url=target.redis_url,
            prefix=target.prefix,
            poll_ms=poll_ms or self.setup.poll_ms,
            concurrency=concurrency,
            connector=connector,
            environment=self.setup.settings | dict(environment or {}),
            overlay=self.setup.overlay,
        )

    def worker_launches(self, count: int) -> list[Launch]:
        """How `worker-1` … `worker-count` are started, all alike; those of a hub are connections of one process."""
        if self.side is Side.HUB:
            return [self._hub_launch(Crew(services=("simulation",)), 1, count, None)]
        return [self.worker_launch(f"worker-{number}") for number in range(1, count + 1)]

    def crew_launches(self, crews: Sequence[Crew], count: int, journal: Path) -> list[Launch]:
        """How workers of several kinds are started that write what they run into journals in that folder.

        On a target that others use, too, they have names of their own.
        """
        launches: list[Launch] = []
        first = 1
        for crew, size in zip(crews, sizes_of(crews, count), strict=True):
            if self.side is Side.HUB:
                each = 1 if self.setup.apart else size
                launches += [self._hub_launch(crew, first + n, each, journal) for n in range(0, size, each)]
            else:
                launches += [self._scripted(crew, f"{self._own}worker-{first + n}", journal) for n in range(size)]
            first += size
        return launches

    def _scripted(self, crew: Crew, name: str, journal: Path) -> Launch:
        serves = "+".join(crew.services)
        settings = {"journal": str(journal.resolve()).replace(",", "\\,"), "worker": name}
        settings |= {"serves": serves, "services": serves, "places": str(crew.places)}
        connector = f"{SCRIPTED}:{','.join(f'{key}={value}' for key, value in settings.items())}"
        return self.worker_launch(name, concurrency=crew.places, connector=connector)

    def _hub_launch(self, crew: Crew, first: int, count: int, journal: Path | None) -> Launch:
        """A process of one worker has that worker's name: what is done to it is done to that worker."""
        named = f"{self._own}hub-worker"
        url = self.setup.workers_url or self.target.ws_url
        arguments = ["--url", url, "--count", str(count), "--first", str(first), "--named", named]
        arguments += [part for service in crew.services for part in ("--service", service)]
        arguments += ["--journal", str(journal.resolve())] if journal else []
        name = f"{named}-{first}" if count == 1 else "hub-workers" if first == 1 else f"hub-workers-{first}"
        return services.module_launch(HUB_WORKERS, arguments, name=name, probe=log_says("workers_ready"))

    def start_workers(self, launches: list[Launch]) -> list[Process]:
        """Start workers, all at once, ready all."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            started = list(threads.map(self._ours.start, launches))
        self.workers += started
        return started

    async def astart_workers(self, launches: list[Launch]) -> list[Process]:
        """`start_workers` for asyncio."""
        started = await self._ours.astart_all(launches)
        self.workers += started
        return started

    async def add_api(self, name: str) -> Process:
        """One more API process on the same queue."""
        another = msgspec.structs.replace(self.setup, name=name, port=None)
        api = await self._ours.astart(_server(another, self._namespace))
        self.servers.append(api)
        return api

    def empty(self) -> None:
        """Have no worker, no second API and no job any more; of a hub, whose jobs are in its memory, only no worker."""
        for process in (*self.workers, *self.servers[1:]):
            process.kill()
        self.workers.clear()
        del self.servers[1:]
        if self.side is Side.STACK and self._namespace:
            empty(self._namespace.url, self._namespace.prefix)

    def stop(self) -> None:
        """End what is ours of it, workers first. The Redis is left to who opened it."""
        for process in (*self.workers, *self.servers):
            process.stop()

    def remove(self) -> None:
        """End it at once and leave nothing of it in its Redis, where an API that runs on writes when it last reaped."""
        for process in (*self.workers, *self.servers):
            process.kill()
        self.empty()

    @property
    def _ours(self) -> Processes:
        if self._processes is None:
            raise CouldNotRun(f"{self.target.http_url} was given: this run starts no process for it")
        return self._processes


def _whole(redis: RedisServer | None) -> Namespace | None:
    return Namespace(redis.url) if redis else None


def _target(setup: Setup, namespace: Namespace | None, http_url: str) -> Target:
    if setup.side is Side.HUB:
        return HubTarget(http_url=http_url, owned=True, token=setup.token)
    if namespace is None:
        raise CouldNotRun("a stack needs a Redis")
    return StackTarget(
        http_url=http_url,
        owned=True,
        token=setup.token,
        redis_url=namespace.url,
        prefix=namespace.prefix,
        lease_ms=setup.lease_ms,
        retry_backoff_ms=setup.retry_backoff_ms,
    )


def _server(setup: Setup, namespace: Namespace | None) -> Launch:
    """How the hub or an API process is started."""
    name = setup.name or ("hub" if setup.side is Side.HUB else "api")
    if setup.side is Side.HUB:
        return services.hub(
            redis_url=namespace.url if namespace else None,
            port=setup.port,
            token=setup.token,
            without=setup.without,
            name=name,
            environment=setup.environment,
        )
    if namespace is None:
        raise CouldNotRun("a stack needs a Redis")
    return services.api(
        redis_url=namespace.url,
        prefix=namespace.prefix,
        port=setup.port,
        token=setup.token,
        name=name,
        environment=setup.settings,
        overlay=setup.overlay,
    )
