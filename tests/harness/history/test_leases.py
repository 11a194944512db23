"""Held by two, taken without cause, run after a cancel: and what only looks like it."""

from __future__ import annotations

from harness.history import History, HistoryEvent, Source, check_all
from harness.protocols import EventKind
from tests.harness.history.sound import LIMITS
from tests.harness.history.story import Story


def test_two_claims_without_an_end_between_are_two_holders() -> None:
    story = Story().job("a").claim("a", "w1").claim("a", "w2").complete("a").settle()
    assert story.forms("double_claim") == [("a", "two at once")]


def test_a_claim_after_a_lease_has_run_out_is_lawful() -> None:
    story = (
        Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").wait(1_000).say(EventKind.LEASE_EXPIRED, "a")
    )
    story.claim("a", "w2").complete("a").settle()
    assert story.forms("double_claim") == story.forms("unjustified_expiry") == story.forms("recovery") == []


def test_nothing_of_an_old_attempt_is_accepted() -> None:
    story = (
        Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1").wait(1_000).say(EventKind.LEASE_EXPIRED, "a")
    )
    story.claim("a", "w2").log(EventKind.PROGRESS, "a", "w1", 1, progress=50).complete("a").settle()
    assert story.forms("double_claim") == [("a", "stale accepted")]


def test_nothing_is_accepted_while_nobody_holds_the_job() -> None:
    story = (
        Story().job("a").claim("a", "w1").say(EventKind.RELEASED, "a").log(EventKind.COMPLETED, "a", "w1", 1).settle()
    )
    assert story.forms("double_claim") == [("a", "stale accepted")]


def test_a_late_end_is_accepted_while_nobody_has_claimed_the_job_since() -> None:
    story = (
        Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1").wait(1_000).say(EventKind.LEASE_EXPIRED, "a")
    )
    story.log(EventKind.COMPLETED, "a", "w1", 1).settle()
    assert story.forms("double_claim") == []


def test_a_worker_that_renews_a_lease_that_ran_out_goes_on_as_the_same_attempt() -> None:
    story = Story().job("first").job("a").claim("first", "w2").claim("a", "w1").fault(EventKind.STOPPED, "w1")
    story.say(EventKind.RELEASED, "first").wait(1_000).say(EventKind.LEASE_EXPIRED, "a").wait(1_000)
    story.claim("a", "w1", attempt=1).complete("a").settle()
    assert story.forms("double_claim") == story.forms("out_of_order") == []


def test_a_lease_that_ran_out_is_not_regained_by_another_worker() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1").say(EventKind.LEASE_EXPIRED, "a")
    story.claim("a", "w2", attempt=1).complete("a").settle()
    assert story.forms("double_claim") == [("a", "fence not rising")]


def test_the_fence_has_to_rise() -> None:
    story = Story().job("a").claim("a", "w1").say(EventKind.RELEASED, "a").claim("a", "w2", attempt=1).complete("a")
    assert story.settle().forms("double_claim") == [("a", "fence not rising")]


def test_a_lease_that_runs_out_on_a_sound_worker_was_not_renewed() -> None:
    story = (
        Story()
        .job("a")
        .claim("a", "w1")
        .fault(EventKind.KILLED, "w2")
        .wait(1_000)
        .say(EventKind.LEASE_EXPIRED, "a")
        .settle()
    )
    assert story.forms("unjustified_expiry") == [("a", "lease not renewed")]


def test_a_cut_line_to_redis_is_a_cause() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.PARTITIONED, target="redis").wait(1_000)
    assert story.say(EventKind.LEASE_EXPIRED, "a").settle().forms("unjustified_expiry") == []


def test_cut_clients_are_no_cause_for_a_worker() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.PARTITIONED, target="api").wait(1_000)
    assert story.say(EventKind.LEASE_EXPIRED, "a").settle().forms("unjustified_expiry") == [("a", "lease not renewed")]


def test_a_fault_long_healed_is_no_cause() -> None:
    story = Story().fault(EventKind.STOPPED, "w1").fault(EventKind.CONTINUED, "w1").wait(5_000)
    story.job("a").claim("a", "w1").wait(1_000).say(EventKind.LEASE_EXPIRED, "a").settle()
    assert story.forms("unjustified_expiry") == [("a", "lease not renewed")]


def test_a_hub_need_not_tell_that_it_took_a_job_from_a_dead_worker() -> None:
    def claim(at_ms: float, worker_id: str) -> HistoryEvent:
        source, kind = Source.MONITOR, EventKind.CLAIMED
        return HistoryEvent(at_ms=at_ms, source=source, kind=kind, job_id="a", worker_id=worker_id)

    killed = HistoryEvent(at_ms=15, source=Source.HARNESS, kind=EventKind.KILLED, worker_id="w1")
    held = {r.name: r for r in check_all(History([claim(10, "w1"), killed, claim(40_000, "w2")]), LIMITS)}
    assert held["double_claim"].clean
    held = {r.name: r for r in check_all(History([claim(10, "w1"), claim(40_000, "w2")]), LIMITS)}
    assert held["double_claim"].forms == {"two at once": 1}


def test_a_cancelled_job_is_neither_begun_nor_gone_on_with() -> None:
    story = Story().job("a").say(EventKind.CANCELLED, "a").claim("a", "w1").progress("a", 20).settle()
    assert story.forms("started_after_cancel") == [("a", "started"), ("a", "progress accepted")]


def test_a_claim_seen_late_is_no_start_after_the_cancel() -> None:
    """The log's own order counts; a worker's clock and a client's may be a little apart."""
    story = (
        Story()
        .job("a")
        .claim("a", "w1")
        .say(EventKind.CANCELLED, "a")
        .add(Source.WORKER, EventKind.STARTED, "a")
        .settle()
    )
    assert story.forms("started_after_cancel") == []


def begun_after_the_cancel(*, claimed_before: bool = True, stopped: bool = True) -> Story:
    """A worker that was stopped with its claim's answer unread begins; others had the job meanwhile."""
    story = Story().job("a")
    if stopped:
        story.fault(EventKind.STOPPED, "w1")
    if claimed_before:
        story.claim("a", "w1").wait(900).say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2")
    story.say(EventKind.CANCELLED, "a").wait(300)
    if stopped:
        story.fault(EventKind.CONTINUED, "w1")
    return story.add(Source.WORKER, EventKind.STARTED, "a", worker_id="w1", attempt=1).settle()


def test_a_worker_that_was_stopped_begins_what_it_had_claimed_before_it_can_hear_of_the_cancel() -> None:
    assert begun_after_the_cancel().forms("started_after_cancel") == []


def test_a_worker_that_could_hear_of_the_cancel_or_had_no_claim_does_not_begin() -> None:
    for told in (begun_after_the_cancel(stopped=False), begun_after_the_cancel(claimed_before=False)):
        assert told.forms("started_after_cancel") == [("a", "started")]


def test_a_job_retried_by_hand_after_its_cancel_may_run() -> None:
    story = (
        Story()
        .job("a")
        .say(EventKind.CANCELLED, "a")
        .log(EventKind.RETRIED, "a")
        .claim("a", "w1")
        .complete("a")
        .settle()
    )
    assert story.forms("started_after_cancel") == []


def test_a_worker_has_a_moment_to_stop_a_cancelled_job() -> None:
    story = Story().job("a").claim("a", "w1").say(EventKind.CANCELLED, "a").wait(200).running("w1", "a")
    assert story.wait(300).running("w1").settle().forms("cancel_ignored") == []


def test_a_worker_that_goes_on_with_a_cancelled_job_ignored_it() -> None:
    story = Story().job("a").claim("a", "w1").say(EventKind.CANCELLED, "a").wait(400).running("w1", "a").settle()
    assert story.forms("cancel_ignored") == [("a", "still running")]


def test_a_frozen_worker_cannot_hear_a_cancel() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1").say(EventKind.CANCELLED, "a").wait(400)
    assert story.running("w1", "a").settle().forms("cancel_ignored") == []


def test_recovery_is_measured_and_late_is_late() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").wait(990).say(EventKind.LEASE_EXPIRED, "a")
    result = story.claim("a", "w2").complete("a").settle().judged_by("recovery")
    assert result.clean
    assert result.figures["back_in_queue"] == (1_000,)
    assert result.figures["claimed_again"] == (1_010,)
    late = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").wait(1_600).say(EventKind.LEASE_EXPIRED, "a")
    assert late.claim("a", "w2").complete("a").settle().forms("recovery") == [("a", "late")]


def test_recovery_waits_while_redis_is_away() -> None:
    story = (
        Story()
        .job("a")
        .claim("a", "w1")
        .fault(EventKind.KILLED, "w1")
        .fault(EventKind.REDIS_DOWN, target="redis")
        .wait(1_000)
    )
    story.fault(EventKind.REDIS_UP, target="redis").wait(600).say(EventKind.LEASE_EXPIRED, "a").claim(
        "a", "w2"
    ).complete("a").settle()
    assert story.forms("recovery") == []


def test_recovery_waits_while_nobody_is_there_who_reaps() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").fault(EventKind.KILLED, target="api-1")
    story.wait(900).fault(EventKind.REDIS_DOWN, target="redis").wait(200).fault(EventKind.UP, target="api-1")
    story.wait(200).fault(EventKind.REDIS_UP, target="redis").wait(1_400)
    story.say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").complete("a").settle()
    assert story.forms("recovery") == []


def test_a_server_that_was_away_earlier_excuses_no_late_recovery() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, target="api-1").wait(1_000)
    story.fault(EventKind.UP, target="api-1").fault(EventKind.KILLED, "w1").wait(1_600)
    assert story.say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").complete("a").settle().forms("recovery") == [
        ("a", "late")
    ]


def test_a_server_that_is_away_excuses_no_late_recovery_while_another_is_there() -> None:
    story = Story().fault(EventKind.KILLED, target="api-2").wait(100).fault(EventKind.UP, target="api-2")
    story.job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").fault(EventKind.KILLED, target="api-1").wait(1_600)
    story.say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").complete("a").settle()
    assert story.forms("recovery") == [("a", "late")]


def test_recovery_waits_while_both_servers_are_away() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").fault(EventKind.KILLED, target="api-1")
    story.fault(EventKind.KILLED, target="api-2").wait(500).fault(EventKind.UP, target="api-2").wait(1_400)
    story.say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").complete("a").settle()
    assert story.forms("recovery") == []


def test_a_stop_shorter_than_the_lease_needs_no_recovery() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1").wait(300).fault(EventKind.CONTINUED, "w1")
    assert story.wait(5_000).complete("a").settle().judged_by("recovery").examined == 0
