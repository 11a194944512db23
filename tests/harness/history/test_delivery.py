"""What each subscriber is owed: and what only looks lost, doubled or out of order."""

from __future__ import annotations

from harness.history import Source
from harness.protocols import EventKind, Mode
from tests.harness.history.story import Story


def followed(*, mode: Mode = Mode.WHOLE) -> Story:
    return Story().job("a").subscribe("a", "s", mode).claim("a", "w1").progress("a", 10).progress("a", 20).complete("a")


def test_each_update_once_in_order_is_clean() -> None:
    story = followed().got("a", "s", EventKind.CLAIMED).got("a", "s", EventKind.PROGRESS, progress=10)
    story.got("a", "s", EventKind.PROGRESS, progress=20).got("a", "s", EventKind.COMPLETED).settle()
    assert story.forms("not_delivered") == []
    assert story.judged_by("not_delivered").counts["updates"] == 4


def test_a_subscriber_who_hears_nothing_lost_everything() -> None:
    assert followed().settle().forms("not_delivered") == [("a", "lost")] * 4


def test_the_second_subscriber_is_owed_as_much_as_the_first() -> None:
    story = (
        followed().subscribe("a", "t").got("a", "s", EventKind.CLAIMED).got("a", "s", EventKind.PROGRESS, progress=10)
    )
    story.got("a", "s", EventKind.PROGRESS, progress=20).got("a", "s", EventKind.COMPLETED).settle()
    assert {violation.subscriber for violation in story.judged_by("not_delivered").violations} == {"t"}


def test_an_update_has_until_the_grace_is_over() -> None:
    assert followed().settle(50).forms("not_delivered") == []


def test_who_left_is_owed_nothing_from_then_on() -> None:
    story = (
        Story().job("a").subscribe("a", "s").claim("a", "w1").got("a", "s", EventKind.CLAIMED).wait(300).leave("a", "s")
    )
    assert story.progress("a", 10).complete("a").settle().forms("not_delivered") == []


def test_who_came_late_to_the_legacy_protocol_is_owed_what_follows() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 10).wait(100).subscribe("a", "s", Mode.LIVE).wait(100)
    story.progress("a", 20).got("a", "s", EventKind.PROGRESS, attempt=0, progress=20).complete("a").settle()
    assert story.forms("not_delivered") == [("a", "lost")]
    assert "completed" in story.judged_by("not_delivered").violations[0].sentence


def test_who_submitted_it_may_hear_of_it_before_it_follows_it_on_a_new_connection() -> None:
    """Its submission was not answered, so that it asks for the job; until that is answered it is told by its name."""
    for submitter, forms in (("s", []), ("another", [("a", "invented")])):
        story = Story().job("a", by=submitter).claim("a", "w1").got("a", "s", EventKind.CLAIMED, attempt=0).wait(700)
        story.subscribe("a", "s", Mode.LIVE).complete("a").got("a", "s", EventKind.COMPLETED, attempt=0).settle()
        assert story.forms("not_delivered") == forms


def test_who_came_late_by_sse_is_owed_the_past_too() -> None:
    story = Story().job("a").claim("a", "w1").progress("a", 10).wait(100).subscribe("a", "s")
    story.complete("a").got("a", "s", EventKind.COMPLETED).settle()
    assert story.forms("not_delivered") == [("a", "lost")] * 2


def test_the_end_before_the_last_progress_is_named_so() -> None:
    story = followed().got("a", "s", EventKind.CLAIMED).got("a", "s", EventKind.PROGRESS, progress=10)
    story.got("a", "s", EventKind.COMPLETED).got("a", "s", EventKind.PROGRESS, progress=20).settle()
    assert story.forms("not_delivered") == [("a", "end before last progress")]


def test_a_double_under_the_same_name_and_an_invention() -> None:
    story = followed().got("a", "s", EventKind.CLAIMED).got("a", "s", EventKind.PROGRESS, progress=10)
    story.got("a", "s", EventKind.PROGRESS, progress=10).got("a", "s", EventKind.PROGRESS, progress=15)
    story.got("a", "s", EventKind.PROGRESS, progress=20).got("a", "s", EventKind.COMPLETED).settle()
    assert story.forms("not_delivered") == [("a", "duplicated"), ("a", "invented")]


def test_who_subscribes_again_after_the_end_may_be_told_of_it_again() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").complete("a").got("a", "s", EventKind.CLAIMED)
    story.got("a", "s", EventKind.COMPLETED).wait(300).subscribe("a", "s").got("a", "s", EventKind.COMPLETED).settle()
    assert story.forms("not_delivered") == []
    assert story.got("a", "s", EventKind.COMPLETED).settle().forms("not_delivered") == [("a", "duplicated")]


def test_the_same_progress_in_two_attempts_is_no_double() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").progress("a", 10).say(EventKind.ATTEMPT_FAILED, "a")
    story.claim("a", "w2").progress("a", 10).complete("a")
    for attempt, kind in ((1, EventKind.ATTEMPT_FAILED), (2, EventKind.COMPLETED)):
        story.got("a", "s", EventKind.CLAIMED, attempt=attempt).got(
            "a", "s", EventKind.PROGRESS, attempt=attempt, progress=10
        )
        story.got("a", "s", kind, attempt=attempt)
    assert story.settle().forms("not_delivered") == []


def test_the_legacy_word_for_failure_stands_for_both_kinds() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").say(EventKind.FAILED, "a")
    story.got("a", "s", EventKind.CLAIMED, attempt=0).got("a", "s", EventKind.ATTEMPT_FAILED, attempt=0).settle()
    assert story.forms("not_delivered") == []


def test_a_modern_subscriber_is_told_failed_only_at_the_end() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a")
    story.got("a", "s", EventKind.CLAIMED).got("a", "s", EventKind.FAILED).settle()
    assert story.forms("not_delivered") == [("a", "invented"), ("a", "lost")]


def test_a_gap_that_is_told_excuses_what_lies_before_it() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").progress("a", 10)
    story.add(Source.CLIENT, EventKind.GAP, "a", by="s").progress("a", 20).complete("a").settle()
    result = story.judged_by("not_delivered")
    assert result.counts["excused by a gap"] == 2
    assert len(result.violations) == 2


def test_the_retry_rules() -> None:
    story = Story().job("a", max_retries=1).claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a").wait(100)
    story.claim("a", "w2").say(EventKind.ATTEMPT_FAILED, "a")
    assert story.forms("retries") == [("a", "too many")]
    early = Story().job("a", max_retries=1).claim("a", "w1").say(EventKind.FAILED, "a")
    assert early.forms("retries") == [("a", "given up early")]
    soon = Story().job("a").claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a").claim("a", "w2")
    assert soon.forms("retries") == [("a", "too soon")]


def test_a_retry_goes_to_another_worker_while_there_is_one() -> None:
    story = Story().job("a").job("b").job("c").claim("a", "w1").claim("b", "w2").complete("b").wait(110)
    story.say(EventKind.ATTEMPT_FAILED, "a").wait(100).claim("a", "w1").wait(50).claim("c", "w2").complete("c")
    assert story.forms("retries") == [("a", "same worker")]
    busy = Story().job("a").job("b").claim("a", "w1").claim("b", "w2").say(EventKind.ATTEMPT_FAILED, "a").wait(100)
    busy.claim("a", "w1").complete("b")
    assert busy.forms("retries") == []
    alone = (
        Story().job("a").claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a").wait(100).claim("a", "w1").complete("a")
    )
    assert alone.forms("retries") == []
    dead = Story().job("a").job("b").claim("a", "w1").claim("b", "w2").fault(EventKind.KILLED, "w2")
    dead.say(EventKind.ATTEMPT_FAILED, "a").wait(100).claim("a", "w1").complete("a")
    assert dead.forms("retries") == []


def test_what_was_missed_while_away_takes_no_delivery_from_equal_updates_before_it() -> None:
    """The hub's protocol tells attempts by no number: each claim looks like the others."""
    story = Story().job("a").subscribe("a", "s")
    for _ in range(2):
        story.claim("a", "w1").got("a", "s", EventKind.CLAIMED, attempt=0)
        story.say(EventKind.ATTEMPT_FAILED, "a").got("a", "s", EventKind.ATTEMPT_FAILED, attempt=0)
    story.wait(3_000).leave("a", "s").wait(200).claim("a", "w1").say(EventKind.ATTEMPT_FAILED, "a")
    assert story.wait(200).subscribe("a", "s", Mode.LIVE).settle().forms("not_delivered") == []


def test_an_update_that_came_before_it_happened_is_no_delivery_of_it() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").got("a", "s", EventKind.CLAIMED, attempt=0).wait(500)
    story.say(EventKind.ATTEMPT_FAILED, "a").got("a", "s", EventKind.ATTEMPT_FAILED, attempt=0).wait(500)
    assert story.claim("a", "w1").settle().forms("not_delivered") == [("a", "lost")]


def test_who_subscribes_after_the_end_may_be_told_it() -> None:
    story = Story().job("a").claim("a", "w1").complete("a").wait(2_000).subscribe("a", "s", Mode.LIVE)
    assert story.got("a", "s", EventKind.COMPLETED, attempt=0).settle().forms("not_delivered") == []


def reconnects_after(update: Story) -> Story:
    """A subscriber without attempt numbers that was away while the next attempt began."""
    story = update.got("a", "s", EventKind.CLAIMED, attempt=0).got("a", "s", EventKind.PROGRESS, attempt=0, progress=20)
    story.leave("a", "s").say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").progress("a", 10)
    return story.got("a", "s", EventKind.PROGRESS, attempt=0, progress=10)


def test_who_was_away_when_the_next_attempt_began_sees_its_progress_begin_anew() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").progress("a", 20)
    assert reconnects_after(story).settle().forms("progress_back") == []


def test_progress_that_falls_on_one_connection_is_accused() -> None:
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").progress("a", 20).progress("a", 10)
    story.got("a", "s", EventKind.PROGRESS, attempt=0, progress=20)
    story.got("a", "s", EventKind.PROGRESS, attempt=0, progress=10)
    assert ("a", "fell") in story.forms("progress_back")


def cut_off_during(kind: EventKind, target: str, *, sound_ms: float) -> Story:
    """Something breaks after an update and is mended; the subscriber stays for so long afterwards, then is gone."""
    story = Story().job("a").subscribe("a", "s").claim("a", "w1").got("a", "s", EventKind.CLAIMED).progress("a", 10)
    mended = EventKind.HEALED if kind is EventKind.PARTITIONED else EventKind.UP
    story.fault(kind, target=target).wait(3_000).fault(mended, target=target).wait(sound_ms)
    return story.leave("a", "s").complete("a").settle()


def test_what_a_broken_part_held_back_until_the_subscriber_was_gone_is_not_lost() -> None:
    assert cut_off_during(EventKind.PARTITIONED, "redis line", sound_ms=10).forms("not_delivered") == []
    assert cut_off_during(EventKind.KILLED, "api", sound_ms=10).forms("not_delivered") == []


def test_what_is_not_delivered_when_all_is_sound_again_is_lost() -> None:
    lost = [("a", "lost")]
    assert cut_off_during(EventKind.PARTITIONED, "redis line", sound_ms=3_000).forms("not_delivered") == lost
    assert cut_off_during(EventKind.PARTITIONED, "somebody's line", sound_ms=10).forms("not_delivered") == lost
