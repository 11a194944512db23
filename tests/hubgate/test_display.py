"""What `hubgate gate` shows while it runs."""

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import CouldNotRun
from harness.gate.context import Options, PhaseStatus
from harness.gate.phases import PHASES
from harness.gate.run import phases_of
from hubgate.cli import gate
from hubgate.cli.gate import Display


def test_only_phases_that_the_chosen_criteria_need_are_carried_out(tmp_path: Path) -> None:
    assert [phase.name for phase in phases_of(Options(out=tmp_path, only=("no-conflicts",)))] == ["contention"]
    assert phases_of(Options(out=tmp_path)) == [*PHASES]
    with pytest.raises(CouldNotRun, match="there is no criterion speed"):
        phases_of(Options(out=tmp_path, only=("speed",)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_asks_a_run_to_end_is_answered_at_once_and_what_was_found_is_judged(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stopped(*_: object, stop: asyncio.Event, **__: object) -> str:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()
        return "what was found"

    monkeypatch.setattr(gate, "run_gate", stopped)
    assert await gate._until_stopped(Options(out=tmp_path), lambda *_: None, lambda _: None) == "what was found"
    assert "Stopping: what has not ended is broken off. Once more leaves at once." in capsys.readouterr().err
    assert signal.getsignal(number) in {signal.default_int_handler, signal.SIG_DFL}


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
