"""Ways to spoil what subscribers were told; see `corruptions`."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from harness.history import History, HistoryEvent
from harness.protocols import EventKind
from tests.harness.history.corruptions import ENDS, change, corruption, later, pick, put, without


# delivery
def _delivered(history: History, random: Random, *kinds: EventKind) -> HistoryEvent | None:
    updates = [e for e in history.events if e.kind is EventKind.DELIVERED and e.by.startswith("client")]
    return pick(random, [e for e in updates if not kinds or e.of in kinds])


@corruption("not_delivered", "lost")
def an_update_is_lost(history: History, random: Random):  # type: ignore[no-untyped-def]
    def owed(event: HistoryEvent) -> bool:
        return event.kind is EventKind.DELIVERED and event.by.startswith("client")

    gone = pick(random, [e for e in history.events if owed(e)])
    return (without(history, gone), gone.job_id) if gone else None


@corruption("not_delivered", "lost")
def a_second_subscriber_is_starved(history: History, random: Random):  # type: ignore[no-untyped-def]
    late = pick(random, [e for e in history.events if e.kind is EventKind.SUBSCRIBED and e.by.startswith("late")])
    if late is None or not any(e.at_ms > late.at_ms + 50 for e in history.jobs[late.job_id or ""].log):
        return None
    kept = [
        e for e in history.events if not (e.kind is EventKind.DELIVERED and (e.by, e.job_id) == (late.by, late.job_id))
    ]
    return kept, late.job_id


@corruption("not_delivered", "duplicated")
def an_update_comes_twice(history: History, random: Random):  # type: ignore[no-untyped-def]
    twice = _delivered(history, random)
    return (later(history, twice), twice.job_id) if twice else None


@corruption("not_delivered", "invented")
def an_update_that_never_happened(history: History, random: Random):  # type: ignore[no-untyped-def]
    some = _delivered(history, random)
    return (later(history, some, of=EventKind.PROGRESS, progress=1.25), some.job_id) if some else None


def _neighbours(
    history: History, random: Random, first: EventKind, second: EventKind
) -> tuple[HistoryEvent, HistoryEvent] | None:
    pairs = []
    for job in history.jobs.values():
        names = {event.by for event in job.events if event.kind is EventKind.DELIVERED}
        for name in sorted(name for name in names if name.startswith("client")):  # who joins late may miss some
            got = [event for event in job.events if event.kind is EventKind.DELIVERED and event.by == name]
            ones = [of for of in pairwise(got) if (of[0].of, of[1].of) == (first, second)]
            pairs += [(a, b) for a, b in ones if [e.progress for e in got].count(a.progress) == 1 or b.of in ENDS]
    return random.choice(pairs) if pairs else None


@corruption("not_delivered", "reordered")
def two_updates_swap(history: History, random: Random):  # type: ignore[no-untyped-def]
    pair = _neighbours(history, random, EventKind.PROGRESS, EventKind.PROGRESS)
    return (put(history, pair[0], change(pair[0], at_ms=pair[1].at_ms + 0.001)), pair[0].job_id) if pair else None


@corruption("not_delivered", "end before last progress")
def the_end_overtakes_the_last_progress(history: History, random: Random):  # type: ignore[no-untyped-def]
    pair = _neighbours(history, random, EventKind.PROGRESS, EventKind.COMPLETED)
    if pair is None or len(history.jobs[pair[0].job_id or ""].leases) > 1:
        return None
    return put(history, pair[0], change(pair[0], at_ms=pair[1].at_ms + 0.001)), pair[0].job_id
