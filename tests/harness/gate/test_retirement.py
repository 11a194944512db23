"""Can WebSocket go? Yes, no, or not known, with who is left."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from harness.gate.retirement import (
    MODERN,
    Answer,
    BrownOut,
    Check,
    Client,
    Message,
    Terms,
    Usage,
    Way,
    can_go,
)
from harness.results import About, Criterion, Machine, Parts, Run, Verdict, conclude

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TODAY = NOW.date()
TERMS = Terms()


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def way(protocol: str, *ago: int, messages: dict[str, str | None] | None = None) -> Way:
    said = {"submit_job": "POST /api/jobs"} if messages is None else messages
    return Way(
        protocol=protocol,
        dialect="hub" if protocol in {"websocket", "rest"} else "modern",
        legacy=protocol in {"websocket", "rest"},
        days=dict.fromkeys(map(day, ago), 3),
        messages={name: Message(3, instead) for name, instead in said.items()},
        agents={"app/1": None},
    )


def client(name: str, *ways: Way, back: str | None = "http modern") -> Client:
    return Client(name, list(ways), [BrownOut(1, 2, back)])


def usage(*clients: Client, **changes: Any) -> Usage:
    return Usage(**{"today": TODAY, "counted_since": day(60), "forgotten": 0, "clients": list(clients)} | changes)


MOVED = client("moved", way("websocket", 40, 20), way("http", 19, 0))
STAYED = client("stayed", way("websocket", 30, 2))
"""Came back by HTTP once, and goes on over a WebSocket."""


def gate(*verdicts: tuple[str, Verdict], days_ago: int = 1) -> Run:
    """A run that judged the modern side so."""
    said = dict.fromkeys(MODERN, Verdict.PASS) | dict(verdicts)
    about = About(
        id="run",
        started_at=NOW - timedelta(days=days_ago),
        seconds=1,
        profile="quick",
        command=("hubgate", "gate"),
        machine=Machine(system="Linux", cores=2),
    )
    statement = {"title": "t", "sentence": "s", "source": "p", "measured": "m"}
    criteria = tuple(Criterion(id=name, verdict=verdict, explanation="", **statement) for name, verdict in said.items())
    return conclude(about, Parts(criteria=criteria))


def check(found: Answer, what: str) -> Check:
    [one] = [check for check in found.checks if check.what == what]
    return one


def test_it_can_go_where_nobody_uses_it_and_everything_was_seen() -> None:
    found = can_go(usage(MOVED), gate(), TERMS, NOW)
    assert found.verdict is Verdict.PASS, found
    assert found.sentence.startswith("WebSocket can go")


def test_who_is_left_is_named_with_what_it_used() -> None:
    found = can_go(usage(MOVED, STAYED), gate(), TERMS, NOW)
    assert found.verdict is Verdict.FAIL
    [name] = check(found, "nobody uses them").names
    assert name == "stayed: last 2 days ago by websocket (hub): submit_job; app/1"


def test_legacy_rest_counts_as_well_and_the_latest_comes_first() -> None:
    rest = client("rest-api-client", way("rest", 0), way("http", 0))
    names = check(can_go(usage(STAYED, rest), gate(), TERMS, NOW), "nobody uses them").names
    assert [name.partition(":")[0] for name in names] == ["rest-api-client", "stayed"]
    assert names[0].endswith("also by the modern side")


def test_a_feature_that_http_lacks_is_named_while_somebody_uses_it() -> None:
    page = client("page", way("websocket", 1, messages={"sync_job_state": None, "connect": ""}))
    found = check(can_go(usage(page), gate(), TERMS, NOW), "all of it can be had")
    assert (found.verdict, found.names) == (Verdict.FAIL, ("page uses sync_job_state",))
    gone = client("page", way("websocket", 50, messages={"sync_job_state": None}))
    assert check(can_go(usage(gone), gate(), TERMS, NOW), "all of it can be had").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"counted_since": day(3)}, "counted for 4 days; 14 are needed"),
        ({"counted_since": None}, "counted for 0 days"),
        ({"forgotten": 2}, "2 clients had to make room"),
    ],
)
def test_what_was_not_counted_is_not_known(changes: dict[str, Any], says: str) -> None:
    found = can_go(usage(MOVED, **changes), gate(), TERMS, NOW)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert says in check(found, "long enough counted").sentence


def test_a_client_that_did_not_come_back_fails_and_no_brown_out_leaves_it_open() -> None:
    lost = client("lost", way("websocket", 3), back=None)
    found = check(can_go(usage(lost), gate(), TERMS, NOW), "brown-outs survived")
    assert (found.verdict, found.names) == (Verdict.FAIL, (f"lost: refused 2 times, last seen {day(3)}",))
    long_gone = client("long-gone", way("websocket", 40), back=None)
    assert check(can_go(usage(long_gone), gate(), TERMS, NOW), "brown-outs survived").verdict is Verdict.PASS
    untried = Client("moved", MOVED.ways, [])
    assert can_go(usage(untried), gate(), TERMS, NOW).verdict is Verdict.INCONCLUSIVE
    assert can_go(usage(untried), gate(), Terms(brown_outs=0), NOW).verdict is Verdict.PASS
    assert can_go(usage(Client("new", [way("http", 0)], [])), gate(), TERMS, NOW).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (None, Verdict.INCONCLUSIVE),
        (gate(days_ago=31), Verdict.INCONCLUSIVE),
        (gate(("same-facts", Verdict.FAIL)), Verdict.FAIL),
        (gate(("modern-clients", Verdict.INCONCLUSIVE)), Verdict.INCONCLUSIVE),
        (gate(("claims", Verdict.FAIL)), Verdict.PASS),
    ],
)
def test_the_last_gate_vouches_for_the_modern_side(run: Run | None, verdict: Verdict) -> None:
    assert can_go(usage(MOVED), run, TERMS, NOW).verdict is verdict


@pytest.mark.parametrize(("about", "says"), [({"only": MODERN}, "alone"), ({"changed": "no-reaper"}, "no-reaper")])
def test_a_gate_that_was_not_whole_or_not_of_the_sound_stack_vouches_for_nothing(
    about: dict[str, Any], says: str
) -> None:
    run = gate()
    other = msgspec.structs.replace(run, about=msgspec.structs.replace(run.about, **about))
    found = check(can_go(usage(MOVED), other, TERMS, NOW), "the modern side is as good")
    assert (found.verdict, says in found.sentence) == (Verdict.INCONCLUSIVE, True)


def test_a_criterion_that_was_not_tried_vouches_for_nothing() -> None:
    run = gate()
    without = msgspec.structs.replace(run, criteria=run.criteria[1:])
    assert can_go(usage(MOVED), without, TERMS, NOW).verdict is Verdict.INCONCLUSIVE
