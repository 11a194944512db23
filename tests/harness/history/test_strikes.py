"""What each fault met, by the history up to it."""

from __future__ import annotations

from harness.history import History, Source
from harness.history.strikes import begun_again_ms, ends_met, strikes_of
from harness.protocols import EventKind
from tests.harness.history.story import Story


def met(story: Story) -> list[tuple[int, int, int, int]]:
    return [
        (strike.in_flight, strike.waiting, strike.in_back_off, strike.subscribed)
        for strike in strikes_of(History(story.events))
    ]


def test_a_fault_meets_what_runs_waits_is_in_back_off_and_is_followed_at_that_moment() -> None:
    story = Story().fault(EventKind.REDIS_DOWN)
    for job_id in ("ended", "running", "waiting", "failed", "back"):
        story.job(job_id).subscribe(job_id, "s")
    story.claim("ended", "w1").complete("ended").claim("running", "w1").claim("failed", "w2").say(
        EventKind.ATTEMPT_FAILED, "failed"
    )
    story.claim("back", "w3").say(EventKind.RELEASED, "back").fault(EventKind.KILLED)
    assert met(story) == [(0, 0, 0, 0), (1, 2, 1, 4)]


def test_an_end_meets_an_outage_where_nothing_was_left_to_say_before_it() -> None:
    story = Story()

    def ran(job_id: str, *says: EventKind) -> None:
        for kind in says:
            story.add(Source.WORKER, kind, job_id, worker_id="w1", attempt=1, pid=7)

    for job_id in ("silent", "speaking", "later"):
        ran(job_id, EventKind.STARTED, EventKind.PROGRESS)
    story.fault(EventKind.REDIS_DOWN, target="redis")
    ran("silent", EventKind.FINISHED)
    ran("speaking", EventKind.PROGRESS, EventKind.FINISHED)
    ran("instant", EventKind.STARTED)
    story.now_ms -= 10  # as soon as its clock can tell
    ran("instant", EventKind.FINISHED)
    story.fault(EventKind.REDIS_UP, target="redis")
    ran("later", EventKind.FINISHED)
    assert ends_met(History(story.events)) == 1


def test_who_has_left_is_not_struck() -> None:
    story = Story().job("a").subscribe("a", "s").subscribe("a", "t").leave("a", "s").fault(EventKind.CUT)
    assert met(story) == [(0, 1, 0, 1)]


def test_a_lost_workers_job_is_begun_again_so_long_after_the_loss() -> None:
    story = Story()

    def says(kind: EventKind, job_id: str, worker: str) -> None:
        story.add(Source.WORKER, kind, job_id, worker_id=worker, attempt=1, pid=int(worker[1:]))

    for job_id, worker in (("lost", "w1"), ("stopped", "w2"), ("through", "w3"), ("never", "w4")):
        says(EventKind.STARTED, job_id, worker)
    says(EventKind.FINISHED, "through", "w3")
    story.fault(EventKind.STOPPED, "w2")
    for worker in ("w3", "w4", "w1"):
        story.fault(EventKind.KILLED, worker)
    killed_ms = story.events[-1].at_ms
    for job_id in ("lost", "stopped", "through"):
        says(EventKind.STARTED, job_id, "w5")
    (lost,) = (event for event in story.events if event.job_id == "lost" and event.worker_id == "w5")
    assert begun_again_ms(History(story.events)) == [lost.at_ms - killed_ms]
