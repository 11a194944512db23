from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.criteria.definition import Collected, discover
from harness.criteria.evidence import ScenarioResults
from harness.criteria.suites import Least, Limits
from harness.errors import CouldNotRun
from harness.gate.phases.scenarios import read_results
from harness.results import Criterion, SuiteOutcome, SuiteRow, Verdict

SUITE = """
import pytest
from harness.clients import ExpectationTimeout

pytestmark = pytest.mark.criterion("modern-clients")

@pytest.fixture
def broken():
    raise OSError("no port")

@pytest.fixture
def messy():
    yield
    assert not ["worker-1 ended with status 1"]

def test_good(): pass
def test_bad(): assert 1 + 1 == 3, "two is two"
def test_set_up(broken): pass
def test_tear_down(messy): pass
def test_late(): raise ExpectationTimeout("nothing came")
def test_left_out(): pytest.skip("needs a stack of its own")
"""
CONFTEST = """
def pytest_collection_modifyitems(items):
    for item in items:
        item.user_properties.append(("criterion", item.get_closest_marker("criterion").args[0]))
"""


def scenario(outcome: SuiteOutcome, criterion: str = "migration", name: str = "test_it") -> SuiteRow:
    failure = "expected this, got that" if outcome is SuiteOutcome.FAILED else ""
    return SuiteRow(suite="suite", name=name, criterion=criterion, outcome=outcome, failure=failure)


def judge(*scenarios: SuiteRow, least: int, complete: bool = True) -> Criterion:
    collected = Collected()
    collected.add(ScenarioResults(scenarios=list(scenarios), log="logs/scenarios.log", complete=complete))
    return discover()["migration"].judged(collected, Limits(failed_scenarios=0), Least(scenarios=least))


def test_a_scenario_that_failed_on_a_starved_machine_is_inconclusive_and_hides_no_failure() -> None:
    passed, undecided = scenario(SuiteOutcome.PASSED), scenario(SuiteOutcome.UNDECIDED, name="test_slow")
    judgement = judge(passed, undecided, least=1)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "test_slow" in judgement.explanation
    assert judge(passed, undecided, scenario(SuiteOutcome.FAILED), least=1).verdict is Verdict.FAIL


def test_what_pytest_wrote_is_read_with_the_worst_that_was_said_of_each_test(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    results = tmp_path / "junit.xml"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            "--junit-xml",
            str(results),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    found = {scenario.name: (scenario.outcome, scenario.failure) for scenario in read_results(results)}
    assert found["test_good"] == (SuiteOutcome.PASSED, "")
    assert found["test_bad"] == (SuiteOutcome.FAILED, "two is two")
    assert found["test_set_up"] == (SuiteOutcome.FAILED, 'failed on setup with "OSError: no port"')
    assert found["test_tear_down"][0] is SuiteOutcome.FAILED
    assert "worker-1" in found["test_tear_down"][1]
    assert found["test_late"] == (SuiteOutcome.FAILED, "nothing came")
    assert found["test_left_out"][0] is SuiteOutcome.SKIPPED


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text("<testsuites><testsuite>")
    with pytest.raises(CouldNotRun, match="no JUnit file"):
        list(read_results(tmp_path / "junit.xml"))


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (
            '<testcase classname="pytest" name="internal"><error>Traceback\n  x\nOSError: no</error></testcase>',
            "pytest broke off: OSError: no",
        ),
        ('<testcase time="0.1"/>', "pytest broke off in the midst of a test"),
        ('<testcase classname="suite" name="test_it"/>', "test_it names no criterion"),
    ],
)
def test_suites_that_pytest_itself_broke_off_say_by_what(tmp_path: Path, case: str, says: str) -> None:
    (tmp_path / "junit.xml").write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    with pytest.raises(CouldNotRun, match=f"^{says}$"):
        read_results(tmp_path / "junit.xml")


def test_a_criterion_passes_when_enough_of_its_scenarios_passed() -> None:
    found = [scenario(SuiteOutcome.PASSED, name=str(number)) for number in range(3)]
    assert judge(*found, least=3).verdict is Verdict.PASS


def test_suites_that_were_broken_off_are_inconclusive_however_many_passed() -> None:
    found = [scenario(SuiteOutcome.PASSED, name=str(number)) for number in range(9)]
    assert judge(*found, least=3, complete=False).verdict is Verdict.INCONCLUSIVE


def test_one_that_failed_fails_it_whatever_else_there_is() -> None:
    criterion = judge(scenario(SuiteOutcome.FAILED), least=50)
    assert criterion.verdict is Verdict.FAIL
    assert criterion.explanation.endswith("test_it: expected this, got that.")


def test_those_that_were_skipped_or_belong_elsewhere_are_no_evidence() -> None:
    found = [
        scenario(SuiteOutcome.PASSED),
        scenario(SuiteOutcome.SKIPPED, name="skipped"),
        scenario(SuiteOutcome.PASSED, "mixed-clients"),
    ]
    criterion = judge(*found, least=2)
    assert criterion.verdict is Verdict.INCONCLUSIVE
    assert criterion.evidence[0].had == 1
