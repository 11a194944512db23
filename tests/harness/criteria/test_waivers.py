from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from harness.criteria.claims import CRITERION
from harness.criteria.definition import Judged, discover
from harness.criteria.waivers import STALE, Entry, load_waivers, waived
from harness.results import Criterion, Evidence, Parts, Verdict, at_most, conclude
from harness.toml_files import UnreadableFile
from tests.reports.samples import about

TODAY = dt.date(2026, 11, 26)
ENTRY = Entry(criterion="claims", reason="The new disk is slow.", owner="ops", expires=TODAY)


def criterion(observed: float | None) -> Criterion:
    seen = Evidence(what="jobs", had=10, least=10)
    return CRITERION.concluded(Judged(measurements=[at_most("p99", observed, 20, "ms")], evidence=[seen]))


def test_a_failure_that_is_waived_stops_nothing_and_is_told_first() -> None:
    one = waived(criterion(31), [ENTRY], TODAY)
    assert (one.verdict, one.counts_as, one.outcome) == (Verdict.FAIL, Verdict.PASS, "fail, waived")
    run = conclude(about("quick", 1), Parts(criteria=[one]), criteria_in_all=1)
    assert (run.verdict, run.outcome, run.verdict.exit_status) == (Verdict.PASS, "pass, with 1 waiver", 0)
    assert run.headline == "The stack can replace the hub, with 1 waiver: 0 of 1 criteria pass and 1 is waived."
    assert run.reasons[0].startswith("Waived until 2026-11-26 by ops: Jobs are claimed at once. The new disk is slow.")


def test_a_waiver_of_one_criterion_excuses_no_other() -> None:
    other = Entry(criterion="memory", reason="r", owner="o", expires=TODAY)
    assert waived(criterion(31), [other], TODAY) == criterion(31)


def test_another_failure_fails_the_run_whatever_is_waived() -> None:
    run = conclude(about("quick", 1), Parts(criteria=[waived(criterion(31), [ENTRY], TODAY), criterion(31)]))
    assert (run.verdict, run.outcome) == (Verdict.FAIL, "fail")
    assert run.headline == "The stack cannot replace the hub yet: 1 of 2 criteria fails and 1 is waived."


@pytest.mark.parametrize("observed", [12, 31])
def test_an_expired_waiver_fails_its_criterion_and_is_named(observed: float) -> None:
    one = waived(criterion(observed), [ENTRY], TODAY + dt.timedelta(days=1))
    assert (one.verdict, one.waiver) == (Verdict.FAIL, None)
    assert one.explanation.startswith("The waiver of ops expired on 2026-11-26.")
    assert one.measurements[-1].what == STALE


def test_a_waiver_that_is_not_needed_fails_its_criterion() -> None:
    one = waived(criterion(12), [ENTRY], TODAY)
    assert (one.verdict, one.counts_as) == (Verdict.FAIL, Verdict.FAIL)
    assert one.explanation.startswith("The waiver of ops is not needed: take it out.")


def test_what_could_not_be_judged_is_not_waived() -> None:
    assert waived(criterion(None), [ENTRY], TODAY).counts_as is Verdict.INCONCLUSIVE


GOOD = """
[[waiver]]
criterion = "claims"
reason = "The new disk is slow."
owner = "ops"
expires = 2026-11-26
"""


def test_the_file_that_ships_is_read() -> None:
    assert {entry.criterion for entry in load_waivers(discover())} <= set(discover())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("claims", "clams"), "no criterion clams"),
        (GOOD.replace("The new disk is slow.", " "), "needs a reason"),
        (GOOD + GOOD, "waived 2 times"),
        (GOOD.replace("expires", "expire"), "expire"),
        (GOOD.replace("2026-11-26", '"never"'), "expires"),
        ("[[waiver", "waiver"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(GOOD)
    assert load_waivers(discover(), file) == [ENTRY]
    file.write_text(text)
    with pytest.raises(UnreadableFile, match=says) as caught:
        load_waivers(discover(), file)
    assert str(file) in str(caught.value)
