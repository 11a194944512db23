"""`hubgate report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

import reports
from harness.results import load


@click.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
def report(run_dir: Path) -> None:
    """Write report.html, junit.xml and summary.md again from RUN_DIR/run.json, and print the verdict."""
    run = load(run_dir / "run.json")
    written = reports.write(run, run_dir)
    reports.print_run(run, Console(), written.page)
