import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from harness.parity import ABSENT, Finding, FindingKind
from harness.parity.deviations import Deviation, Deviations, Each, matches
from harness.toml_files import UnreadableFile

TODAY = dt.date(2026, 11, 24)
ROOT = Path(__file__).parents[3]


def deviation(**fields: Any) -> Deviation:
    standard: dict[str, Any] = {
        "name": "one",
        "scenario": "cancel-running",
        "role": "client",
        "message": "response_job_status",
        "field": "status",
        "hub": "completed",
        "stack": "cancelled",
        "reason": "it is better",
        "owner": "somebody",
        "expires": dt.date(2027, 1, 1),
    }
    return Deviation(**(standard | fields))


def finding(**fields: Any) -> Finding:
    standard: dict[str, Any] = {
        "kind": FindingKind.CHANGED,
        "actor": "client-a",
        "role": "client",
        "message_type": "response_job_status",
        "field": "status",
        "expected": "completed",
        "observed": "cancelled",
    }
    return Finding(**(standard | fields))


def declared(entry: Deviation, *findings: Finding, scenario: str = "cancel-running") -> list[str | None]:
    found = Deviations([entry]).declare(findings, scenario, TODAY)
    return [one.declared.name if one.declared else None for one in found]


def test_a_difference_that_is_declared_is_marked() -> None:
    assert declared(deviation(), finding()) == ["one"]


@pytest.mark.parametrize(
    "other",
    [
        {"observed": "failed"},
        {"expected": "failed"},
        {"role": "monitor"},
        {"field": "progress"},
        {"message_type": "complete_job"},
        {"kind": FindingKind.MISSING, "field": ""},
    ],
)
def test_another_difference_is_not(other: dict[str, Any]) -> None:
    assert declared(deviation(), finding(**other)) == [None]


def test_another_scenario_is_not() -> None:
    assert declared(deviation(), finding(), scenario="happy-path") == [None]


def test_it_counts_only_as_often_as_it_says() -> None:
    assert declared(deviation(), finding(), finding()) == ["one", None]
    assert declared(deviation(times=2), finding(), finding()) == ["one", "one"]


def test_after_its_last_day_it_is_no_excuse_and_is_told() -> None:
    entry = deviation(expires=dt.date(2026, 11, 23))
    assert declared(entry, finding()) == [None]
    assert Deviations([entry]).expired(TODAY) == ["The declared difference one of somebody expired on 2026-11-23."]
    assert declared(deviation(expires=TODAY), finding()) == ["one"]


def test_one_that_no_played_scenario_needed_is_told() -> None:
    deviations = Deviations([deviation()])
    assert deviations.unneeded(["happy-path"], []) == []
    assert deviations.unneeded(["cancel-running"], []) == [
        "The declared difference one of somebody was not seen in cancel-running: take it out."
    ]
    assert deviations.unneeded(["cancel-running"], deviations.declare([finding()], "cancel-running", TODAY)) == []


def test_one_that_depends_on_timing_is_not_missed() -> None:
    assert Deviations([deviation(sometimes=True)]).unneeded(["cancel-running"], []) == []


def test_a_whole_frame_is_told_by_what_it_says() -> None:
    entry = deviation(field="", hub="(not sent)", stack="(sent)", where={"status": "processing"})
    extra = {"kind": FindingKind.EXTRA, "field": "", "expected": None}
    assert declared(entry, finding(**extra, observed={"status": "processing"})) == ["one"]
    assert declared(entry, finding(**extra, observed={"status": "completed"})) == [None]
    assert declared(entry, finding(kind=FindingKind.MISSING, field="", expected={"status": "processing"})) == [None]


@pytest.mark.parametrize(
    ("value", "seen", "same"),
    [
        ("(null)", None, True),
        ("(null)", "null", False),
        ("(absent)", ABSENT, True),
        ("~a+", "aaa", True),
        ("~a+", "aab", False),
        ("~.*success.*", {"status": "success"}, True),
        (1, 1.0, True),
        (1, True, False),
        ([], [], True),
    ],
)
def test_values_are_given_as_themselves_as_words_or_as_patterns(value: Any, seen: Any, same: bool) -> None:
    assert matches(value, seen) is same


def test_a_field_is_declared_by_what_else_its_message_says() -> None:
    entry = deviation(where={"system.count": 1})
    found = Deviations([entry])
    for count, name in ((1, "one"), (2, None)):
        (marked,) = found.declare([finding()], "cancel-running", TODAY, frames=[{"system": {"count": count}}])
        assert (marked.declared and marked.declared.name) == name


def test_a_value_may_be_what_the_message_itself_has_elsewhere() -> None:
    message = {"system": {"jobs": {"pending": 3}}}
    assert matches("=system.jobs.pending", 3, message)
    assert not matches("=system.jobs.pending", 4, message)
    assert matches("=system.jobs.claimed", 0, message), "what is not counted is none"


def test_where_speaks_of_what_the_star_stands_for() -> None:
    entry = deviation(field="jobs.*", hub="a", stack=ABSENT, where={"active": '~(?!.*"{*}").*'})
    gone = finding(field="jobs.j-1", expected="a", observed=ABSENT)
    for active, name in (({"j-2": 1}, "one"), ({"j-1": 1}, None)):
        (marked,) = Deviations([entry]).declare([gone], "cancel-running", TODAY, frames=[{"active": active}])
        assert (marked.declared and marked.declared.name) == name


def test_a_rule_is_counted_by_message_or_by_job() -> None:
    def marked(each: Each, *rows: int) -> list[bool]:
        found = [finding(row=row) for row in rows]
        frames = [{"job_id": f"job-{row}"} for row in rows]
        declared = Deviations([deviation(each=each)]).declare(found, "cancel-running", TODAY, frames=frames)
        return [one.declared is not None for one in declared]

    assert marked(Each.RUN, 1, 2) == [True, False]
    assert marked(Each.MESSAGE, 1, 2, 2) == [True, True, False]
    assert marked(Each.JOB, 1, 2, 2) == [True, True, False]


def test_a_rule_about_messages_without_a_job_is_counted_by_the_jobs_that_there_are() -> None:
    found, frames = [finding(row=row) for row in range(5)], [{"worker_id": "w"}] * 5
    entries = Deviations([deviation(each=Each.JOB, times=2)])
    declared = entries.declare(found, "cancel-running", TODAY, frames=frames, jobs=2)
    assert [one.declared is not None for one in declared] == [True] * 4 + [False]


GOOD = """
[[deviation]]
name = "one"
scenario = "s"
role = "client"
message = "m"
field = "f"
hub = 1
stack = 2
reason = "r"
owner = "o"
expires = 2027-01-01
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[deviation]", "line 1"),
        (GOOD.replace('owner = "o"', ""), "owner"),
        (GOOD.replace('owner = "o"', 'owner = " "'), "owner is empty"),
        (GOOD + "surprise = 1", "surprise"),
        (GOOD.replace("2027-01-01", '"soon"'), "expires"),
        (GOOD.replace('field = "f"', ""), "whole frame"),
        (GOOD.replace("hub = 1", 'hub = "~("'), "no regular expression"),
        (GOOD + "times = 0", "times has to be"),
        (GOOD + "times = 40", "times is 10 at most"),
        (GOOD.replace('scenario = "s"', 'scenario = "*"'), "need a `where`"),
        (GOOD.replace('field = "f"', 'field = "f.*"'), "need a `where`"),
        (GOOD.replace('field = "f"\nhub = 1\nstack = 2', 'hub = "(sent)"\nstack = "(not sent)"'), "need a `where`"),
        (GOOD.replace("stack = 2", 'stack = "~.*"'), "true of any text"),
        (GOOD + 'where = { error = "~.+" }', "true of any text"),
        (GOOD + GOOD, "2 deviations are called"),
        (GOOD + "fault = 3", "there is no such fault"),
        (GOOD + 'fault = 3\n[[fault]]\nnumber = 3\nhub = "x"\nstack = "y"\nnot_recorded = "z"', "either"),
        ('[[fault]]\nnumber = 3\nhub = "x"\nstack = "y"', "either"),
    ],
)
def test_a_malformed_file_is_told_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=reason) as caught:
        Deviations.load(path)
    assert str(path) in str(caught.value)


def test_the_projects_own_file_tells_all_nine_faults() -> None:
    deviations = Deviations.load(ROOT / "scenarios" / "deviations.toml")
    assert sorted(fault.number for fault in deviations.faults) == list(range(1, 10))
    assert deviations.expired(TODAY) == []
