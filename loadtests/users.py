"""Locust users for a hub or a stack, to be used from any locustfile. Locust runs only subclasses of them:

from loadtests.users import LegacyWebSocketUser, constant_arrivals

class OldClient(LegacyWebSocketUser):
    host = "http://127.0.0.1:8000"
    wait_time = constant_arrivals(5)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
from gevent.greenlet import Greenlet
from locust import User, constant, tag, task
from locust.exception import StopUser

from harness.clients.sessions import HubSession, StackSession
from harness.load.arrivals import ENDLESS_S, Arrivals, Plan
from harness.load.latencies import Transport
from harness.protocols import hub
from loadtests.clients import HybridClient, JobClient, LegacyClient, ModernClient, RestClient, TwinClient
from loadtests.load import Load
from loadtests.transport import ConnectionFailed, HttpApi, Socket, sent_away

THROUGH_S: Final = 3600.0
"""The sleep of a user that has nothing more to submit; whoever stops the load wakes it."""


class JobUser(User):
    """Submits jobs at the load's rate (`wait_time`), measured from the intended moment. A subclass names its client.

    With a `wait_time` of Locust's own, such as `between(1, 5)`, the intended moment is the moment of sending.
    """

    abstract = True
    client_class: Callable[[Load, str, str], JobClient]
    """How this user talks to the server."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load = Load.of(environment)
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex[:12]}"
        self._moment: float | None = None
        """The intended moment of the next job, in hand until the job is sent."""
        self._taken_from: Arrivals | None = None
        self.client: JobClient = self.client_class(self.load, self.host or "", self.name)

    def on_start(self) -> None:
        """Connect, then wait for the first intended moment."""
        try:
            self.client.open()
        except ConnectionFailed as error:
            self.load.error("user", "connection", str(error))
            raise StopUser from error
        self.wait()  # type: ignore[no-untyped-call] # untyped in Locust

    def wait_time(self) -> float:
        """Seconds until the next intended moment of the load, which any user may take."""
        return self.take(self.load.arrivals())

    def take(self, arrivals: Arrivals) -> float:
        """Take the next intended moment; answers the seconds until then, 0 where it has passed."""
        self._taken_from = arrivals
        self._moment = arrivals.take()
        return THROUGH_S if self._moment is None else max(0.0, self._moment - self.load.clock())

    @tag("submit")
    @task
    def submit(self) -> None:
        """Submit one job."""
        moment, self._moment = self._moment, None
        try:
            self.client.submit(self.load.next_job(), self.load.clock() if moment is None else moment)
        finally:
            if moment is not None and self._taken_from:
                self._taken_from.use()

    def on_stop(self) -> None:
        """Give back a moment that was not used, ask after jobs whose end was not seen, disconnect."""
        if self._moment is not None and self._taken_from:
            self._taken_from.give_back(self._moment)
            self._moment = None
        self.client.audit()
        self.client.close()


class LegacyWebSocketUser(JobUser):
    """Has not been ported: it submits over `/ws/client/{id}` and is notified there, by a hub and by a stack."""

    abstract = True
    client_class = LegacyClient


class TwinWebSocketUser(JobUser):
    """As that one, with a second connection under its id that only listens: the first has to miss nothing."""

    abstract = True
    client_class = TwinClient


class ModernSseUser(JobUser):
    """Has been ported: it posts to `/api/jobs` and follows each job at `/api/jobs/{id}/progress`."""

    abstract = True
    client_class = ModernClient


class LegacyRestUser(JobUser):
    """Has not been ported: it posts to the hub's REST, and asks again and again how its jobs stand."""

    abstract = True
    client_class = RestClient


class HybridUser(JobUser):
    """Is being ported: it speaks the old protocol or the new one, by the share in force."""

    abstract = True
    client_class = HybridClient


def constant_arrivals(rate: float) -> Callable[[JobUser], float]:
    """A `wait_time`: all users of the class together submit `rate` jobs a second, evenly, in an open model.

    In distributed mode, it is the rate of each Locust worker.
    """
    by_load: WeakKeyDictionary[Load, Arrivals] = WeakKeyDictionary()

    def wait_time(user: JobUser) -> float:
        arrivals = by_load.get(user.load)
        if arrivals is None:
            plan = Plan(rate=rate, duration_s=ENDLESS_S)
            arrivals = by_load[user.load] = Arrivals.of(plan, start_at=user.load.clock())
        return user.take(arrivals)

    return wait_time


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
                self._socket = Socket(url, on_data=self._session.receive, on_lost=self._lost)
            self._socket.send(hub.stay_alive(self.load.clock()))
        except ConnectionFailed as error:
            self._lost(error)

    def _lost(self, error: ConnectionFailed) -> None:
        self.broken(sent_away(error) or str(error))

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
