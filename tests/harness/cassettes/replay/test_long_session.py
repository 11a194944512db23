"""A long session is judged by its first cause: the player follows the stack's order of work."""

import asyncio
import datetime as dt
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness import defects
from harness.cassettes import Cassette, Drop, Open, Role
from harness.cassettes.events import fields_of
from harness.cassettes.replay.files import Against, CassetteResult, judged, play_file
from harness.parity.deviations import Deviations, View
from harness.processes import Processes, Valkey, start_valkey
from harness.results import CellVerdict
from harness.targets import REPLAYED, HubPool, Needs, Setup, Side, StackPool
from tests.harness.cassettes.replay.long_session import record_long_session

TODAY = dt.date(2026, 11, 30)
ORDER = {"order-of-work", "facts-order-of-work"}
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("long-session")]


@pytest.fixture(scope="module")
def recording(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cassette]:
    folder = tmp_path_factory.mktemp("long-session")

    async def record() -> Cassette:
        async with HubPool(processes, Setup(side=Side.HUB, name="hub-of-a-long-day")).acquire(Needs()) as hub:
            return await record_long_session(hub, folder)

    return folder / "long-session.jsonl", asyncio.run(record())


async def played(path: Path, stack: StackPool, deviations: Deviations, view: View) -> CassetteResult:
    return judged(await play_file(path, stack, view=view), Against(deviations=deviations, today=TODAY))


def test_it_is_long_and_has_all_that_a_session_has(recording: tuple[Path, Cassette]) -> None:
    _, cassette = recording
    kinds = Counter(fields_of(event).get("type") for event in cassette.events)
    assert len(cassette.events) > 600
    assert list(cassette.roles.values()).count(Role.WORKER.value) == 2
    assert kinds["fail_job"] > 3, "attempts failed and were made again"
    opened = Counter(event.actor for event in cassette.events if isinstance(event, Open))
    assert opened["worker-b"] == 3, "a worker came and went"
    assert opened["shop"] > 3, "a client came back"
    assert sum(isinstance(event, Drop) for event in cassette.events) == 3


@pytest.mark.parametrize("view", View)
async def test_a_sound_stack_differs_in_nothing_but_the_order_of_work_and_that_is_told_once(
    recording: tuple[Path, Cassette], processes: Processes, valkey: Valkey, deviations: Deviations, view: View
) -> None:
    stack = StackPool(processes, valkey, replace(REPLAYED, name=f"long-{view}"), first_database=48)
    # Beside other tests a worker may claim just before a submission is taken, and not just after: played again then.
    for _ in range(3):
        result = await played(recording[0], stack, deviations, view)
        if {finding.field for finding in result.undeclared} != {"position"}:
            break
    assert result.undeclared == (), [finding.sentence for finding in result.undeclared]
    assert result.verdict in {CellVerdict.SAME, CellVerdict.DECLARED}, result.reason
    declared = [finding for finding in result.findings if finding.declared and finding.declared.name in ORDER]
    assert result.transcript is not None
    kinds = {bool(one.handed_to) for one in result.transcript.exchanges}
    assert len(declared) == len(kinds)
    assert sum(finding.times for finding in declared) == len(result.transcript.exchanges)
    assert all("no order was promised" in finding.sentence for finding in declared)


@pytest.mark.parametrize(
    ("defect", "view", "told"),
    [
        ("error-text-lost", View.FRAMES, "error of fail_job is"),
        ("last-in-first-out", View.FACTS, "job_id of job_assigned is"),
    ],
)
async def test_of_a_defect_in_the_midst_of_it_the_first_cause_is_told_and_the_rest_is_folded_beneath(
    recording: tuple[Path, Cassette],
    processes: Processes,
    deviations: Deviations,
    tmp_path: Path,
    defect: str,
    view: View,
    told: str,
) -> None:
    overlay = defects.apply(defects.named(defect), tmp_path / "overlay")
    own = start_valkey(processes, name=f"valkey-{defect}")
    stack = StackPool(processes, own, replace(REPLAYED, name=f"api-{defect}", overlay=overlay))
    result = await played(recording[0], stack, deviations, view)
    assert result.verdict is CellVerdict.DIFFERENT
    assert len(result.causes) == 1, [finding.sentence for finding in result.causes]
    assert told in result.causes[0].sentence
    assert all(finding.follows is not None for finding in result.undeclared if finding is not result.causes[0])
