from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from harness.results import Run
from reports import print_run
from tests.reports.samples import SAMPLES, fails, full


def printed(run: Run, width: int = 120) -> str:
    out = io.StringIO()
    print_run(run, Console(file=out, width=width, color_system=None), Path("out/report.html"))
    return out.getvalue()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_verdict_and_the_way_to_the_report_come_last(name: str) -> None:
    run = SAMPLES[name]()
    text = " ".join(printed(run).split())
    assert f"{run.verdict.value} {run.headline}" in text
    assert text.endswith("Report: out/report.html")


def test_each_figure_is_printed_beside_its_limit() -> None:
    line = next(line for line in printed(fails()).splitlines() if "p99 of claims " in line)
    assert line.split("p99 of claims")[1].split()[:5] == ["31.7", "ms", "<", "20", "ms"]


def test_a_narrow_terminal_still_gets_the_whole_verdict() -> None:
    assert "1 of 23 criteria fails." in " ".join(printed(full(), width=60).split())


def test_no_text_of_others_becomes_markup_or_moves_the_cursor() -> None:
    run = msgspec.structs.replace(fails(), headline="[bold]x[/bold] \x1b[2J\x07 [link=http://a]b[/link]")
    text = printed(run)
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
