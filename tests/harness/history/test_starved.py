"""What rests on time alone is undecided where others had the machine; nothing else is. Leases are 1,000 ms here."""

from __future__ import annotations

import pytest

from harness.history import CheckResult, without_the_starved
from harness.machine_time import FREE, Lost, MachineTime
from harness.protocols import EventKind, JobState, Mode
from tests.harness.history.story import Story
from tests.harness.history.test_execution import ran

STARVED = MachineTime([Lost(0, 1_000, 999)])
"""All the time, and almost all of the machine."""
EARLIER = MachineTime([Lost(0, 0.5, 0.5)])


def never_ends() -> Story:
    return Story().job("a").claim("a", "w1").told("a", JobState.CLAIMED).settle(30_000)


def held_by_the_dead() -> Story:
    return Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").settle(3_000)


def not_renewed() -> Story:
    return Story().job("a").claim("a", "w1").wait(1_000).say(EventKind.LEASE_EXPIRED, "a").settle()


def comes_back_late() -> Story:
    story = Story().job("a").claim("a", "w1").fault(EventKind.KILLED, "w1").wait(9_000)
    return story.say(EventKind.LEASE_EXPIRED, "a").claim("a", "w2").complete("a").settle()


def never_told() -> Story:
    return Story().job("a").subscribe("a", "page").claim("a", "w1").complete("a").settle(9_000)


def told_around() -> Story:
    story = Story().job("a").subscribe("a", "page", Mode.WHOLE).claim("a", "w1")
    return story.complete("a").got("a", "page", EventKind.COMPLETED).settle(9_000)


def unknown() -> Story:
    return Story().job("a").told("a", JobState.UNKNOWN).settle(30_000)


def ended_twice() -> Story:
    return Story().job("a").claim("a", "w1").complete("a").complete("a").settle(30_000)


def two_hold_it() -> Story:
    return Story().job("a").claim("a", "w1").claim("a", "w2", 2).complete("a").settle(30_000)


def run_again(*, lapsed: bool) -> Story:
    """Done by w1, and then again by w2, with and without its lease running out."""
    story = Story().job("a").claim("a", "w1").wait(1_000)
    story = story.say(EventKind.LEASE_EXPIRED if lapsed else EventKind.RELEASED, "a")
    story = ran(story.claim("a", "w2"), "w1", 1, EventKind.COMPLETED)
    return ran(story, "w2", 2, EventKind.COMPLETED).complete("a").settle()


def decided(story: Story, checker: str, machine: MachineTime) -> CheckResult:
    return without_the_starved(story.judged_by(checker), machine)


@pytest.mark.parametrize(
    ("story", "checker"),
    [
        (never_ends(), "stuck"),
        (held_by_the_dead(), "lost"),
        (not_renewed(), "unjustified_expiry"),
        (comes_back_late(), "recovery"),
        (never_told(), "not_delivered"),
        (run_again(lapsed=True), "run_twice"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_rests_on_time_alone_is_undecided_on_a_starved_machine_only(story: Story, checker: str) -> None:
    assert decided(story, checker, FREE).violations
    assert decided(story, checker, EARLIER).violations, "that was not while it was waited for"
    starved = decided(story, checker, STARVED)
    assert starved.undecided == story.judged_by(checker).violations
    assert not starved.violations
    assert not starved.clean, "undecided is not clean"


@pytest.mark.parametrize(
    ("story", "checker"),
    [
        (unknown(), "lost"),
        (ended_twice(), "ended_twice"),
        (two_hold_it(), "double_claim"),
        (told_around(), "not_delivered"),
        (run_again(lapsed=False), "run_twice"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_no_slowness_explains_is_a_violation_on_any_machine(story: Story, checker: str) -> None:
    assert story.judged_by(checker).violations
    assert decided(story, checker, STARVED).violations == story.judged_by(checker).violations


def test_a_machine_of_which_enough_was_left_explains_nothing() -> None:
    slow = MachineTime([Lost(0, 1_000, 100)])
    assert decided(never_ends(), "stuck", slow).violations
