"""`Processes`: starts the programs of a run, waits until they are ready, and leaves none of them behind."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from harness.errors import BEFORE_READY, EnvironmentFailure, NotReady, ProcessDied
from harness.machine_time import Deadline, MachineLog
from harness.processes.memory import Memory, memory_of
from harness.processes.ports import Probe
from harness.processes.warm_pool import Forked, WarmPool, can_fork
from harness.tasks import called_off

POLL_S = 0.02
TAIL_LINES = 20
TAIL_BYTES = 16_384
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""A `REDIS_URL` or a token in the user's shell must not reach a process that the harness judges."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start one program: data only, so that the same launch can be started again on the same port."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = {}
    probe: Probe | None = None
    ready_s: float = 30.0
    """Deadline for readiness, in machine time."""
    host: str = "127.0.0.1"
    port: int | None = None
    """Where it listens, if it does."""

    @property
    def http_url(self) -> str:
        """Base URL for HTTP, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets, without a slash at the end."""
        return f"ws://{self.host}:{self.port}"


class OwnExit(msgspec.Struct, frozen=True):
    """An end that nobody had asked for. `at` is in seconds since the epoch: when it was noticed."""

    at: float
    error: ProcessDied


class Process:
    """One started program. Signals go to its process group, so its own children get them too."""

    def __init__(
        self,
        launch: Launch,
        log: Path,
        environment: Mapping[str, str],
        listed: Callable[[str], None],
        machine: MachineLog,
        warm: WarmPool | None = None,
    ) -> None:
        self.launch = launch
        self._machine = machine
        self.name = launch.name
        self.log = log
        self.environment = {**environment, **launch.environment}
        """Of its next start."""
        self._listed = listed
        self._warm = warm
        self._log_start = 0
        self._popen: subprocess.Popen[bytes] | Forked | None = None
        self.expected_to_live = False
        """False before the start and once somebody stopped or killed it through this object."""
        self.own_exits: list[OwnExit] = []
        """How often it ended by itself. Whoever kills or starts it afterwards does not make that undone."""

    @property
    def pid(self) -> int:
        """The process id of the newest start."""
        if self._popen is None:
            raise EnvironmentFailure(f"{self.name} was never started")
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal, None while it runs."""
        return self._popen.poll() if self._popen else None

    @property
    def alive(self) -> bool:
        """Whether it runs (a stopped one, SIGSTOP, does)."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def http_url(self) -> str:
        """Base URL for HTTP."""
        return self.launch.http_url

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets."""
        return self.launch.ws_url

    def spawn(self) -> None:
        """Start it (again), without waiting for readiness; the log is continued."""
        if self.alive:
            raise EnvironmentFailure(f"{self.name} runs already")
        self.note_own_exit()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        warm = self._warm and self._warm.begin(self.launch.command, self.environment, self.log)
        self._popen = warm or self._started_cold()
        self._listed(f"+{self._popen.pid}")
        self.expected_to_live = True

    def _started_cold(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            try:
                return subprocess.Popen(  # noqa: S603 - the command is ours or the user's own
                    self.launch.command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=self.environment,
                    cwd=self.log.parent,
                    start_new_session=True,
                )
            except OSError as error:
                raise EnvironmentFailure(f"{self.name} cannot be started: {error}") from error

    def note_own_exit(self) -> None:
        """Keep it if the process has ended by itself since its start."""
        if self.expected_to_live and not self.alive:
            self.expected_to_live = False
            self.own_exits.append(OwnExit(time.time(), self.death("on its own")))

    def is_ready(self) -> bool:
        """Ask the probe once. Raises ProcessDied."""
        if not self.alive:
            self.note_own_exit()
            raise self.death(BEFORE_READY)
        return self.launch.probe is None or self.launch.probe(self)

    def wait_ready(self) -> None:
        """Block until ready. Raises ProcessDied at once when it ends, NotReady after the launch's deadline."""
        limit = Deadline(self.launch.ready_s, self._machine)
        while not self.is_ready():
            self._late(limit)
            time.sleep(POLL_S)

    async def ready(self) -> None:
        """`wait_ready` for asyncio."""
        limit = Deadline(self.launch.ready_s, self._machine)
        while not await asyncio.to_thread(self.is_ready):
            self._late(limit)
            await asyncio.sleep(POLL_S)

    def _late(self, limit: Deadline) -> None:
        if limit.is_over:
            told = f"its log says:\n{tail}" if (tail := self.tail()) else "its log is empty"
            raise NotReady(f"{self.name} was not ready within {self.launch.ready_s:g} s; {told}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children; nothing happens if it is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def abort(self) -> None:
        """SIGABRT, and wait until it is gone: a crash by the harness's hand."""
        self.note_own_exit()
        self.expected_to_live = False
        self.signal(signal.SIGABRT)
        self._gone()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone (a fault, or the end of patience)."""
        self.note_own_exit()
        self.expected_to_live = False
        if self._popen is None:
            return
        self.signal(signal.SIGKILL)
        self._gone()

    def terminate(self) -> None:
        """SIGTERM without waiting; SIGCONT goes along, else a stopped process never hears it."""
        self.note_own_exit()
        self.expected_to_live = False
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def stop(self, *, grace_s: float = 10.0) -> int | None:
        """SIGTERM, after the grace period SIGKILL; answers the exit status."""
        self.terminate()
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
            self.kill()
        return self.returncode

    def restart(self) -> None:
        """Start the same launch again after a stop or kill, and block until ready."""
        self.spawn()
        self.wait_ready()

    async def arestart(self) -> None:
        """`restart` for asyncio."""
        self.spawn()
        await self.ready()

    def _gone(self) -> None:
        if self._popen is None:
            return
        self._popen.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._listed(f"-{self._popen.pid}")

    def log_text(self) -> str:
        """What it wrote since its last start (the last 1 MB of it)."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - 1_000_000))
            return file.read().decode("utf-8", "replace")

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log_text()[-TAIL_BYTES:].splitlines()[-TAIL_LINES:])

    def death(self, when: str) -> ProcessDied:
        """The error that tells of its end."""
        return ProcessDied(self.name, self.returncode or 0, when, self.tail())

    def memory(self) -> Memory | None:
        """Its memory now, or None when it is gone."""
        return memory_of(self.pid) if self.alive else None


class Processes:
    """All programs of a run, each logging to `folder/<name>.log`. A context manager, plain or async: at its end, at a
    crash, at Ctrl-C, at exit of the interpreter and when the harness itself is killed, every one of them is ended.

    `machine` knows what others take of the machine meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        machine: MachineLog | None = None,
        warm: bool = False,
    ) -> None:
        """With `warm`, those of stack and hub are forked from one that has imported their code, where that can be."""
        self.folder = folder
        self.machine = machine or MachineLog()
        self._warm = WarmPool() if warm and can_fork() else None
        self._environment = child_environment(environment)
        self._all: dict[str, Process] = {}
        self._orphan_killer: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def start(self, launch: Launch) -> Process:
        """Start a program and block until it is ready. Raises EnvironmentFailure, and then it is gone again."""
        process = self._spawn(launch)
        try:
            process.wait_ready()
        except BaseException:
            process.kill()
            raise
        return process

    async def astart(self, launch: Launch) -> Process:
        """`start` for asyncio."""
        process = self._spawn(launch)
        try:
            await process.ready()
        except BaseException:
            process.kill()
            raise
        return process

    async def astart_all(self, launches: Sequence[Launch]) -> list[Process]:
        """Start several at once, ready all. The first failure stops the waiting and is raised as it is."""
        tasks = [asyncio.ensure_future(self.astart(launch)) for launch in launches]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            await called_off(*tasks)

    def _spawn(self, launch: Launch) -> Process:
        before = self._all.get(launch.name)
        if before is not None and before.alive:
            raise EnvironmentFailure(f"a process named {launch.name} runs already")
        log = self.folder / f"{launch.name}.log"
        process = Process(launch, log, self._environment, self._list_process, self.machine, self._warm)
        if before is not None:
            before.note_own_exit()
            process.own_exits = before.own_exits
        self._all[launch.name] = process
        process.spawn()
        return process

    def __getitem__(self, name: str) -> Process:
        return self._all[name]

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self._all.values()))

    def pids(self) -> dict[str, int]:
        """Process ids of those alive, by name."""
        return {process.name: process.pid for process in self if process.alive}

    def check(self) -> None:
        """Raise ProcessDied if one has ended that nobody stopped, also if it was started again since."""
        for error in self.died():
            raise error

    def died(self) -> list[ProcessDied]:
        """Every end that nobody had asked for."""
        for process in self:
            process.note_own_exit()
        return [one.error for process in self for one in process.own_exits]

    def close(self, *, grace_s: float = 5.0) -> None:
        """End all: SIGTERM in reverse order of start, then SIGKILL for those that outlast the grace period."""
        for process in reversed(list(self)):
            process.terminate()
        limit = time.monotonic() + grace_s
        for process in reversed(list(self)):
            process.stop(grace_s=max(0.0, limit - time.monotonic()))
        if self._warm is not None:
            self._warm.close()
        if self._orphan_killer is not None:
            _pipe(self._orphan_killer).close()
            self._orphan_killer.wait()
            self._orphan_killer = None
        atexit.unregister(self.close)

    def _list_process(self, line: str) -> None:
        if self._orphan_killer is None or self._orphan_killer.poll() is not None:
            program = Path(__file__).with_name("orphan_killer.py")
            self._orphan_killer = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", str(program)], stdin=subprocess.PIPE, start_new_session=True
            )
            for process in self:
                if process.alive:
                    _write(self._orphan_killer, f"+{process.pid}")
        _write(self._orphan_killer, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.close))


def _pipe(killer: subprocess.Popen[bytes]) -> IO[bytes]:
    if killer.stdin is None:  # pragma: no cover - it was opened with a pipe
        raise EnvironmentFailure("the orphan killer has no pipe")
    return killer.stdin


def _write(killer: subprocess.Popen[bytes], line: str) -> None:
    pipe = _pipe(killer)
    pipe.write(line.encode() + b"\n")
    pipe.flush()


def child_environment(outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of `outer` (default: the harness's own environment) that children get."""
    source = os.environ if outer is None else outer
    return {name: source[name] for name in INHERITED if name in source}
