"""Monitors: they watch every job and submit none."""

from __future__ import annotations

import uuid
from typing import Any

import gevent
import msgspec
from gevent.greenlet import Greenlet
from locust import User, constant, tag, task

from harness.load.latencies import Wire
from harness.protocols import hub, stack
from harness.protocols.sse import SseParser
from loadtests.clients.http import HttpApi, StreamOver, StreamRefused
from loadtests.clients.modern import NO_ANSWER, RECONNECT_S
from loadtests.clients.socket import ConnectionFailed, JsonSocket
from loadtests.load import Load

KEEP_ALIVE_S = 10


class MonitorUser(User):
    """Watches over `/ws/monitor/{id}`; the delivery of each stamped progress update is a figure.

    Its only request is `stay_alive`, which a hub's monitors send, and by which a stack knows the older dialect.
    """

    wait_time = constant(KEEP_ALIVE_S)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load = Load.of(environment)
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex[:12]}"
        self._socket: JsonSocket | None = None
        self.load.watched[self.name] = 0

    @tag("watch")
    @task
    def watch(self) -> None:
        """Connect where not connected, and say that one is still there."""
        try:
            if self._socket is None:
                url = hub.websocket_url(self.host or "", hub.path_of("monitor", self.name), self.load.token)
                self._socket = JsonSocket(url, on_frame=self._on_frame, on_lost=self._on_lost)
            self._socket.send(hub.stay_alive(self.load.clock()))
        except ConnectionFailed as error:
            self._on_lost(str(error))

    def on_stop(self) -> None:
        """Disconnect."""
        if self._socket:
            self._socket.close()

    def _on_frame(self, frame: dict[str, Any]) -> None:
        if news := hub.event_of(frame):
            self.load.watching(news, Wire.WEBSOCKET, self.name)

    def _on_lost(self, why: str) -> None:
        self._socket = None
        self.load.error(Wire.WEBSOCKET, "monitor", why)


class SseMonitorUser(User):
    """Watches the stream of all jobs at `/api/events`, and resumes it from its last event where it breaks off."""

    wait_time = constant(KEEP_ALIVE_S)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load = Load.of(environment)
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex[:12]}"
        self._reader: Greenlet[[], None] | None = None
        self.load.watched[self.name] = 0

    @tag("watch")
    @task
    def watch(self) -> None:
        """See to it that the stream is read."""
        if self._reader is None or self._reader.dead:
            self._reader = gevent.spawn(self._read)

    def on_stop(self) -> None:
        """Disconnect."""
        if self._reader:
            self._reader.kill()

    def _read(self) -> None:
        api = HttpApi(self.host or "", token=self.load.token, connections=1)
        lines = SseParser()
        try:
            while True:
                self._errand(api, lines)
                gevent.sleep(RECONNECT_S if lines.retry_ms is None else lines.retry_ms / 1000)
        finally:
            api.close()

    def _errand(self, api: HttpApi, lines: SseParser) -> None:
        """Read the stream once, until it ends."""
        why = "the stream ended"
        try:
            for event in api.events(stack.EVENTS, lines):
                if event.event == "gap":
                    self.load.error(Wire.SSE, "monitor", f"gap: {event.data}")
                elif news := stack.event_of(msgspec.json.decode(event.data), event.event, event.id):
                    self.load.watching(news, Wire.SSE, self.name)
        except (StreamOver, StreamRefused) as refusal:
            why = str(refusal) or "the server says that the stream is over"
        except NO_ANSWER as error:
            why = f"stream lost: {error or type(error).__name__}"
        self.load.error(Wire.SSE, "monitor", why)
