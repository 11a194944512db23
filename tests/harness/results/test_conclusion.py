from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from harness.results import (
    About,
    Criterion,
    Detection,
    Link,
    LinkTo,
    Machine,
    Parts,
    SuiteOutcome,
    SuiteRow,
    Tally,
    Timeline,
    Verdict,
    conclude,
    detection,
)

ABOUT = About(
    id="r1",
    started_at=datetime(2026, 11, 24, tzinfo=UTC),
    seconds=9,
    profile="quick",
    command=("hubgate", "gate"),
    machine=Machine(system="Linux", cores=2),
)


def criterion(verdict: Verdict, *links: Link, id: str = "claims") -> Criterion:  # noqa: A002
    return Criterion(
        id=id,
        title="Claims",
        sentence="s",
        source="p",
        measured="m",
        verdict=verdict,
        explanation="It was so.",
        links=links,
    )


@pytest.mark.parametrize("verdict", Verdict)
def test_a_run_comes_to_what_its_criteria_come_to(verdict: Verdict) -> None:
    assert conclude(ABOUT, Parts(criteria=[criterion(verdict)])).verdict is verdict


def test_a_run_in_which_nothing_was_judged_is_inconclusive_and_says_so() -> None:
    run = conclude(ABOUT, Parts())
    assert run.verdict is Verdict.INCONCLUSIVE
    assert run.headline == "This run cannot tell whether the stack can replace the hub: nothing was judged."


@pytest.mark.parametrize(("ended", "said"), [(7, "1 of 10 jobs are in no class"), (9, "hold 1 more than the 10 jobs")])
def test_counts_that_do_not_add_up_keep_a_run_from_passing(ended: int, said: str) -> None:
    tally = Tally.of(id="t", title="Jobs", total_label="jobs", total=10, good={"ended": ended}, bad={"lost": 2})
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS)], tallies=[tally]))
    assert run.verdict is Verdict.INCONCLUSIVE
    assert said in run.problems[0]
    assert run.reasons == run.problems


def test_a_count_below_zero_does_not_make_the_counts_add_up() -> None:
    tally = Tally.of(id="t", title="Jobs", total_label="jobs", total=10, good={"ended": 12}, bad={"lost": -2})
    assert conclude(ABOUT, Parts(tallies=[tally])).problems == ("Jobs: fewer than no jobs are in lost.",)


def test_counts_that_add_up_are_no_problem() -> None:
    tally = Tally.of(id="t", title="Jobs", total_label="jobs", total=10, good={"ended": 9}, bad={"lost": 1})
    assert conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS)], tallies=[tally])).verdict is Verdict.PASS


def test_a_link_to_nothing_is_told() -> None:
    link = Link(to=LinkTo.TIMELINE, ref="job-1")
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS, link)]))
    assert run.verdict is Verdict.INCONCLUSIVE
    assert run.problems == ("Claims points to the timeline job-1, which is not in the results.",)
    there = Timeline(id="job-1", job_id="job-1", check="lost", trouble="It was lost.", entries=())
    assert conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS, link)], timelines=[there])).problems == ()


@pytest.mark.parametrize(
    ("verdicts", "in_all", "headline"),
    [
        (["pass"] * 3, None, "The stack can replace the hub: all 3 criteria pass."),
        (["pass"] * 3, 3, "The stack can replace the hub: all 3 criteria pass."),
        (["pass"] * 2, 3, "What was tried passes: 2 criteria pass, of the 3 that a whole run has."),
        (["pass"], 3, "What was tried passes: 1 criterion passes, of the 3 that a whole run has."),
        (["fail"], 3, "The stack cannot replace the hub yet: the one criterion that was tried fails."),
        (["pass", "fail"], 3, "The stack cannot replace the hub yet: 1 of 2 criteria fails."),
        (
            ["pass", "inconclusive"],
            2,
            "This run cannot tell whether the stack can replace the hub: 1 of 2 criteria is inconclusive.",
        ),
    ],
)
def test_the_headline_claims_no_more_than_was_tried(verdicts: list[str], in_all: int | None, headline: str) -> None:
    criteria = [criterion(Verdict(verdict), id=str(number)) for number, verdict in enumerate(verdicts)]
    assert conclude(ABOUT, Parts(criteria=criteria), criteria_in_all=in_all).headline == headline


def test_a_single_criterion_among_contradictions_is_told_apart() -> None:
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS)], problems=["A phase broke off."]), criteria_in_all=1)
    assert run.headline.endswith("the results contradict themselves or are not complete.")


def test_an_id_used_twice_is_told() -> None:
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS), criterion(Verdict.PASS)]))
    assert run.problems == ("More than one criterion is called claims.",)


def test_what_a_criterion_says_is_not_told_again_as_a_problem() -> None:
    whole = Parts(criteria=[criterion(Verdict.INCONCLUSIVE)], problems=["It was so.", "It was so.", "And so."])
    assert conclude(ABOUT, whole).reasons == ("Claims: It was so.", "And so.")


def test_a_problem_does_not_hide_a_failure() -> None:
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.FAIL)], problems=["The load phase broke off."]))
    assert run.verdict is Verdict.FAIL
    assert run.reasons == ("Claims: It was so.", "The load phase broke off.")


@pytest.mark.parametrize(
    ("expected", "caught", "finding", "came_to"),
    [
        (("order",), ("order", "latency"), True, Detection.CAUGHT),
        (("order",), ("latency",), True, Detection.ELSEWHERE),
        (("order",), ("order",), False, Detection.ELSEWHERE),
        (("order",), (), False, Detection.MISSED),
    ],
)
def test_a_defect_is_caught_only_by_a_criterion_that_should_and_for_the_reason_that_should(
    expected: tuple[str, ...], caught: tuple[str, ...], finding: bool, came_to: Detection
) -> None:
    assert detection(expected, caught, finding=finding) is came_to


def test_a_criterion_that_the_target_cannot_be_asked_for_is_outside_the_verdict_and_told() -> None:
    left_out = msgspec.structs.replace(criterion(Verdict.INCONCLUSIVE, id="memory"), left_out=True)
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS), left_out]), criteria_in_all=2)
    assert run.verdict is Verdict.PASS
    assert run.headline == (
        "All that could be asked speaks for it: the one criterion that was tried passes; "
        "1 cannot be asked of this target."
    )
    assert conclude(ABOUT, Parts(criteria=[left_out])).verdict is Verdict.INCONCLUSIVE
    assert left_out.outcome == "not judged"


@pytest.mark.parametrize("to", sorted(set(LinkTo) - {LinkTo.FILE}))
def test_a_reason_of_any_kind_that_points_to_nothing_keeps_a_run_from_passing(to: LinkTo) -> None:
    run = conclude(ABOUT, Parts(criteria=[criterion(Verdict.PASS, Link(to=to, ref="gone"))]))
    assert run.verdict is Verdict.INCONCLUSIVE
    assert any(f"points to the {to} gone" in reason for reason in run.reasons)


def test_a_failed_test_of_a_suite_is_a_reason_that_stands() -> None:
    row = SuiteRow(suite="s", name="t", criterion="claims", outcome=SuiteOutcome.FAILED)
    failed = criterion(Verdict.FAIL, Link(to=LinkTo.SUITE, ref=row.ref))
    run = conclude(ABOUT, Parts(criteria=[failed], suites=[row]))
    assert run.verdict is Verdict.FAIL
    assert run.reasons == ("Claims: It was so.",)
