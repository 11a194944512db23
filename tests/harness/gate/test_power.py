"""Mutants are put to the gate one by one, and what share it fails is told with an interval."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from harness.criteria.claims import CRITERION
from harness.criteria.definition import Judged
from harness.errors import CouldNotRun
from harness.gate import selftest
from harness.gate.context import Options
from harness.gate.power import Controls, judge, measure_power
from harness.results import Fate, MutantRow, Parts, Run, Score, Verdict, conclude, count, load, save
from tests.reports.samples import about


def run_of(lost: int) -> Run:
    return conclude(
        about("fast", 1.0), Parts(criteria=[CRITERION.concluded(Judged(measurements=[count("lost", lost)]))])
    )


def score(caught: int, survived: int) -> Score:
    def row(fate: Fate) -> MutantRow:
        return MutantRow(id="f-1", room="api", file="api/f.py", line=1, operator="o", diff="-a\n+b", fate=fate)

    return Score.of("all", [row(Fate.CAUGHT)] * caught + [row(Fate.SURVIVED)] * survived)


def test_a_share_under_the_limit_fails_and_few_mutants_tell_nothing() -> None:
    assert judge(score(90, 10), run_of(0), Controls()).verdict is Verdict.PASS
    assert judge(score(80, 20), run_of(0), Controls()).verdict is Verdict.FAIL
    assert judge(score(9, 1), run_of(0), Controls()).verdict is Verdict.INCONCLUSIVE


def test_the_share_means_nothing_where_the_sound_stack_does_not_pass() -> None:
    assert judge(score(90, 10), run_of(1), Controls()).verdict is Verdict.FAIL


def test_the_share_means_nothing_where_the_sound_stack_is_called_wrong_among_the_mutants() -> None:
    judged = judge(score(90, 10), run_of(0), Controls(1, 1, ["Modern clients: it runs again: no such key"]))
    assert judged.verdict is Verdict.FAIL
    assert "The sound stack, among the mutants: Modern clients: it runs again" in judged.explanation


async def test_the_sound_stack_is_tried_again_among_the_mutants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def run_gate(options: Options, *_: Any, **__: Any) -> tuple[Run, Path]:
        tried.append(options.changed or "")
        folder = tmp_path / f"run-{len(tried)}"
        folder.mkdir()
        # What fails by chance: not when the sound stack is tried first.
        return run_of(0 if len(tried) == 1 else 1), folder

    monkeypatch.setattr(selftest, "run_gate", run_gate)
    options = Options(out=tmp_path / "out", seed=7)
    run, _ = await measure_power(11, options, write=lambda _run, _folder: None, report=lambda _: None)
    assert len(set(tried)) == 12
    assert tried.count("") == 1 + 2 * 2
    assert [one.observed for one in run.criteria[0].measurements] == [100, 0, 4]


async def test_a_try_of_the_sound_stack_that_cannot_be_run_loses_no_mutants_run_and_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def run_gate(options: Options, *_: Any, **__: Any) -> tuple[Run, Path]:
        tried.append(options.changed or "")
        if len(tried) > 1 and not options.changed:
            raise CouldNotRun("no port is free")
        folder = tmp_path / f"run-{len(tried)}"
        folder.mkdir()
        return run_of(1 if options.changed else 0), folder

    monkeypatch.setattr(selftest, "run_gate", run_gate)
    options = Options(out=tmp_path / "out", seed=7)
    run, _ = await measure_power(30, options, write=lambda _run, _folder: None, report=lambda _: None)
    assert [row.fate for row in run.mutants] == [Fate.CAUGHT] * 30
    assert run.verdict is Verdict.INCONCLUSIVE


async def test_each_mutant_has_its_fate_and_the_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[str] = []
    numbers = itertools.count()

    async def run_gate(options: Options, *_: Any, **__: Any) -> tuple[Run, Path]:
        name = options.changed
        folder = tmp_path / f"run-{next(numbers)}"
        folder.mkdir()
        if name and name not in changed:
            changed.append(name)
        return run_of(1 if name and changed.index(name) % 2 else 0), folder

    monkeypatch.setattr(selftest, "run_gate", run_gate)
    options = Options(out=tmp_path / "out", seed=7)
    run, folder = await measure_power(4, options, write=lambda _run, _folder: None, report=lambda _: None)
    assert sorted(row.fate for row in run.mutants) == [Fate.CAUGHT] * 2 + [Fate.SURVIVED] * 2
    assert len(set(changed)) == 4
    assert run.power[0].describe().startswith("2 of 4 mutants caught: 50 %")
    assert {row.room for row in run.mutants} == {one.room for one in run.power[1:]}
    assert load(save(run, folder)).mutants == run.mutants


async def test_no_mutant_is_tried_where_the_sound_stack_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def run_gate(options: Options, *_: Any, **__: Any) -> tuple[Run, Path]:
        tried.append(options.changed or "")
        return run_of(1), tmp_path

    monkeypatch.setattr(selftest, "run_gate", run_gate)
    with pytest.raises(CouldNotRun, match="the sound stack fails"):
        await measure_power(
            4, Options(out=tmp_path / "out", seed=7), write=lambda _run, _folder: None, report=lambda _: None
        )
    assert tried == [""]
