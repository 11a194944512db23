"""Every recorded cassette on both sides, with real processes."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.cassettes import Receive
from harness.cassettes.replay import Deadlines
from harness.cassettes.replay.files import Against, CassetteResult, Played, run_files
from harness.cassettes.replay.matrix import Matrix, _differ, patterns_of, play_matrix
from harness.parity.deviations import Deviations
from harness.processes import MachineWatch, Processes, Valkey
from harness.results import CellVerdict, Column, Finding, FindingKind
from harness.targets import REPLAYED, HubPool, Setup, Side, StackPool
from tests.harness.cassettes.replay.conftest import CASSETTES

FILES = sorted(CASSETTES.glob("*.jsonl"))
TODAY = dt.date(2026, 11, 24)
HURRIED = Deadlines(settle_s=5)
pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("matrix")]
"""Over a hundred processes are started for it, once."""


@pytest.fixture(scope="module")
def matrix(
    processes: Processes, valkey: Valkey, deviations: Deviations, tmp_path_factory: pytest.TempPathFactory
) -> Matrix:
    hub, stack = HubPool(processes), StackPool(processes, valkey)
    with MachineWatch(tmp_path_factory.mktemp("matrix") / "machine.jsonl") as machine:
        play = play_matrix(FILES, hub, stack, deviations=deviations, today=TODAY, deadlines=HURRIED, machine=machine)
        return asyncio.run(play)


def told(results: list[CassetteResult]) -> str:
    """Those that count, each with all that was found and what was waited for in vain."""
    odd = [result for result in results if result.verdict in {CellVerdict.DIFFERENT, CellVerdict.INCONCLUSIVE}]
    return "\n".join(
        f"{result.describe()} {[finding.sentence for finding in result.undeclared]} "
        f"{result.transcript.incidents if result.transcript else ''}"
        for result in odd
    )


def test_every_cassette_is_the_same_on_the_hub_but_the_one_whose_wait_was_cut_short(matrix: Matrix) -> None:
    for column in (Column.HUB, Column.HUB_AGAIN):
        odd = [result for result in matrix.columns[column] if result.verdict is not CellVerdict.SAME]
        assert [(result.name, result.verdict) for result in odd if column is Column.HUB] in (
            [],
            [("worker-drops-mid-job", CellVerdict.INCONCLUSIVE)],
        ), told(odd)


def test_every_cassette_is_the_same_or_declared_on_the_stack(matrix: Matrix) -> None:
    results = matrix.columns[Column.STACK_WEBSOCKET]
    assert {result.verdict for result in results} == {CellVerdict.SAME, CellVerdict.DECLARED}, told(results)
    declared = {result.name for result in results if result.verdict is CellVerdict.DECLARED}
    assert "cancel-running" in declared
    assert "happy-path" not in declared


def test_another_kind_of_client_is_told_the_same_facts(matrix: Matrix) -> None:
    results = matrix.columns[Column.STACK_SSE]
    verdicts = {result.name: result.verdict for result in results}
    assert CellVerdict.DIFFERENT not in verdicts.values(), told(results)
    assert CellVerdict.INCONCLUSIVE not in verdicts.values(), told(results)
    assert verdicts["happy-path"] is CellVerdict.SAME
    assert verdicts["fail-until-given-up"] is CellVerdict.SAME
    assert verdicts["cancel-running"] is CellVerdict.DECLARED
    assert verdicts["rest-submit-and-poll"] is CellVerdict.NOT_APPLICABLE


def test_no_declared_difference_is_unneeded(matrix: Matrix) -> None:
    assert matrix.problems == []


def test_the_matrix_is_given_in_the_words_of_the_results(matrix: Matrix) -> None:
    assert [row.name for row in matrix.rows] == [path.stem for path in FILES]
    cell = next(row for row in matrix.rows if row.name == "cancel-running").cell(Column.STACK_WEBSOCKET)
    assert cell is not None
    assert cell.verdict is CellVerdict.DECLARED
    assert all(finding.declared and finding.row is not None for finding in cell.findings)
    assert len(cell.rows) >= 28
    missing = [cell.rows[finding.row or 0] for finding in cell.findings if finding.kind is FindingKind.MISSING]
    assert missing
    assert all(row.observed is None for row in missing)


async def test_a_difference_that_is_not_declared_is_told_with_its_frame(processes: Processes, valkey: Valkey) -> None:
    stack = StackPool(processes, valkey, replace(REPLAYED, name="undeclared-api"), first_database=20)
    results = await run_files([CASSETTES / "cancel-running.jsonl"], stack, Against(today=TODAY))
    assert results[0].verdict is CellVerdict.DIFFERENT
    assert results[0].describe() == "cancel-running: different (client-a never got update_job_progress; 6 more follow)"


async def test_where_two_runs_of_the_hub_differ_it_is_played_a_third_time(
    processes: Processes, valkey: Valkey, deviations: Deviations, tmp_path: Path
) -> None:
    files = [CASSETTES / "happy-path.jsonl", CASSETTES / "cancel-pending.jsonl"]
    runs: list[list[Played]] = []

    async def play() -> Matrix:
        hub, stack = HubPool(processes), StackPool(processes, valkey, first_database=60)
        return await play_matrix(files, hub, stack, deviations=deviations, today=TODAY, recall=runs)

    await play()
    assert [[played.path for played in run] for run in runs] == [files, files, []]
    first = runs[0][0]
    assert first.transcript is not None
    frames = [event for event in first.transcript.events if isinstance(event, Receive)]
    wrong = replace(frames[-1], message={"type": "job_accepted", "job_id": "of-nobody"})
    runs[1][0] = replace(first, transcript=replace(first.transcript, events=(*first.transcript.events, wrong)))
    assert _differ(first, runs[1][0])


def test_what_differs_in_one_way_in_several_recordings_is_one_sentence() -> None:
    def result(name: str, *fields: str) -> CassetteResult:
        kind, told = FindingKind.CHANGED, {"actor": "a", "role": "client", "message_type": "complete_job"}
        findings = [Finding(kind=kind, field=field, sentence=f"a: {field} is wrong.", **told) for field in fields]
        return CassetteResult(path=Path(f"{name}.jsonl"), verdict=CellVerdict.DIFFERENT, findings=tuple(findings))

    results = [result(f"r-{number}", "result") for number in range(24)]
    assert patterns_of([*results, result("alone", "worker_id"), result("both", "result", "worker_id")]) == [
        "25 recordings: a: result is wrong. (r-0, r-1, r-2, …)",
        "2 recordings: a: worker_id is wrong. (alone, both)",
    ]
    assert patterns_of([result("alone", "worker_id")]) == ["alone: different (a: worker_id is wrong)."]


async def test_a_file_that_cannot_be_read_is_inconclusive_and_the_others_are_played(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text("nonsense")
    files = [tmp_path / "bad.jsonl", CASSETTES / "happy-path.jsonl"]
    results = await run_files(files, HubPool(processes, Setup(side=Side.HUB, name="hub-of-two")), Against(today=TODAY))
    assert [result.verdict for result in results] == [CellVerdict.INCONCLUSIVE, CellVerdict.SAME]
    assert "bad.jsonl:1: not JSON" in results[0].reason
