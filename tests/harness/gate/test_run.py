from __future__ import annotations

import asyncio
import dataclasses
import sys
from pathlib import Path

import pytest

import harness.criteria
import reports
from harness.criteria.definition import NotMeasured, discover
from harness.criteria.evidence import CodeSize, Contention
from harness.criteria.limits import DEFAULT
from harness.errors import CouldNotRun, NotReady
from harness.gate.context import Options, Phase, PhaseResult, PhaseStatus, RunContext
from harness.gate.phases import PHASES
from harness.gate.run import run_gate
from harness.processes import Launch, ProcessDied
from harness.results import Verdict

CONFLICTS, SIMPLICITY = "no-conflicts", "simplicity"
SIMPLE = CodeSize(lines={f"new_stack/queue/functions/{number}.lua": 1 for number in range(50)})
LARGE = CodeSize(lines={**SIMPLE.lines, "new_stack/api/huge.py": 100_000})


def fair(winners: int = 1) -> Contention:
    return Contention(workers=48, winners=[winners] * 100)


def phase(*evidence: object, error: Exception | None = None) -> Phase:
    async def gather(_: RunContext) -> PhaseResult:
        if error is not None:
            raise error
        return PhaseResult(evidence=list(evidence))

    kinds = tuple(type(part) for part in evidence)
    return Phase(name=kinds[0].__name__, about="a phase of the test", gathers=kinds, gather=gather)


def options(tmp_path: Path, *only: str) -> Options:
    return Options(out=tmp_path, only=only, waivers=None)


async def test_a_run_in_which_all_pass_passes(tmp_path: Path) -> None:
    run, folder = await run_gate(options(tmp_path, CONFLICTS, SIMPLICITY), groups=[[phase(fair()), phase(SIMPLE)]])
    assert run.verdict is Verdict.PASS
    assert folder.parent == tmp_path


async def test_a_machine_without_git_can_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=[[phase(fair())]])
    assert (run.verdict, run.about.revision) == (Verdict.PASS, None)


async def test_a_criterion_that_no_phase_serves_makes_the_run_inconclusive(tmp_path: Path) -> None:
    run, _ = await run_gate(options(tmp_path, CONFLICTS, SIMPLICITY), groups=[[phase(fair())]])
    assert run.verdict is Verdict.INCONCLUSIVE
    assert [c.id for c in run.criteria if c.verdict is Verdict.INCONCLUSIVE] == [SIMPLICITY]


async def test_an_empty_run_never_passes(tmp_path: Path) -> None:
    run, _ = await run_gate(options(tmp_path), groups=[[]])
    assert run.verdict is Verdict.INCONCLUSIVE
    assert len(run.criteria) == len(discover())


@pytest.mark.parametrize(
    "error",
    [CouldNotRun("no Redis"), OSError("no port"), RuntimeError("a bug of ours"), ProcessDied("hub", -9, "", "")],
)
async def test_a_phase_that_broke_off_is_inconclusive_and_the_others_are_judged(
    tmp_path: Path, error: Exception
) -> None:
    run, folder = await run_gate(
        options(tmp_path, CONFLICTS, SIMPLICITY), groups=[[phase(fair(), error=error), phase(SIMPLE)]]
    )
    assert run.verdict is Verdict.INCONCLUSIVE
    assert {c.id: c.verdict for c in run.criteria} == {CONFLICTS: Verdict.INCONCLUSIVE, SIMPLICITY: Verdict.PASS}
    assert (folder / "logs" / "Contention.traceback.log").read_text()


@pytest.mark.parametrize("name", ["api", "api-2", "worker-7"])
async def test_a_stack_that_crashes_fails(tmp_path: Path, name: str) -> None:
    died = ExceptionGroup("tasks", [ProcessDied(name, 1, "on its own", "Traceback…")])
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=[[phase(fair(), error=died)]])
    assert run.verdict is Verdict.FAIL
    assert name in run.criteria[0].explanation


@pytest.mark.parametrize(("name", "verdict"), [("replay-api-33", Verdict.FAIL), ("hub-worker-3", Verdict.INCONCLUSIVE)])
async def test_a_process_that_ends_on_its_own_breaks_off_a_phase_that_did_not_notice(
    tmp_path: Path, name: str, verdict: Verdict
) -> None:
    async def gather(context: RunContext) -> PhaseResult:
        ended = context.processes.start(Launch(name=name, command=(sys.executable, "-c", "raise SystemExit(1)")))
        while ended.alive:
            await asyncio.sleep(0.01)
        return PhaseResult(evidence=[fair()])

    groups = [[Phase(name="crashing", about="a phase of the test", gathers=(Contention,), gather=gather)]]
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=groups)
    assert run.verdict is verdict
    assert name in run.criteria[0].explanation


async def test_a_run_that_is_stopped_judges_what_had_ended(tmp_path: Path) -> None:
    stop, begun = asyncio.Event(), asyncio.Event()

    async def gather(_: RunContext) -> PhaseResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    endless = Phase(name="endless", about="a phase of the test", gathers=(Contention,), gather=gather)
    chosen = options(tmp_path, CONFLICTS, SIMPLICITY)
    running = asyncio.ensure_future(run_gate(chosen, groups=[[phase(SIMPLE)], [endless]], stop=stop))
    await begun.wait()
    stop.set()
    run, _ = await running
    assert {c.id: c.verdict for c in run.criteria} == {CONFLICTS: Verdict.INCONCLUSIVE, SIMPLICITY: Verdict.PASS}
    assert "the run was stopped" in run.criteria[0].explanation


async def test_a_run_of_a_stack_that_was_made_wrong_on_purpose_says_so_first(tmp_path: Path) -> None:
    wrong = dataclasses.replace(options(tmp_path, CONFLICTS), defect="missing-field")
    run, _ = await run_gate(wrong, groups=[[phase(fair(winners=2))]])
    assert run.headline.endswith("criterion that was tried fails (with missing-field, a mistake made on purpose).")
    assert [target.kind for target in run.about.targets] == ["a hub", "a stack made wrong on purpose (missing-field)"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ProcessDied("api", 1, "on its own", "Traceback:\n  File\nKeyError: 'x'\n"), "of its log: KeyError: 'x'."),
        (ProcessDied("api", 1, "on its own", ""), "api ended with status 1 on its own; its log is empty."),
        (NotReady("hub was not ready; its log says:\nfirst\nlast\n"), "was not ready; its log says: last"),
        (CouldNotRun("one line: and no more"), "broke off: one line: and no more"),
        (CouldNotRun("what it is\nand details"), "broke off: what it is"),
    ],
)
async def test_what_broke_a_phase_off_is_told_to_its_end(tmp_path: Path, error: Exception, says: str) -> None:
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=[[phase(fair(), error=error)]])
    assert says in run.criteria[0].explanation


async def test_a_stack_that_says_it_cannot_run_here_is_inconclusive(tmp_path: Path) -> None:
    refused = ProcessDied("api", 3, "before it was ready", "Redis cannot be reached")
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=[[phase(fair(), error=refused)]])
    assert run.verdict is Verdict.INCONCLUSIVE


async def test_a_stack_that_was_at_work_and_ends_has_crashed_whatever_its_status(tmp_path: Path) -> None:
    ended = ProcessDied("api", 3, "on its own", "Redis cannot be reached")
    run, _ = await run_gate(options(tmp_path, CONFLICTS), groups=[[phase(fair(), error=ended)]])
    assert run.verdict is Verdict.FAIL


async def test_a_failure_outranks_a_phase_that_broke_off(tmp_path: Path) -> None:
    run, _ = await run_gate(
        options(tmp_path, CONFLICTS, SIMPLICITY),
        groups=[[phase(fair(), error=CouldNotRun("no Redis")), phase(LARGE)]],
    )
    assert run.verdict is Verdict.FAIL


async def test_only_keeps_the_other_phases_from_running(tmp_path: Path) -> None:
    stages: list[tuple[str, PhaseStatus]] = []
    await run_gate(
        options(tmp_path, CONFLICTS),
        lambda which, status, _: stages.append((which.name, status)),
        [[phase(fair()), phase(SIMPLE)]],
    )
    assert stages == [("Contention", PhaseStatus.RUNNING), ("Contention", PhaseStatus.DONE)]


@pytest.mark.parametrize(("profile", "most"), [("quick", 3), ("full", 2)])
async def test_so_many_phases_are_at_work_at_once(tmp_path: Path, profile: str, most: int) -> None:
    at_work, seen = 0, list[int]()

    async def work(_: RunContext) -> PhaseResult:
        nonlocal at_work
        at_work += 1
        seen.append(at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        return PhaseResult(evidence=[SIMPLE])

    phases = [Phase(name=f"phase-{n}", about="works", gathers=(CodeSize,), gather=work) for n in range(6)]
    chosen = dataclasses.replace(options(tmp_path, SIMPLICITY), profile=profile)
    await run_gate(chosen, groups=[phases])
    assert max(seen) == most


async def test_a_group_begins_when_the_background_only_waits(tmp_path: Path) -> None:
    order: list[str] = []

    async def slow(context: RunContext) -> PhaseResult:
        context.shared.only_waiting.set()
        order.append("waiting")
        while "other" not in order:
            await asyncio.sleep(0)
        return PhaseResult(evidence=[fair()])

    async def other(_: RunContext) -> PhaseResult:
        order.append("other")
        return PhaseResult(evidence=[SIMPLE])

    groups = [
        [Phase(name="slow", about="waits", gathers=(Contention,), gather=slow, background=True)],
        [Phase(name="other", about="acts", gathers=(CodeSize,), gather=other)],
    ]
    run, _ = await asyncio.wait_for(run_gate(options(tmp_path, CONFLICTS, SIMPLICITY), groups=groups), 5)
    assert order == ["waiting", "other"]
    assert run.verdict is Verdict.PASS


async def test_a_background_phase_that_breaks_off_does_not_hold_up_the_others(tmp_path: Path) -> None:
    groups = [[dataclasses.replace(phase(fair(), error=OSError("no port")), background=True)], [phase(SIMPLE)]]
    run, _ = await asyncio.wait_for(run_gate(options(tmp_path, CONFLICTS, SIMPLICITY), groups=groups), 5)
    assert {c.id: c.verdict for c in run.criteria} == {CONFLICTS: Verdict.INCONCLUSIVE, SIMPLICITY: Verdict.PASS}


async def test_a_phase_that_has_no_meaning_here_is_no_problem_of_the_run(tmp_path: Path) -> None:
    run, _ = await run_gate(
        options(tmp_path, CONFLICTS), groups=[[phase(fair(), error=NotMeasured("Somebody else's stack."))]]
    )
    assert (run.criteria[0].verdict, run.criteria[0].explanation) == (Verdict.INCONCLUSIVE, "Somebody else's stack.")
    assert run.problems == ()


async def test_a_judge_that_breaks_off_leaves_the_others_theirs(tmp_path: Path) -> None:
    nowhere = CodeSize(lines={"elsewhere/file.py": 1})
    run, folder = await run_gate(
        options(tmp_path, CONFLICTS, SIMPLICITY), groups=[[phase(fair(winners=2)), phase(nowhere)]]
    )
    assert {c.id: c.verdict for c in run.criteria} == {CONFLICTS: Verdict.FAIL, SIMPLICITY: Verdict.INCONCLUSIVE}
    assert "broke off" in run.problems[0]
    assert (folder / "logs" / "simplicity.judge.traceback.log").read_text()


async def test_a_criterion_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(CouldNotRun, match="no criterion clams; there are legacy-clients, "):
        await run_gate(options(tmp_path, "clams"), groups=[])


def test_each_type_of_evidence_that_a_criterion_needs_is_gathered_by_one_phase() -> None:
    gathered = [kind for one in PHASES for kind in one.gathers]
    assert len(gathered) == len(set(gathered))
    assert {need for spec in discover().values() for need in spec.needs} == set(gathered)


CRITERION = """
import msgspec
from harness.criteria.definition import CriterionSpec, Judged
from harness.results import at_most
from harness.criteria.evidence import Contention

class Limits(msgspec.Struct, forbid_unknown_fields=True):
    most_winners: int

class Least(msgspec.Struct, forbid_unknown_fields=True):
    jobs: int

def judge(collected, limits, least):
    winners = max(collected.get(Contention).winners)
    return Judged(measurements=[at_most("winners", winners, limits.most_winners)])

CRITERION = CriterionSpec(
    id="one-winner", title="One wins", sentence="One worker wins.", source="this test", measured="by counting",
    needs=(Contention,), limits=Limits, least=Least, judge=judge,
)
"""


@pytest.mark.parametrize(("winners", "verdict"), [(1, Verdict.PASS), (2, Verdict.FAIL)])
async def test_a_criterion_is_added_by_its_module_and_its_limits_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winners: int, verdict: Verdict
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "one_winner.py").write_text(CRITERION)
    limits = tmp_path / "limits.toml"
    limits.write_text(DEFAULT.read_text() + "\n[one-winner]\nmost_winners = 1\nleast.quick = { jobs = 1 }\n")
    monkeypatch.setattr(harness.criteria, "__path__", [*harness.criteria.__path__, str(tmp_path / "more")])
    monkeypatch.delitem(sys.modules, "harness.criteria.one_winner", raising=False)
    asked = Options(out=tmp_path, only=("one-winner",), thresholds=limits)
    run, folder = await run_gate(asked, groups=[[phase(fair(winners))]])
    assert (run.verdict, [criterion.id for criterion in run.criteria]) == (verdict, ["one-winner"])
    assert "One wins" in reports.write(run, folder).page.read_text()


async def test_a_waived_failure_is_reported_first_and_passes(tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(
        '[[waiver]]\ncriterion = "simplicity"\nreason = "It is a lot."\nowner = "us"\nexpires = 9999-12-31\n'
    )
    asked = Options(out=tmp_path, only=(CONFLICTS, SIMPLICITY), waivers=tmp_path / "waivers.toml")
    run, folder = await run_gate(asked, groups=[[phase(fair()), phase(LARGE)]])
    assert (run.verdict, run.outcome) == (Verdict.PASS, "pass, with 1 waiver")
    written = reports.write(run, folder)
    page, summary, junit = (path.read_text() for path in (written.page, written.summary, written.junit))
    assert page.index("It is a lot.") < page.index("Criteria</h2>")
    assert "pass, with 1 waiver" in page
    assert summary.startswith("## ✓ hubgate: pass, with 1 waiver")
    assert 'failures="0"' in junit
    assert 'message="waived until 9999-12-31 by us: It is a lot."' in junit
    unneeded, _ = await run_gate(asked, groups=[[phase(fair()), phase(SIMPLE)]])
    assert unneeded.verdict is Verdict.FAIL
