from __future__ import annotations

from pathlib import Path

import pytest

from harness.results import load
from reports import write
from tests.reports.samples import SAMPLES, fails


@pytest.mark.parametrize("name", SAMPLES)
def test_all_four_files_are_written_and_the_run_can_be_read_back(name: str, tmp_path: Path) -> None:
    run = SAMPLES[name]()
    written = write(run, tmp_path / "out" / "run")
    assert sorted(path.name for path in (tmp_path / "out" / "run").iterdir()) == [
        "junit.xml",
        "report.html",
        "run.json",
        "summary.md",
    ]
    assert load(written.run) == run


def test_a_report_made_again_from_its_run_is_the_same(tmp_path: Path) -> None:
    first = write(fails(), tmp_path / "first")
    again = write(load(first.run), tmp_path / "again")
    assert load(again.run) == load(first.run)
    for one, other in ((first.page, again.page), (first.junit, again.junit), (first.summary, again.summary)):
        assert one.read_bytes() == other.read_bytes()
