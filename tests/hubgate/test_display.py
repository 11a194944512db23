"""What `hubgate gate` shows while it runs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import CouldNotRun
from harness.gate.context import Options, PhaseStatus
from harness.gate.phases import PHASES
from harness.gate.run import phases_of
from hubgate.cli.gate import Display


def test_only_phases_that_the_chosen_criteria_need_are_carried_out(tmp_path: Path) -> None:
    assert [phase.name for phase in phases_of(Options(out=tmp_path, only=("no-conflicts",)))] == ["contention"]
    assert phases_of(Options(out=tmp_path)) == [*PHASES]
    with pytest.raises(CouldNotRun, match="there is no criterion speed"):
        phases_of(Options(out=tmp_path, only=("speed",)))


def test_a_terminal_shows_these_phases_alone_and_one_bar_with_what_is_left(tmp_path: Path) -> None:
    phases = phases_of(Options(out=tmp_path, only=("no-conflicts", "simplicity")))
    display = Display(phases, Console(file=io.StringIO(), force_terminal=True, width=120))
    display.report(phases[0], PhaseStatus.RUNNING, "")
    display.report(phases[0], PhaseStatus.DONE, "")
    display.report(phases[1], PhaseStatus.RUNNING, "counting")
    screen = Console(file=io.StringIO(), width=120)
    with screen.capture() as capture:
        screen.print(display.shown())
    *rows, bar = capture.get().splitlines()
    assert [row.split()[:2] for row in rows] == [["✓", "contention"], ["▸", "simplicity"]]
    assert bar == "━" * 20 + "╌" * 20 + " 1 phase over, 1 left"
