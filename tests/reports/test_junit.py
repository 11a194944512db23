from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.results import Fate, Parts, Run, conclude
from reports.junit import junit
from tests.reports.samples import SAMPLES, about, defects, fails, full, inconclusive, mutants, passes


def root(run: Run) -> ET.Element:
    return ET.fromstring(junit(run))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_counts_are_those_of_the_cases(name: str) -> None:
    tree = root(SAMPLES[name]())
    for suite in [tree, *tree.iter("testsuite")]:
        cases = list(suite.iter("testcase"))
        assert suite.get("tests") == str(len(cases))
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(kind) == str(sum(case.find(tag) is not None for case in cases))


def test_a_run_that_passes_is_green() -> None:
    tree = root(passes())
    assert (tree.get("failures"), tree.get("errors")) == ("0", "0")
    assert int(tree.get("tests") or 0) > 10


def test_a_failure_is_a_failure_and_names_the_frame() -> None:
    tree = root(fails())
    failed = {f"{case.get('classname')} {case.get('name')}": case.find("failure") for case in tree.iter("testcase")}
    cell = failed["hubgate.comparisons.happy-path stack-websocket"]
    assert cell is not None
    assert "job_submitted where the hub answers job_accepted" in (cell.text or "")
    assert failed["hubgate.criteria claim: Claims are fast"] is not None


def test_an_inconclusive_run_is_not_green() -> None:
    assert int(root(inconclusive()).get("errors") or 0) >= 3


def test_an_empty_run_is_not_green() -> None:
    assert root(conclude(about("quick", 1), Parts())).get("errors") == "1"


def test_a_defect_that_nobody_caught_is_a_failure() -> None:
    run = msgspec.structs.replace(full(0), defects=tuple(defects(missed=("no reaper",))))
    failed = [case.get("name") for case in root(run).iter("testcase") if case.find("failure") is not None]
    assert failed == ["no-reaper"]


@pytest.mark.parametrize("fate", [Fate.SURVIVED, Fate.UNDECIDED])
def test_a_mutant_that_nobody_caught_is_a_failure_with_its_change(fate: Fate) -> None:
    run = msgspec.structs.replace(full(0), mutants=tuple(mutants(fate)))
    failed = [case for case in root(run).iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["worker-3-0a1b2c"]
    assert "a <= b" in (failed[0].findtext("failure") or "")


def test_what_xml_cannot_carry_does_not_break_the_file() -> None:
    run = msgspec.structs.replace(fails(), problems=("a \x00 b \x1b[31m <&> \ud800 \ufffe ]]>",))
    (error,) = root(run).iter("error")
    assert error.text == "a \ufffd b \ufffd[31m <&> \ufffd \ufffd ]]>"
