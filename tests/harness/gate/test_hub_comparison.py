"""The stack beside the hub under the same faults: what counts, and that nobody else's hub is touched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from harness.criteria.definition import discover
from harness.criteria.limits import load_limits
from harness.errors import CouldNotRun
from harness.gate import hub_comparison
from harness.gate.context import Options, RunContext
from harness.gate.hub_comparison import ACKNOWLEDGED, LONGEST, NOT_OURS, compare, fault_row, on_hub, outcome_of
from harness.gate.phases import chaos
from harness.gate.profiles import PROFILES
from harness.load.judge import IN_SHORT
from harness.load.ledger import Complaint, Outcome
from harness.load.spec import Mix
from harness.processes import Processes
from harness.results import FaultOutcome, Standing
from tests.harness.criteria.loads import load


def outcome(acknowledged: int = 100, lost: int = 0, longest_ms: float = 0) -> FaultOutcome:
    return FaultOutcome(sentence="", figures={ACKNOWLEDGED: acknowledged, "lost": lost, LONGEST: longest_ms})


def context(folder: Path, **options: str) -> RunContext:
    return RunContext(
        options=Options(**options),
        folder=folder,
        processes=Processes(folder),
        limits=load_limits(discover()),
        profile=PROFILES["full"],
        wanted=(),
        report=lambda _: None,
    )


def test_a_smaller_share_of_jobs_in_trouble_is_better_whatever_it_took() -> None:
    stack, hub = outcome(longest_ms=12_000), outcome(lost=1, longest_ms=100)
    assert compare(stack, hub) is Standing.BETTER
    assert compare(hub, stack) is Standing.WORSE
    assert compare(outcome(1_000, lost=2), outcome(100, lost=1)) is Standing.BETTER


def test_the_same_trouble_is_told_apart_by_how_long_it_took() -> None:
    assert compare(outcome(longest_ms=10_000), outcome(longest_ms=30_000)) is Standing.BETTER
    assert compare(outcome(longest_ms=30_000), outcome(longest_ms=10_000)) is Standing.WORSE
    assert compare(outcome(longest_ms=10_000), outcome(longest_ms=11_000)) is Standing.SAME


def test_without_a_hub_there_is_nothing_to_stand_against() -> None:
    assert compare(outcome(), None) is Standing.ALONE


def test_an_outcome_tells_what_went_wrong_by_what_the_clients_saw() -> None:
    assert outcome_of(load(), []).sentence == "Of 100 acknowledged jobs: every job ended once."
    well = load()
    jobs = msgspec.structs.replace(well.swarm.jobs, outcomes=Counter(dict.fromkeys(IN_SHORT, 2)))
    swarm = msgspec.structs.replace(well.swarm, jobs=jobs, errors=Counter({Complaint.ENDED_TWICE: 3}))
    told = outcome_of(msgspec.structs.replace(well, swarm=swarm), [700.0, 3_100.4])
    assert told.sentence == "Of 100 acknowledged jobs: 2 lost, 2 not ended, 2 end never told, 3 end told twice."
    assert told.figures[LONGEST] == 3_100
    assert Outcome.LOST in IN_SHORT


async def test_a_given_hub_is_never_struck_and_the_row_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a load nor a fault is begun."""

    async def begun(*_: object) -> None:
        raise AssertionError("a load was begun")

    for module in (hub_comparison, chaos):
        monkeypatch.setattr(module, "run_load", begun)
    given = context(tmp_path, legacy="http://127.0.0.1:1")
    assert min(given.profile.hub_fault_jobs, given.profile.hub_chaos_jobs) > 0
    for why in (await on_hub(given, "faults-hub", begun), await chaos.on_hub(given)):
        row = fault_row("chaos", "", "", outcome(), why)
        assert (row.explanation, row.standing, row.hub) == (NOT_OURS, Standing.ALONE, None)


async def test_a_hub_that_could_not_be_run_is_no_word_on_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot(*_: object) -> None:
        raise CouldNotRun("no port is free")

    monkeypatch.setattr(hub_comparison, "run_load", cannot)
    why = await on_hub(context(tmp_path), "faults-hub", cannot, mix=Mix())
    assert why == "The hub could not be put through it: no port is free"


def test_a_hub_that_took_hardly_a_job_is_nothing_to_stand_against() -> None:
    row = fault_row("chaos", "", "", outcome(), outcome(3))
    assert (row.standing, row.explanation) == (
        Standing.ALONE,
        "The hub acknowledged 3 jobs: too few to compare.",
    )
    assert row.hub is not None


def test_what_is_not_done_to_the_hub_is_named_with_the_reason() -> None:
    for kind, why in chaos.SPARED_ON_HUB.items():
        assert f"{kind} ({why})" in chaos.HOW
