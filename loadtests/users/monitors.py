"""Monitors: they watch every job and submit none."""

from __future__ import annotations

import uuid
from typing import Any

import gevent
from gevent.greenlet import Greenlet
from locust import User, constant, tag, task

from harness.clients.sessions import HubSession, StackSession
from harness.load.latencies import Transport
from harness.protocols import hub
from loadtests.load import Load
from loadtests.transport import ConnectionFailed, HttpApi, Socket

KEEP_ALIVE_S = 10
SLOW_READ_S = 0.25
"""What a slow reader takes for one event."""


class WatchingUser(User):
    """A monitor by whichever protocol: the delivery of each stamped progress update is measured."""

    abstract = True
    transport: Transport
    wait_time = constant(KEEP_ALIVE_S)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load = Load.of(environment)
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex[:12]}"
        self.load.watched[self.name] = 0

    @tag("watch")
    @task
    def watch(self) -> None:
        """Stay connected."""
        self.stay()

    def stay(self) -> None:
        """Connect where not connected, and say that one is still there where the protocol wants it."""
        raise NotImplementedError

    def broken(self, why: str) -> None:
        """The connection is gone."""
        self.load.error(self.transport, "monitor", why)


class MonitorUser(WatchingUser):
    """Watches over `/ws/monitor/{id}`.

    Its only request is `stay_alive`, which a hub's monitors send, and by which a stack knows the older dialect.
    """

    abstract = True
    transport = Transport.WEBSOCKET

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._session = HubSession(self.name, role="monitor", observe=self.load.monitor(self.transport, self.name))
        self._socket: Socket | None = None

    def stay(self) -> None:
        """Connect where not connected, and say that one is still there."""
        try:
            if self._socket is None:
                url = hub.websocket_url(self.host or "", self._session.path, self.load.token)
                self._socket = Socket(url, on_data=self._session.receive, on_lost=self.broken)
            self._socket.send(hub.stay_alive(self.load.clock()))
        except ConnectionFailed as error:
            self.broken(str(error))

    def on_stop(self) -> None:
        """Disconnect."""
        if self._socket:
            self._socket.close()

    def broken(self, why: str) -> None:
        """See `WatchingUser`; the next `stay` connects again."""
        self._socket = None
        super().broken(why)


class SseMonitorUser(WatchingUser):
    """Watches the stream of all jobs at `/api/events`, and resumes it from its last event where it breaks off."""

    abstract = True
    transport = Transport.SSE

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        observe = self.load.monitor(self.transport, self.name)
        self._session = StackSession(self.name, token=self.load.token, observe=observe)
        self._reader: Greenlet[[], None] | None = None

    def stay(self) -> None:
        """See to it that the stream is read."""
        if self._reader is None or self._reader.dead:
            self._reader = gevent.spawn(self._read)

    def on_stop(self) -> None:
        """Disconnect."""
        if self._reader:
            self._reader.kill()

    def _read(self) -> None:
        api = HttpApi(self.host or "", self._session.headers, connections=1)
        try:
            api.follow(self._session.follow_all(), self.broken)
        finally:
            api.close()


class SlowReaderUser(SseMonitorUser):
    """Reads the stream of all jobs far more slowly than it comes. Nobody else has to notice: nothing of it counts."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        del self.load.watched[self.name]
        self._session = StackSession(self.name, token=self.load.token, observe=_take_time)

    def broken(self, why: str) -> None:
        """A server may well have enough of it."""


def _take_time(_: object) -> None:
    gevent.sleep(SLOW_READ_S)
