"""Violations as the reports' model takes them."""

from __future__ import annotations

from harness.history import CHECKERS, History, Limits, explain
from harness.history.timelines import MOST, tally_of, timelines_of
from harness.protocols import EventKind, JobState
from tests.harness.history.sound import LIMITS
from tests.harness.history.story import Story


def test_a_timeline_tells_the_jobs_life_with_its_faults_and_marks_what_is_wrong() -> None:
    story = Story().job("a").job("b").claim("a", "w1").fault(EventKind.KILLED, "w1").fault(EventKind.KILLED, "w2")
    story.claim("a", "w3").complete("a").settle()
    history = History(story.events)
    (timeline,) = timelines_of(history, [CHECKERS["double_claim"](history, LIMITS)])
    assert (timeline.job_id, timeline.check, timeline.side) == ("a", "double_claim", "stack")
    assert timeline.trouble.startswith("two at once: ")
    told = [(entry.source, entry.kind, entry.worker_id) for entry in timeline.entries]
    assert told == [
        ("client", "submit", None),
        ("redis", "submitted", None),
        ("client", "accepted", None),
        ("redis", "claimed", "w1"),
        ("fault", "killed", "w1"),
        ("redis", "claimed", "w3"),
        ("redis", "completed", "w3"),
    ]
    assert [entry.kind for entry in timeline.entries if entry.wrong] == ["claimed"]
    assert timeline.entries[0].at_ms == 0


def test_each_job_in_trouble_has_its_row_and_the_first_ones_their_lives() -> None:
    story = Story()
    for number in range(MOST + 3):
        story.job(f"j{number}").claim(f"j{number}", "w1").claim(f"j{number}", "w2")
    history = History(story.settle().events)
    found = timelines_of(history, [CHECKERS["double_claim"](history, LIMITS)])
    assert {one.job_id for one in found} == {f"j{number}" for number in range(MOST + 3)}
    assert [bool(one.entries) for one in found] == [True] * MOST + [False] * (len(found) - MOST)
    assert all(one.trouble for one in found)


def test_the_same_as_text() -> None:
    history = History(Story().job("a").claim("a", "w1").claim("a", "w2").settle().events)
    lines = explain(history, CHECKERS["double_claim"](history, LIMITS))
    assert lines[0] == "double_claim: a: two at once: claimed by w2 while w1 still held it"
    assert lines[-1].endswith("redis claimed worker w2 attempt 2")


def test_the_tally_adds_up_and_marks_losses() -> None:
    story = Story().job("a").claim("a", "w1").complete("a").job("b").told("b", JobState.UNKNOWN).job("c").settle()
    tally = tally_of(CHECKERS["accounting"](History(story.events), Limits()))
    assert (tally.total, tally.unaccounted) == (3, 0)
    assert {part.label: part.count for part in tally.classes if part.count} == {"completed": 1, "pending": 1, "lost": 1}
    assert [part.label for part in tally.classes if part.bad] == ["lost"]
