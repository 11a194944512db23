"""What workers ran, by their journals. Leases are 1,000 ms here."""

from __future__ import annotations

from harness.history import Source
from harness.protocols import EventKind
from tests.harness.history.story import Story


def ran(story: Story, worker_id: str, attempt: int, of: EventKind) -> Story:
    about = {"worker_id": worker_id, "by": worker_id, "pid": 1, "attempt": attempt}
    story.add(Source.WORKER, EventKind.STARTED, "a", **about)
    return story.add(Source.WORKER, EventKind.FINISHED, "a", of=of, **about)


def done_by_another(story: Story) -> Story:
    """The lease of w1's claim, which was not heard, runs out; w2 does the job."""
    story.wait(1_000).say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2")
    return ran(story, "w2", 2, EventKind.COMPLETED).complete("a")


def test_a_worker_kept_from_its_claims_answer_may_begin_what_another_has_done() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.STOPPED, "w1")
    done_by_another(story).wait(200).fault(EventKind.CONTINUED, "w1")
    assert ran(story, "w1", 1, EventKind.RELEASED).forms("run_twice") == []


def test_a_sound_worker_may_not_begin_what_another_has_done() -> None:
    story = done_by_another(Story().job("a").claim("a", "w1"))
    assert ran(story, "w1", 1, EventKind.RELEASED).forms("run_twice") == [("a", "work repeated")]


def test_what_was_done_to_a_worker_before_its_claim_excuses_nothing() -> None:
    story = Story().fault(EventKind.STOPPED, "w1").fault(EventKind.CONTINUED, "w1").wait(100)
    story = done_by_another(story.job("a").claim("a", "w1"))
    assert ran(story, "w1", 1, EventKind.RELEASED).forms("run_twice") == [("a", "work repeated")]


def outlasted(after_ms: float) -> Story:
    """Done by w1 while Redis was away, which is killed again so much later; then run by w2 all the same."""
    story = Story().job("a").claim("a", "w1").add(Source.WORKER, EventKind.STARTED, "a", worker_id="w1", attempt=1)
    story.fault(EventKind.REDIS_DOWN, target="redis").wait(400)
    story.add(Source.WORKER, EventKind.FINISHED, "a", worker_id="w1", attempt=1, of=EventKind.COMPLETED)
    story.wait(100).fault(EventKind.REDIS_UP, target="redis").wait(after_ms)
    story.fault(EventKind.REDIS_DOWN, target="redis").fault(EventKind.REDIS_UP, target="redis").wait(1_000)
    return ran(story.say(EventKind.RELEASED, "a").claim("a", "w2"), "w2", 2, EventKind.COMPLETED).complete("a")


def test_an_end_that_waited_for_redis_is_told_when_it_is_back() -> None:
    assert outlasted(2_500).forms("run_twice") == [("a", "work repeated")]


def test_what_redis_was_told_just_before_it_was_killed_it_may_forget() -> None:
    assert outlasted(500).forms("run_twice") == []


def test_a_lease_that_is_still_held_excuses_nothing() -> None:
    """It was stopped, but in time: then its claim itself, of what was done already, is the fault."""
    story = Story().job("a").claim("a", "w2")
    story = ran(story, "w2", 1, EventKind.COMPLETED).say(EventKind.LEASE_EXPIRED, "a")
    story.claim("a", "w1").fault(EventKind.STOPPED, "w1").fault(EventKind.CONTINUED, "w1")
    assert ran(story, "w1", 2, EventKind.COMPLETED).complete("a").forms("run_twice") == [("a", "work repeated")]


def test_a_lease_that_its_worker_regains_belongs_to_the_run_that_it_began_under() -> None:
    """It ran out while the way to Redis was broken; the worker's next word, of the same attempt, takes it again."""
    story = Story().job("a").claim("a", "w1").add(Source.WORKER, EventKind.STARTED, "a", worker_id="w1", attempt=1)
    story.wait(1_000).say(EventKind.LEASE_EXPIRED, "a").wait(3_000).claim("a", "w1", 1).complete("a")
    assert story.settle().forms("unclaimed_run") == []


def test_a_run_before_its_only_claim_is_accused() -> None:
    story = Story().job("a").add(Source.WORKER, EventKind.STARTED, "a", worker_id="w1", attempt=1)
    assert story.wait(3_000).claim("a", "w1").settle().forms("unclaimed_run") == [("a", "before the claim")]
