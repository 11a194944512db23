"""`JobUser`: a user that submits a job at each intended moment and never waits for the last one to end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from locust import User, tag, task
from locust.exception import StopUser

from harness.load.arrivals import Tickets
from harness.load.latencies import Wire
from harness.load.plan import ENDLESS_S, Plan
from loadtests.clients import JobClient
from loadtests.clients.socket import ConnectionFailed
from loadtests.load import Load

AUDIT_S = 10.0
"""How long a user that stops asks after its jobs."""
THROUGH_S = 3600.0
"""The sleep of a user that has nothing more to submit; whoever stops the load wakes it."""


class JobUser(User):
    """Submits jobs at the load's rate (`wait_time`), measured from the intended moment. Subclass it with a `client`.

    With a `wait_time` of Locust's own, such as `between(1, 5)`, the intended moment is the moment of sending.
    """

    abstract = True
    wire: Wire

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.load = Load.of(environment)
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex[:12]}"
        self.ticket: float | None = None
        """The intended moment of the next job, in hand until the job is sent."""
        self._drawn_from: Tickets | None = None
        self.client: JobClient = self.make_client()

    def make_client(self) -> JobClient:
        """The way in which this user talks to the server."""
        raise NotImplementedError

    def on_start(self) -> None:
        """Connect, then wait for the first intended moment."""
        try:
            self.client.open()
        except ConnectionFailed as error:
            self.load.error(self.wire, "connection", str(error))
            raise StopUser from error
        self.wait()  # type: ignore[no-untyped-call] # untyped in Locust

    def wait_time(self) -> float:
        """Seconds until the next intended moment of the load, which any user may take."""
        return self.draw(self.load.tickets())

    def draw(self, tickets: Tickets) -> float:
        """Take a ticket; answers the seconds until its moment, 0 where that has passed."""
        self._drawn_from = tickets
        self.ticket = tickets.take()
        return THROUGH_S if self.ticket is None else max(0.0, self.ticket - self.load.clock())

    @tag("submit")
    @task
    def submit(self) -> None:
        """Submit one job."""
        ticket, self.ticket = self.ticket, None
        try:
            self.client.submit(f"load-{uuid.uuid4().hex}", self.load.clock() if ticket is None else ticket)
        finally:
            if ticket is not None and self._drawn_from:
                self._drawn_from.use()

    def on_stop(self) -> None:
        """Hand back an unused ticket, ask after jobs whose end was not seen, disconnect."""
        if self.ticket is not None and self._drawn_from:
            self._drawn_from.give_back(self.ticket)
            self.ticket = None
        self.client.audit(AUDIT_S)
        self.client.close()


def constant_arrivals(rate: float) -> Callable[[JobUser], float]:
    """A `wait_time`: all users of the class together submit `rate` jobs a second, evenly, in an open model.

    In distributed mode, it is the rate of each Locust worker.
    """
    tickets: dict[int, Tickets] = {}

    def wait_time(user: JobUser) -> float:
        shared = tickets.get(id(user.environment))
        if shared is None:
            plan = Plan(rate=rate, duration_s=ENDLESS_S)
            shared = tickets[id(user.environment)] = Tickets.of(plan, start_at=user.load.clock())
        return user.draw(shared)

    return wait_time
