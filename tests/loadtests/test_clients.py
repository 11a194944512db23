"""What a client of a load asks for once it has a connection again."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest
from msgspec.structs import replace

from harness.load.arrivals import Plan
from harness.load.ledger import Outcome
from harness.load.population import DEFAULT_JOB, planned
from harness.protocols.hub import Frame
from loadtests.clients import LegacyClient
from loadtests.load import Load
from loadtests.transport import ConnectionFailed

ALWAYS_FAILS = {"simulate": [{"fail": "each time"}]}


class Events:
    """Of a Locust environment of which nothing is looked at."""

    class request:  # noqa: N801 - Locust's name
        @staticmethod
        def fire(**_: Any) -> None:
            """Nobody looks."""


class Environment:
    """All that a load uses of Locust."""

    events = Events
    parsed_options = None


class Line:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.sent.append(frame)

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def client(line: Line, monkeypatch: pytest.MonkeyPatch) -> LegacyClient:
    """Connected; its line comes back at once when it is lost."""
    monkeypatch.setattr("loadtests.clients.RECONNECT_S", (0.0,))
    monkeypatch.setattr("loadtests.clients.ASK_AGAIN_S", 0.0)
    monkeypatch.setattr("loadtests.clients.Socket", lambda *_, **__: line)
    load = Load(Environment(), plan=Plan(rate=1, duration_s=1))
    client = LegacyClient(load, "http://localhost", "page")
    client.open()
    return client


def load_of(client: LegacyClient) -> Load:
    return client._load


def submit(client: LegacyClient) -> str:
    """A job of which each attempt fails, three times over."""
    job = planned(replace(DEFAULT_JOB, job_id="j", payload=ALWAYS_FAILS))
    client.submit(job, load_of(client).clock())
    return "j"


def tell(client: LegacyClient, kind: str, **fields: Any) -> None:
    client._session.receive(json.dumps({"type": kind, "job_id": "j", **fields}))
    gevent.sleep(0.01)


def asked(line: Line) -> int:
    return sum(frame["type"] == "request_job_status" for frame in line.sent)


def test_whether_a_failure_was_the_last_is_asked_for_where_one_may_have_been_missed(
    client: LegacyClient, line: Line
) -> None:
    submit(client)
    tell(client, "job_accepted", status="pending")
    tell(client, "fail_job", error="each time")
    assert asked(line) == 0, "failures are counted"
    client._on_lost(ConnectionFailed("connection lost"))
    tell(client, "response_job_status", status="pending")
    before = asked(line)
    tell(client, "fail_job", error="each time")
    assert asked(line) == before + 1
    tell(client, "response_job_status", status="failed")
    assert load_of(client).ledger.outstanding == 0
    assert load_of(client).ledger.jobs().outcomes[Outcome.FAILED] == 1


def test_a_submission_that_was_lost_with_its_connection_is_not_waited_for(client: LegacyClient, line: Line) -> None:
    submit(client)
    client._on_lost(ConnectionFailed("connection lost"))
    assert asked(line) == 1
    tell(client, "error", error="Job j not found")
    assert asked(line) == 2, "it may have been on its way"
    assert load_of(client).ledger.outstanding == 1
    tell(client, "error", error="Job j not found")
    assert asked(line) == 2
    assert load_of(client).ledger.outstanding == 0
