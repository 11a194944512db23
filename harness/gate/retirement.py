"""Can the hub's protocols go? Answered from what clients have used and from the last gate, with who is left. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from harness.results import Criterion, Run, Verdict, combine
from harness.results.formatting import listed, plural

MODERN: Final = ("same-facts", "modern-clients", "mixed-clients")
"""The criteria that say whether the modern side is as good as the hub's."""

NAMED: Final = 20


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be seen before the answer can be yes."""

    quiet_days: int = 14
    """Days on which nobody used the hub's protocols."""
    brown_outs: int = 1
    gate_days: int = 30
    """How old the last gate may be."""


class Message(msgspec.Struct, frozen=True):
    """What `GET /api/usage` says of a message; `instead` is None where HTTP and SSE have nothing in its place."""

    count: int
    instead: str | None


class Way(msgspec.Struct, frozen=True):
    """A protocol and dialect that a client has used."""

    protocol: str
    dialect: str
    legacy: bool
    days: dict[date, int]
    messages: dict[str, Message]
    agents: dict[str, object]


class BrownOut(msgspec.Struct, frozen=True):
    """What a brown-out did to a client."""

    began_at: int
    refused: int
    came_back: str | None


class Client(msgspec.Struct, frozen=True):
    """One client."""

    client: str
    ways: list[Way]
    brown_outs: list[BrownOut]

    @property
    def legacy(self) -> list[Way]:
        """What it has used of the hub's protocols."""
        return [way for way in self.ways if way.legacy]

    @property
    def last_legacy(self) -> date | None:
        """The last day on which it used them."""
        return max((max(way.days) for way in self.legacy), default=None)


class Usage(msgspec.Struct, frozen=True):
    """The parts of `GET /api/usage`, its pages put together, that the answer needs."""

    today: date
    counted_since: date | None
    forgotten: int
    clients: list[Client]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the answer, with whom it is about."""

    what: str
    verdict: Verdict
    sentence: str
    names: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The answer, and what it consists of."""

    verdict: Verdict
    checks: tuple[Check, ...]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return {
            Verdict.PASS: "WebSocket can go: nobody uses the hub's protocols any more.",
            Verdict.FAIL: "WebSocket cannot go yet.",
            Verdict.INCONCLUSIVE: "It is not known yet whether WebSocket can go.",
        }[self.verdict]


def can_go(usage: Usage, run: Run | None, terms: Terms, now: datetime) -> Answer:
    """The answer; `run` is the last gate's, None where there is none."""
    checks = (
        _counted(usage, terms),
        _quiet(usage, terms),
        _features(usage, terms),
        _brown_outs(usage, terms),
        _gate(run, terms, now),
    )
    return Answer(combine(check.verdict for check in checks), checks)


def left(usage: Usage, terms: Terms) -> list[Client]:
    """The clients that have used the hub's protocols within the quiet days, the latest first."""
    since = usage.today - timedelta(days=terms.quiet_days - 1)
    found = [client for client in usage.clients if client.last_legacy is not None and client.last_legacy >= since]
    return sorted(found, key=lambda client: (usage.today - (client.last_legacy or since), client.client))


def _counted(usage: Usage, terms: Terms) -> Check:
    what = "long enough counted"
    days = 0 if usage.counted_since is None else (usage.today - usage.counted_since).days + 1
    if days < terms.quiet_days:
        sentence = f"Use has been counted for {plural(days, 'day')}; {terms.quiet_days} are needed."
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence=sentence)
    if usage.forgotten:
        sentence = f"{plural(usage.forgotten, 'client')} had to make room for others: the list is not whole."
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence=sentence)
    return Check(what=what, verdict=Verdict.PASS, sentence=f"Use has been counted for {plural(days, 'day')}.")


def _quiet(usage: Usage, terms: Terms) -> Check:
    found = left(usage, terms)
    once = [client for client in usage.clients if client.legacy]
    quiet = plural(terms.quiet_days, "day")
    if not found:
        sentence = f"None of {plural(len(once), 'client')} that used them has done so for {quiet}."
        return Check(what="nobody uses them", verdict=Verdict.PASS, sentence=sentence)
    sentence = f"{plural(len(found), 'client')} used the hub's protocols within {quiet}."
    names = tuple(_described(client, usage.today) for client in found)
    return Check(what="nobody uses them", verdict=Verdict.FAIL, sentence=sentence, names=names)


def _described(client: Client, today: date) -> str:
    ago = (today - (client.last_legacy or today)).days
    ways = listed(sorted({f"{way.protocol} ({way.dialect})" for way in client.legacy}))
    counts = sorted(((use.count, name) for way in client.legacy for name, use in way.messages.items()), reverse=True)
    agents = sorted({agent or "a program that does not say its name" for way in client.legacy for agent in way.agents})
    moved = "; also by the modern side" if len(client.legacy) < len(client.ways) else ""
    when = "today" if not ago else f"{plural(ago, 'day')} ago"
    used = listed([name for _, name in counts])
    return f"{client.client}: last {when} by {ways}: {used}; {listed(agents, limit=3)}{moved}"


def _features(usage: Usage, terms: Terms) -> Check:
    names = tuple(
        f"{client.client} uses {name}"
        for client in left(usage, terms)
        for way in client.legacy
        for name, use in sorted(way.messages.items())
        if use.instead is None
    )
    if names:
        sentence = "HTTP and server-sent events have nothing in place of what is used."
        return Check(what="all of it can be had", verdict=Verdict.FAIL, sentence=sentence, names=names)
    sentence = "HTTP and server-sent events have all that those who are left use."
    return Check(what="all of it can be had", verdict=Verdict.PASS, sentence=sentence)


def _brown_outs(usage: Usage, terms: Terms) -> Check:
    what = "brown-outs survived"
    held = {one.began_at for client in usage.clients for one in client.brown_outs}
    lost = tuple(sorted(_not_back(usage, terms)))
    if lost:
        sentence = f"{plural(len(lost), 'client')} did not come back after a brown-out."
        return Check(what=what, verdict=Verdict.FAIL, sentence=sentence, names=lost)
    if len(held) < terms.brown_outs and any(client.legacy for client in usage.clients):
        needed = f"{terms.brown_outs} must have been held" if terms.brown_outs > 1 else "one must have been held"
        sentence = f"{plural(len(held), 'brown-out')} met a client; {needed}."
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence=sentence)
    sentence = f"Everybody came back after {plural(len(held), 'brown-out')}."
    return Check(what=what, verdict=Verdict.PASS, sentence=sentence)


def _not_back(usage: Usage, terms: Terms) -> Iterator[str]:
    """Clients that were refused within the quiet days and were not seen since; earlier ones are taken for gone."""
    since = usage.today - timedelta(days=terms.quiet_days - 1)
    for client in usage.clients:
        if client.brown_outs and client.brown_outs[-1].came_back is None:
            last = max((max(way.days) for way in client.ways), default=since)
            if last >= since:
                yield f"{client.client}: refused {plural(client.brown_outs[-1].refused, 'time')}, last seen {last}"


def _gate(run: Run | None, terms: Terms, now: datetime) -> Check:
    what = "the modern side is as good"
    if run is None:
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence="There is no run of the gate to go by.")
    age = (now - run.about.started_at).days
    if age > terms.gate_days:
        sentence = f"The last gate is {plural(age, 'day')} old; at most {terms.gate_days} are allowed."
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence=sentence)
    if run.about.partial:
        sentence = f"The last gate does not count: {run.about.partial}."
        return Check(what=what, verdict=Verdict.INCONCLUSIVE, sentence=sentence)
    found = {criterion.id: criterion for criterion in run.criteria}
    verdicts = {name: _verdict_of(found.get(name)) for name in MODERN}
    worst = combine(verdicts.values())
    short = tuple(f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict is not Verdict.PASS)
    sentence = f"The gate of {run.about.started_at:%Y-%m-%d}: {listed([f'{n} {v}' for n, v in verdicts.items()])}."
    return Check(what=what, verdict=worst, sentence=sentence, names=short)


def _verdict_of(criterion: Criterion | None) -> Verdict:
    return Verdict.INCONCLUSIVE if criterion is None or criterion.left_out else criterion.counts_as
