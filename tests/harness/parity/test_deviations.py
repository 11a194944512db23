import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from harness.parity import ABSENT, Finding, FindingKind
from harness.parity.deviations import BadDeviations, Deviation, Deviations, matches

TODAY = dt.date(2026, 11, 24)
ROOT = Path(__file__).parents[3]


def deviation(**fields: Any) -> Deviation:
    standard: dict[str, Any] = {
        "name": "one",
        "scenario": "cancel-*",
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
        "The declared difference one of somebody was not seen in cancel-*: take it out."
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
        (GOOD + GOOD, "2 deviations are called"),
        (GOOD + "fault = 3", "there is no such fault"),
        (GOOD + 'fault = 3\n[[fault]]\nnumber = 3\nhub = "x"\nstack = "y"\nnot_recorded = "z"', "either"),
        ('[[fault]]\nnumber = 3\nhub = "x"\nstack = "y"', "either"),
    ],
)
def test_a_malformed_file_is_told_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(text)
    with pytest.raises(BadDeviations, match=reason) as caught:
        Deviations.load(path)
    assert str(path) in str(caught.value)


def test_the_projects_own_file_tells_all_nine_faults() -> None:
    deviations = Deviations.load(ROOT / "scenarios" / "deviations.toml")
    assert sorted(fault.number for fault in deviations.faults) == list(range(1, 10))
    assert deviations.expired(TODAY) == []
