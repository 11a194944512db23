"""Lost, stuck, ended twice: and what only looks like it. Leases are 1,000 ms here, patience 4,000 ms."""

from __future__ import annotations

from harness.history import CHECKERS, History, Source
from harness.protocols import EventKind, JobState
from tests.harness.history.sound import LIMITS
from tests.harness.history.story import Story


def test_a_job_the_server_does_not_know_is_lost() -> None:
    story = Story().job("a").told("a", JobState.UNKNOWN).settle()
    assert story.forms("lost") == [("a", "unknown")]
    assert story.judged_by("accounting").counts["lost"] == 1


def test_a_loss_says_in_which_part_of_the_run_the_job_was_acknowledged() -> None:
    story = Story()
    for name in "abcdefghi":
        story.job(name).claim(name, "w1").complete(name)
    for name in "abcdefghi":
        story.told(name, JobState.UNKNOWN if name in "aei" else JobState.COMPLETED)
    assert story.settle().judged_by("lost").counts == {"beginning": 1, "middle": 1, "end": 1}


def test_a_refused_submission_is_owed_to_nobody() -> None:
    story = Story().add(Source.CLIENT, EventKind.SUBMIT, "a").add(Source.CLIENT, EventKind.REFUSED, "a")
    story.told("a", JobState.UNKNOWN).settle(30_000)
    assert story.forms("lost") == []
    assert story.judged_by("accounting").counts["acknowledged"] == 0


def test_a_job_that_the_log_never_names_is_lost() -> None:
    story = Story().job("b").claim("b", "w1").complete("b").add(Source.CLIENT, EventKind.ACCEPTED, "a").settle()
    assert story.forms("lost") == [("a", "never queued")]


def test_a_log_with_a_gap_proves_nothing_about_a_job_it_does_not_name() -> None:
    story = Story().job("b").claim("b", "w1").complete("b").add(Source.CLIENT, EventKind.ACCEPTED, "a")
    story.add(Source.REDIS, EventKind.GAP).settle()
    assert story.forms("lost") == []
    assert any("missed entries" in doubt for doubt in story.judged_by("lost").doubts)


def test_a_job_whose_killed_worker_keeps_it_is_lost() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 10).fault(EventKind.KILLED, "w1").settle(3_000)
    assert story.forms("lost") == [("a", "held by the dead")]


def test_a_killed_workers_job_is_not_lost_before_its_lease_can_have_run_out() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 10).fault(EventKind.KILLED, "w1").settle(1_200)
    assert story.forms("lost") == []


def test_a_long_silent_job_of_a_living_worker_is_not_lost() -> None:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w2").settle(3_000)
    assert story.forms("lost") == []
    assert story.forms("stuck") == []


def test_a_job_that_is_in_no_queue_is_lost_when_later_ones_are_still_taken() -> None:
    story = Story().job("a").wait(4_000).job("b").claim("b", "w1").complete("b").settle(500)
    assert story.forms("lost") == [("a", "in no queue")]


def test_a_job_of_lower_priority_may_wait_while_others_run() -> None:
    story = Story().job("a", priority=-5).wait(4_000).job("b").claim("b", "w1").complete("b").settle(500)
    assert story.forms("lost") == []


def test_a_job_that_nobody_takes_is_stuck() -> None:
    assert Story().job("a").settle(5_000).forms("stuck") == [("a", "pending")]
    assert Story().job("a").settle(3_000).forms("stuck") == []


def test_a_script_that_hangs_is_not_stuck() -> None:
    assert Story().job("a", hangs=True).claim("a", "w1").settle(9_000).forms("stuck") == []
    assert Story().job("a").claim("a", "w1").settle(9_000).forms("stuck") == [("a", "running")]


def test_two_ends_are_one_too_many() -> None:
    story = Story().job("a").claim("a", "w1").say(EventKind.CANCELLED, "a").complete("a").settle()
    assert story.forms("ended_twice") == [("a", "another end")]


def test_a_job_retried_by_hand_may_end_again() -> None:
    story = (
        Story()
        .job("a")
        .claim("a", "w1")
        .say(EventKind.FAILED, "a")
        .log(EventKind.RETRIED, "a")
        .claim("a", "w1")
        .complete("a")
    )
    assert story.settle().forms("ended_twice") == []


def test_another_end_in_the_server_than_in_its_log() -> None:
    story = Story().job("a").claim("a", "w1").complete("a").wait(100).told("a", JobState.CANCELLED).settle()
    assert story.forms("ended_twice") == [("a", "another end")]


def test_an_answer_as_old_as_the_end_itself_contradicts_nothing() -> None:
    story = Story().job("a").claim("a", "w1").complete("a").told("a", JobState.CLAIMED).settle()
    assert story.forms("accounting") == []
    assert story.wait(50).told("a", JobState.CLAIMED).settle().forms("accounting") == [("a", "end forgotten")]


def test_the_same_log_read_twice_is_one_log() -> None:
    story = Story().job("a")
    for _ in range(2):
        story.log(EventKind.CLAIMED, "a", "w1", 1, entry="5-0").log(EventKind.COMPLETED, "a", "w1", 1, entry="6-0")
    assert all(story.settle().forms(check) == [] for check in ("ended_twice", "double_claim"))


def test_an_end_that_only_a_subscriber_saw_still_counts() -> None:
    story = Story().add(Source.CLIENT, EventKind.ACCEPTED, "a").got("a", "client", EventKind.COMPLETED).settle()
    counts = CHECKERS["accounting"](History(story.events), LIMITS).counts
    assert (counts["completed"], counts["lost"]) == (1, 0)


def test_a_failure_that_the_script_does_not_have() -> None:
    good = Story().job("a", expects=EventKind.COMPLETED).claim("a", "w1").complete("a").settle()
    assert good.forms("ended_otherwise") == []
    bad = (
        Story()
        .job("a", expects=EventKind.COMPLETED)
        .claim("a", "w1")
        .say(EventKind.FAILED, "a", error="SIGTERM")
        .settle()
    )
    assert bad.forms("ended_otherwise") == [("a", "failed")]
    assert "SIGTERM" in bad.judged_by("ended_otherwise").violations[0].sentence
    swallowed = Story().job("a", expects=EventKind.FAILED).claim("a", "w1").complete("a").settle()
    assert swallowed.forms("ended_otherwise") == [("a", "completed")]


def lost_its_worker(times: int, *, killed: bool) -> Story:
    story = Story().job("a", expects=EventKind.COMPLETED)
    for number in range(times):
        story.claim("a", f"w{number}")
        if killed:
            story.fault(EventKind.KILLED, f"w{number}")
        story.wait(1_000).say(EventKind.FAILED if number + 1 == times else EventKind.LEASE_EXPIRED, "a")
    return story.settle()


def test_a_job_whose_workers_were_all_killed_may_fail_and_no_earlier() -> None:
    allowed = LIMITS.max_deliveries
    assert lost_its_worker(allowed, killed=True).forms("ended_otherwise") == []
    assert lost_its_worker(allowed - 1, killed=True).forms("ended_otherwise") == [("a", "failed")]
    assert lost_its_worker(allowed, killed=False).forms("ended_otherwise") == [("a", "failed")]
