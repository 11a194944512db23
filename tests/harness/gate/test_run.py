from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from harness.criteria.statements import CriterionId
from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Options, Phase, Stage
from harness.gate.findings import Findings, judged
from harness.gate.run import run_gate
from harness.processes import ProcessDied
from harness.results import Comparison, Measurement, Threshold, Verdict

CLAIMS, PROGRESS = CriterionId.CLAIMS, CriterionId.PROGRESS


def passing(which: CriterionId, observed: float = 0) -> Findings:
    limit = Threshold(comparison=Comparison.EQUAL, limit=0)
    return Findings(criteria=[judged(which, [Measurement(what="x", observed=observed, threshold=limit)], [])])


def phase(*feeds: CriterionId, error: Exception | None = None, observed: float = 0) -> Phase:
    async def gather(_: Bench) -> Findings:
        if error is not None:
            raise error
        return Findings.merged(passing(which, observed) for which in feeds)

    return Phase(name="-".join(feeds), about="a phase of the test", feeds=feeds, gather=gather)


def options(tmp_path: Path, *only: CriterionId) -> Options:
    return Options(out=tmp_path, only=only)


async def test_a_run_in_which_all_pass_passes(tmp_path: Path) -> None:
    run, folder = await run_gate(options(tmp_path, CLAIMS, PROGRESS), groups=[[phase(CLAIMS), phase(PROGRESS)]])
    assert run.verdict is Verdict.PASS
    assert folder.parent == tmp_path


async def test_a_criterion_that_no_phase_judged_makes_the_run_inconclusive(tmp_path: Path) -> None:
    run, _ = await run_gate(options(tmp_path, CLAIMS, PROGRESS), groups=[[phase(CLAIMS)]])
    assert run.verdict is Verdict.INCONCLUSIVE
    assert [c.id for c in run.criteria if c.verdict is Verdict.INCONCLUSIVE] == [PROGRESS]


async def test_an_empty_run_never_passes(tmp_path: Path) -> None:
    run, _ = await run_gate(options(tmp_path), groups=[[]])
    assert run.verdict is Verdict.INCONCLUSIVE
    assert len(run.criteria) == len(CriterionId)


@pytest.mark.parametrize(
    "error",
    [CouldNotRun("no Redis"), OSError("no port"), RuntimeError("a bug of ours"), ProcessDied("hub", -9, "", "")],
)
async def test_a_phase_that_broke_off_is_inconclusive_and_the_others_are_judged(
    tmp_path: Path, error: Exception
) -> None:
    run, folder = await run_gate(
        options(tmp_path, CLAIMS, PROGRESS), groups=[[phase(CLAIMS, error=error), phase(PROGRESS)]]
    )
    assert run.verdict is Verdict.INCONCLUSIVE
    assert {c.id: c.verdict for c in run.criteria} == {CLAIMS: Verdict.INCONCLUSIVE, PROGRESS: Verdict.PASS}
    assert (folder / "logs" / "claims.traceback.log").read_text()


@pytest.mark.parametrize("name", ["api", "api-2", "worker-7"])
async def test_a_stack_that_crashes_fails(tmp_path: Path, name: str) -> None:
    died = ExceptionGroup("tasks", [ProcessDied(name, 1, "on its own", "Traceback…")])
    run, _ = await run_gate(options(tmp_path, CLAIMS), groups=[[phase(CLAIMS, error=died)]])
    assert run.verdict is Verdict.FAIL
    assert name in run.criteria[0].explanation


async def test_a_stack_that_says_it_cannot_run_here_is_inconclusive(tmp_path: Path) -> None:
    refused = ProcessDied("api", 3, "before it was ready", "Redis cannot be reached")
    run, _ = await run_gate(options(tmp_path, CLAIMS), groups=[[phase(CLAIMS, error=refused)]])
    assert run.verdict is Verdict.INCONCLUSIVE


async def test_a_failure_outranks_a_phase_that_broke_off(tmp_path: Path) -> None:
    run, _ = await run_gate(
        options(tmp_path, CLAIMS, PROGRESS),
        groups=[[phase(CLAIMS, error=CouldNotRun("no Redis")), phase(PROGRESS, observed=1)]],
    )
    assert run.verdict is Verdict.FAIL


async def test_only_keeps_the_other_phases_from_running(tmp_path: Path) -> None:
    stages: list[tuple[str, Stage]] = []
    await run_gate(
        options(tmp_path, CLAIMS),
        lambda which, stage, _: stages.append((which.name, stage)),
        [[phase(CLAIMS), phase(PROGRESS)]],
    )
    assert stages == [("claims", Stage.RUNNING), ("claims", Stage.DONE)]


async def test_a_group_begins_when_the_background_only_waits(tmp_path: Path) -> None:
    order: list[str] = []

    async def slow(bench: Bench) -> Findings:
        bench.shared.only_waiting.set()
        order.append("waiting")
        while "other" not in order:
            await asyncio.sleep(0)
        return passing(CLAIMS)

    async def other(_: Bench) -> Findings:
        order.append("other")
        return passing(PROGRESS)

    groups = [
        [Phase(name="slow", about="waits", feeds=(CLAIMS,), gather=slow, background=True)],
        [Phase(name="other", about="acts", feeds=(PROGRESS,), gather=other)],
    ]
    run, _ = await asyncio.wait_for(run_gate(options(tmp_path, CLAIMS, PROGRESS), groups=groups), 5)
    assert order == ["waiting", "other"]
    assert run.verdict is Verdict.PASS


async def test_a_background_phase_that_breaks_off_does_not_hold_up_the_others(tmp_path: Path) -> None:
    groups = [[dataclasses.replace(phase(CLAIMS, error=OSError("no port")), background=True)], [phase(PROGRESS)]]
    run, _ = await asyncio.wait_for(run_gate(options(tmp_path, CLAIMS, PROGRESS), groups=groups), 5)
    assert {c.id: c.verdict for c in run.criteria} == {CLAIMS: Verdict.INCONCLUSIVE, PROGRESS: Verdict.PASS}
