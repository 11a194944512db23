"""Every subscriber gets every update it is owed, once, in order, and the end last."""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness.history.check_result import CheckResult, Limits, Overdue, Violation
from harness.history.events import HistoryEvent
from harness.history.history import History, JobHistory
from harness.protocols import ENDS, EventKind, Mode

OWED: Final = frozenset(
    {
        EventKind.CLAIMED,
        EventKind.PROGRESS,
        EventKind.COMPLETED,
        EventKind.FAILED,
        EventKind.ATTEMPT_FAILED,
        EventKind.CANCELLED,
    }
)
"""What both protocols report; the rest (released, lease expired, …) only the modern one does, and it is not judged."""

Key = tuple[str, int, float | None]


class Subscription:
    """What one subscriber saw of one job."""

    def __init__(self, job: JobHistory, subscriber: str) -> None:
        self.job = job
        self.subscriber = subscriber
        own = [event for event in job.events if event.by == subscriber]
        self._asked_ms = [event.at_ms for event in own if event.kind is EventKind.SUBSCRIBED]
        self.got = [event for event in own if event.kind is EventKind.DELIVERED and event.of in OWED]
        self.gap_ms = max((event.at_ms for event in own if event.kind is EventKind.GAP), default=0.0)
        self._periods = _periods(own)
        self._submitted_ms = min((e.at_ms for e in own if e.kind is EventKind.SUBMIT), default=float("inf"))
        # The legacy protocol has no attempt numbers and one word for both kinds of failure.
        self.legacy = bool(self.got) and all(event.attempt == 0 for event in self.got)

    def key(self, event: HistoryEvent) -> Key:
        """What makes two updates the same one."""
        kind = event.of if event.kind is EventKind.DELIVERED else event.kind
        if self.legacy:
            word = "failed" if kind is EventKind.ATTEMPT_FAILED else str(kind)
            return (word, 0, event.progress if kind is EventKind.PROGRESS else None)
        return (str(kind), event.attempt, event.progress if kind is EventKind.PROGRESS else None)

    def asked_after(self, event: HistoryEvent) -> int:
        """How often it subscribed after that: who asks about a job that has ended may be notified of the end again."""
        return sum(1 for asked_ms in self._asked_ms if asked_ms >= event.at_ms)

    def may_get(self, event: HistoryEvent, limits: Limits) -> bool:
        """Whether it was there, or near enough to be notified.

        Who submitted the job is told of it on each of its connections, before it follows it there.
        """
        slack = limits.clock_slack_ms
        last_ms = max((left_ms for _, _, left_ms in self._periods), default=0.0)
        if self._submitted_ms - slack <= event.at_ms <= last_ms + slack:
            return True
        return not self._periods or any(
            mode is Mode.WHOLE or since_ms - slack <= event.at_ms <= left_ms + slack
            for mode, since_ms, left_ms in self._periods
        )

    def owed(self, event: HistoryEvent, limits: Limits, history: History) -> Overdue | None:
        """How long it was there for this update, where that was so long, with all parts sound, that nothing excuses its
        absence.

        What Redis or a server held back until it was gone itself went with the connection: the hub's protocol has no
        way to take it up again.
        """
        for mode, since_ms, left_ms in self._periods:
            until_ms = min(left_ms, history.ended_ms)
            joined = mode is Mode.WHOLE or event.at_ms > since_ms + limits.clock_slack_ms
            from_ms = max(event.at_ms, since_ms)
            if joined and history.sound_for(limits.delivery_grace_ms, from_ms, until_ms):
                return Overdue(from_ms, until_ms, limits.delivery_grace_ms)
        return None


def _periods(own: list[HistoryEvent]) -> list[tuple[Mode, float, float]]:
    periods: list[tuple[Mode, float, float]] = []
    since: HistoryEvent | None = None
    for event in own:
        if event.kind is EventKind.SUBSCRIBED and since is None:
            since = event
        elif event.kind is EventKind.UNSUBSCRIBED and since:
            periods.append((since.mode or Mode.WHOLE, since.at_ms, event.at_ms))
            since = None
    if since:
        periods.append((since.mode or Mode.WHOLE, since.at_ms, float("inf")))
    return periods


def check_not_delivered(history: History, limits: Limits) -> CheckResult:
    """Per subscriber and job: nothing lost, doubled, invented or out of order, and no progress after the end."""
    violations: list[Violation] = []
    counts = {"subscriptions": 0, "updates": 0, "excused by a gap": 0}
    for job in history.jobs.values():
        subscribers = dict.fromkeys(e.by for e in job.events if e.kind in (EventKind.SUBSCRIBED, EventKind.DELIVERED))
        for name in subscribers:
            subscription = Subscription(job, name)
            counts["subscriptions"] += 1
            counts["updates"] += len(subscription.got)
            found = _compare(subscription, history, limits)
            excused = [v for v in found if v.form == "lost" and v.at_ms <= subscription.gap_ms]
            counts["excused by a gap"] += len(excused)
            violations += [violation for violation in found if violation not in excused]
    doubts = (f"the recorder of the log missed entries {history.log_gaps} times",) if history.log_gaps else ()
    return CheckResult(
        name="not_delivered",
        examined=counts["subscriptions"],
        violations=tuple(violations),
        counts=counts,
        doubts=doubts,
    )


def _compare(subscription: Subscription, history: History, limits: Limits) -> list[Violation]:
    log = [e for e in subscription.job.log if e.kind in OWED and subscription.may_get(e, limits)]
    if not history.log or (history.log_gaps and not log):
        return []
    happened = Counter(subscription.key(event) for event in log)
    ends = [event for event in subscription.job.log if event.kind in ENDS]  # also one before it came
    again = Counter({subscription.key(event): subscription.asked_after(event) for event in ends})
    once, found = _without_doubles(subscription, happened, again, complete=not history.log_gaps)
    found += _lost(subscription, log, limits, history)
    reordered = _out_of_turn(subscription, once, log)
    return found + ([reordered] if reordered else [])


def _without_doubles(
    subscription: Subscription, happened: Counter[Key], again: Counter[Key], *, complete: bool
) -> tuple[list[HistoryEvent], list[Violation]]:
    left = happened.copy()
    once: list[HistoryEvent] = []
    found: list[Violation] = []
    for event in subscription.got:
        key = subscription.key(event)
        if left[key] > 0:
            left[key] -= 1
            once.append(event)
        elif again[key] > 0:
            again[key] -= 1
        elif happened[key]:
            found.append(_violation(subscription, event, "duplicated", f"{_name(event)} delivered more than once"))
        elif complete:
            found.append(
                _violation(subscription, event, "invented", f"{_name(event)} delivered, but it never happened")
            )
    return once, found


def _lost(subscription: Subscription, log: list[HistoryEvent], limits: Limits, history: History) -> list[Violation]:
    left: dict[Key, list[float]] = {}
    for event in subscription.got:
        left.setdefault(subscription.key(event), []).append(event.at_ms)
    found = []
    passed_over = False
    # Equal updates: from the end, each with the last delivery since it happened. Of those in a time of absence nothing
    # is owed, and they take no delivery from others.
    for event, owed in reversed([(one, subscription.owed(one, limits, history)) for one in log]):
        if owed is None:
            continue
        deliveries = left.get(subscription.key(event), [])
        if deliveries and deliveries[-1] >= event.at_ms - limits.clock_slack_ms:
            deliveries.pop()
            passed_over = True
        else:
            said = f"{_name(event)} never delivered"
            # Where a later one came it was dropped: it is not on its way any more.
            found.append(_violation(subscription, event, "lost", said, None if passed_over else owed))
    return found[::-1]


def _out_of_turn(subscription: Subscription, once: list[HistoryEvent], log: list[HistoryEvent]) -> Violation | None:
    """What was delivered has to be a subsequence of what happened."""
    rest = iter(log)
    ended = False
    for event in once:
        key = subscription.key(event)
        if not any(subscription.key(happened) == key for happened in rest):
            early = ended and event.of is EventKind.PROGRESS
            form = "end before last progress" if early else "reordered"
            return _violation(subscription, event, form, f"{_name(event)} delivered out of turn")
        ended = event.of in ENDS or (ended and event.of is not EventKind.CLAIMED)
    return None


def _name(event: HistoryEvent) -> str:
    kind = event.of if event.kind is EventKind.DELIVERED else event.kind
    return f"progress {event.progress:g}" if kind is EventKind.PROGRESS and event.progress is not None else str(kind)


def _violation(
    subscription: Subscription, event: HistoryEvent, form: str, sentence: str, overdue: Overdue | None = None
) -> Violation:
    return Violation(
        job_id=subscription.job.id,
        form=form,
        sentence=f"{sentence} to {subscription.subscriber}",
        at_ms=event.at_ms,
        subscriber=subscription.subscriber,
        overdue=overdue,
    )
