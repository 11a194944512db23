"""What a run found, as HTML, JUnit, JSON and Markdown, and as a table in a terminal. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.results import Run, save
from reports.annotations import code_quality, workflow_commands
from reports.junit import junit
from reports.markdown import summary
from reports.page import page
from reports.terminal import print_run, terminal

__all__ = ["Written", "code_quality", "print_run", "terminal", "workflow_commands", "write"]


class Written(msgspec.Struct, frozen=True):
    """Where the files are."""

    page: Path
    run: Path
    junit: Path
    summary: Path


def write(run: Run, out_dir: Path) -> Written:
    """Write all four into the folder, which is made where it is missing. run.json first: the rest can be made again."""
    written = Written(out_dir / "report.html", save(run, out_dir), out_dir / "junit.xml", out_dir / "summary.md")
    written.page.write_text(page(run), encoding="utf-8", errors="replace")
    written.junit.write_bytes(junit(run))
    written.summary.write_text(summary(run), encoding="utf-8", errors="replace")
    return written
