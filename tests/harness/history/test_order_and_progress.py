"""The line, and progress: what is out of order, and what only looks like it."""

from __future__ import annotations

from harness.history import CHECKERS, History, HistoryEvent, Limits, Source
from harness.protocols import EventKind
from tests.harness.history.story import Story


def test_the_older_of_two_goes_first() -> None:
    assert Story().job("a").job("b").claim("b", "w1").forms("out_of_order") == [("b", "younger first")]
    assert Story().job("a").job("b").claim("a", "w1").claim("b", "w2").forms("out_of_order") == []


def test_the_higher_of_two_goes_first() -> None:
    story = Story().job("a").job("b", priority=5).claim("a", "w1")
    assert story.forms("out_of_order") == [("a", "lower priority first")]
    assert story.judged_by("out_of_order").violations[0].others == ("b",)


def test_one_priority_point_outweighs_any_age() -> None:
    """A score of 1000 a priority point plus the clock breaks this after a second."""
    story = Story().job("a").wait(60_000).job("b", priority=1).claim("b", "w1").claim("a", "w2")
    assert story.forms("out_of_order") == []


def test_who_came_after_the_claim_was_not_passed_over() -> None:
    assert Story().job("a").claim("a", "w1").job("b", priority=9).forms("out_of_order") == []


def test_a_job_in_hand_is_not_passed_over() -> None:
    story = Story().job("a").claim("a", "w1").job("b").claim("b", "w2").complete("a").complete("b")
    assert story.forms("out_of_order") == []


def test_a_job_that_came_back_has_its_old_place() -> None:
    story = Story().job("a").job("b").claim("a", "w1").say(EventKind.RELEASED, "a").claim("b", "w2")
    assert story.forms("out_of_order") == [("b", "younger first")]


def test_a_failed_job_waits_out_its_delay_beside_the_line() -> None:
    story = Story().job("a").job("b").claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a").claim("b", "w2")
    assert story.forms("out_of_order") == []


def test_lines_of_two_services_are_two_lines() -> None:
    story = Story().job("a")
    story.about["b"] = {"priority": 0, "service": "upscale"}
    assert story.log(EventKind.SUBMITTED, "b").claim("b", "w2").forms("out_of_order") == []


def test_who_was_acknowledged_before_the_other_was_sent_stands_before_it() -> None:
    story = Story().add(Source.CLIENT, EventKind.SUBMIT, "a").add(Source.CLIENT, EventKind.ACCEPTED, "a")
    story.job("b").log(EventKind.SUBMITTED, "a")
    assert story.forms("out_of_order") == [("b", "entered early")]


def test_a_hubs_claims_are_judged_by_what_its_clients_know() -> None:
    """A monitor is told neither of submissions nor of priorities; and an offer takes a moment to become a claim."""

    def client(at_ms: float, kind: EventKind, job_id: str, priority: int) -> HistoryEvent:
        about = {"service": "simulation", "priority": priority}
        return HistoryEvent(at_ms=at_ms, source=Source.CLIENT, kind=kind, job_id=job_id, **about)  # type: ignore[arg-type]

    def claim(at_ms: float, job_id: str) -> HistoryEvent:
        return HistoryEvent(at_ms=at_ms, source=Source.MONITOR, kind=EventKind.CLAIMED, job_id=job_id, worker_id="w")

    entered = [client(10, EventKind.ACCEPTED, "low", 0), client(20, EventKind.ACCEPTED, "high", 5)]
    order, limits = CHECKERS["out_of_order"], Limits(order_window_ms=500)
    assert order(History([*entered, claim(900, "low")]), limits).jobs == ("low",)
    assert order(History([*entered, claim(400, "low")]), limits).clean
    assert order(History([*entered, claim(900, "high"), claim(901, "low")]), limits).clean


def test_progress_falls_within_an_attempt_only() -> None:
    assert Story().job("a").claim("a", "w1").progress("a", 50).progress("a", 40).forms("progress_back") == [
        ("a", "fell")
    ]
    story = Story().job("a").claim("a", "w1").progress("a", 50).say(EventKind.RELEASED, "a").claim("a", "w2")
    assert story.progress("a", 10).forms("progress_back") == []


def test_progress_that_stands_or_is_unknown_does_not_fall() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 50).progress("a", 50).progress("a", -1).progress("a", 60)
    assert story.forms("progress_back") == []


def test_progress_may_fall_for_one_subscriber_alone() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 10).progress("a", 20)
    story.got("a", "one", EventKind.PROGRESS, progress=10).got("a", "one", EventKind.PROGRESS, progress=20)
    story.got("a", "two", EventKind.PROGRESS, progress=20).got("a", "two", EventKind.PROGRESS, progress=10)
    result = story.judged_by("progress_back")
    assert [violation.subscriber for violation in result.violations] == ["two"]


def test_every_step_of_the_script_reaches_the_log() -> None:
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 10).complete("a")
    assert story.forms("steps") == [("a", "dropped")]
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 10).progress("a", 10).progress("a", 50)
    assert story.complete("a").forms("steps") == [("a", "repeated")]
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 50).progress("a", 10).complete("a")
    assert story.forms("steps") == [("a", "reordered")]


def test_steps_of_an_attempt_that_was_cut_short_are_not_missed() -> None:
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 10).say(EventKind.RELEASED, "a")
    story.claim("a", "w2").progress("a", 10).progress("a", 50).progress("a", 100).complete("a")
    assert story.forms("steps") == []


def test_steps_told_before_its_worker_regained_the_lease_count() -> None:
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 10).say(EventKind.LEASE_EXPIRED, "a")
    assert story.claim("a", "w1", attempt=1).progress("a", 50).complete("a").forms("steps") == []
    story = Story().job("a", steps=(10.0, 50.0)).claim("a", "w1").progress("a", 10).say(EventKind.LEASE_EXPIRED, "a")
    assert story.claim("a", "w2").progress("a", 50).complete("a").forms("steps") == [("a", "dropped")]
