"""Which processes of a run are forked from a warm one: none of which it is measured what they take."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.criteria.definition import NotMeasured, discover
from harness.criteria.limits import load_limits
from harness.gate import load_runs
from harness.gate.context import Options, RunContext
from harness.gate.load_runs import run_load, spec_for
from harness.gate.phases import resources
from harness.gate.profiles import PROFILES
from harness.history import HistoryWriter
from harness.load.results import LoadResult
from harness.load.spec import MOVING, LoadSpec, Mix
from harness.processes import Process, Processes
from harness.processes.warm_pool import can_fork
from harness.targets import Deployment, Side
from tests.harness.criteria.loads import load

pytestmark = pytest.mark.skipif(not can_fork(), reason="nothing is forked here")


def context(folder: Path, profile: str = "quick") -> RunContext:
    return RunContext(
        options=Options(profile=profile),
        folder=folder,
        processes=Processes(folder, warm=PROFILES[profile].warm),
        limits=load_limits(discover()),
        profile=PROFILES[profile],
        wanted=(),
        report=lambda _: None,
    )


async def disturb(deployment: Deployment, writer: HistoryWriter) -> None:
    pass


@pytest.mark.parametrize(
    ("profile", "broken", "more", "warm"),
    [
        ("quick", True, {}, True),
        ("quick", False, {"brown_outs": MOVING}, True),
        ("quick", False, {}, False),
        ("full", True, {}, False),
    ],
)
async def test_only_a_load_in_which_something_is_broken_has_warm_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, broken: bool, more: dict[str, Any], warm: bool
) -> None:
    asked: list[bool] = []

    async def run(_spec: LoadSpec, _out: Path, *, warm: bool, **_: object) -> LoadResult:
        asked.append(warm)
        return load()

    monkeypatch.setattr(load_runs, "run", run)
    of = context(tmp_path, profile)
    spec = spec_for(of, Side.STACK, rate=10, seconds=1, mix=Mix(), **more)
    await run_load(of, "one", spec, disturb if broken else None)
    assert asked == [warm]


async def test_what_processes_hold_is_measured_of_such_as_were_started_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[object] = []

    async def look(processes: Sequence[Process], _: object) -> None:
        held.extend(process._popen for process in processes)
        raise NotMeasured("the test has seen enough")

    monkeypatch.setattr(resources, "FIRST_ROUNDS", 0)
    monkeypatch.setattr(resources, "_held", look)
    of = context(tmp_path)
    with of.processes, pytest.raises(NotMeasured):
        await resources.gather(of)
    assert len(held) == 1 + resources.WORKERS
    assert {type(one) for one in held} == {subprocess.Popen}
