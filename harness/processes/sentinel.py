"""A Redis that fails over: a primary, its replica, and the Sentinels that watch both."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import redis as client

from harness.errors import NotReady
from harness.processes.ports import free_port, redis_pong
from harness.processes.processes import Launch, Process, Processes
from harness.processes.redis import Valkey, start_valkey, valkey_binary

SERVICE: Final = "hubgate"
SENTINELS: Final = 3
QUORUM: Final = 2
DOWN_AFTER_MS: Final = 500
"""How long a primary is silent before a Sentinel counts it as down."""
READY_S: Final = 20.0
POLL_S: Final = 0.05

CONFIGURATION: Final = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {primary} {quorum}
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 3000
"""


class RedisGroup:
    """What one URL reaches: the server that is the primary now, and the one that follows it."""

    owned = True

    def __init__(self, servers: list[Valkey], sentinels: list[Process]) -> None:
        self.servers: Final = servers
        self._sentinels = sentinels

    @property
    def url(self) -> str:
        """The Sentinels, the service's name and database 0."""
        hosts = ",".join(f"127.0.0.1:{sentinel.launch.port}" for sentinel in self._sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def primary(self) -> Valkey:
        """The server that all Sentinels name. Raises NotReady while a failover is under way."""
        states = [_state(sentinel) for sentinel in self._sentinels if sentinel.alive]
        if {state["flags"] for state in states} == {"master"} and len({state["port"] for state in states}) == 1:
            for server in self.servers:
                if server.port == states[0]["port"] and server.execute("INFO", "replication")["role"] == "master":
                    return server
        raise NotReady("the Sentinels do not agree on a primary")

    def order_failover(self) -> None:
        """Have the replica promoted and the primary demoted, as before a planned restart."""
        alive = next(sentinel for sentinel in self._sentinels if sentinel.alive)
        with contextlib.closing(client.Redis(port=alive.launch.port or 0)) as connection:
            connection.execute_command("SENTINEL FAILOVER", SERVICE)  # type: ignore[no-untyped-call] # untyped there

    def wait_for_another(self, before: Valkey) -> Valkey:
        """Block until another server is the primary. Raises NotReady."""
        limit = time.monotonic() + READY_S
        while time.monotonic() < limit:
            with contextlib.suppress(NotReady, client.RedisError, OSError):
                if (now := self.primary()) is not before:
                    return now
            time.sleep(POLL_S)
        raise NotReady(f"no other server was promoted within {READY_S:g} s")

    def wait_for_replica(self) -> None:
        """Block until the primary has a replica that follows it. Raises NotReady."""
        limit = time.monotonic() + READY_S
        while time.monotonic() < limit:
            with contextlib.suppress(NotReady, client.RedisError, OSError):
                followers = self.primary().execute("INFO", "replication")
                if followers.get("slave0", {}).get("state") == "online":
                    return
            time.sleep(POLL_S)
        raise NotReady(f"the primary had no replica within {READY_S:g} s")

    def rejoin(self) -> None:
        """Start the servers that were killed, and have all follow the primary, ready for the next failover.

        The Sentinels would do the latter, too, but only after 10 s.
        """
        now = self.primary()
        for server in self.servers:
            if not server.process.alive:
                server.restart()
            if server is not now:
                server.execute("REPLICAOF", "127.0.0.1", str(now.port))
        self.wait_for_replica()

    def close(self) -> None:
        """End all of it."""
        for process in (*self._sentinels, *(server.process for server in self.servers)):
            process.stop()


def start_redis_group(
    processes: Processes,
    *,
    options: Mapping[str, str] | None = None,
) -> RedisGroup:
    """Start primary, replica and Sentinels, ready for a failover. Raises EnvironmentFailure and RedisUnusable."""
    primary = start_valkey(processes, name="redis-1", appendonly=True, options=options)
    following = {**(options or {}), "replicaof": f"127.0.0.1 {primary.port}", "repl-diskless-sync-delay": "0"}
    replica = start_valkey(processes, name="redis-2", appendonly=True, options=following)
    sentinels = [_start_sentinel(processes, f"redis-sentinel-{n}", primary.port) for n in range(1, SENTINELS + 1)]
    group = RedisGroup([primary, replica], sentinels)
    group.wait_for_replica()
    limit = time.monotonic() + READY_S
    while not all(_knows_all(sentinel) for sentinel in sentinels):
        if time.monotonic() > limit:
            raise NotReady(f"the Sentinels did not find one another within {READY_S:g} s")
        time.sleep(POLL_S)
    return group


def _start_sentinel(processes: Processes, name: str, primary: int) -> Process:
    """A Sentinel rewrites its configuration, so it has a file of its own."""
    folder, port = processes.folder / f"{name}.data", free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sentinel.conf"
    file.write_text(
        CONFIGURATION.format(
            port=port,
            folder=folder.resolve(),
            service=SERVICE,
            primary=primary,
            quorum=QUORUM,
            down_after_ms=DOWN_AFTER_MS,
        )
    )
    command = (str(valkey_binary()), str(file.resolve()), "--sentinel")
    return processes.start(Launch(name=name, command=command, probe=redis_pong("127.0.0.1", port), port=port))


def _knows_all(sentinel: Process) -> bool:
    state = _state(sentinel)
    return bool(state["num-other-sentinels"] == SENTINELS - 1 and state["num-slaves"] == 1)


def _state(sentinel: Process) -> dict[str, Any]:
    """What one Sentinel knows of the service."""
    with contextlib.closing(client.Redis(port=sentinel.launch.port or 0, decode_responses=True)) as connection:
        state: Any = connection.execute_command("SENTINEL MASTER", SERVICE)  # type: ignore[no-untyped-call] # untyped there
    return dict(state)
