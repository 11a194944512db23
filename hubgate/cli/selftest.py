"""`hubgate selftest`: run the gate against seeded defects."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

import reports
from harness import defects
from harness.gate.bench import Options
from harness.gate.selftest import selftest as run_selftest


@click.command("selftest")
@click.argument("names", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Print the defects and leave.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print run.json at the end instead of tables.")
def selftest(names: tuple[str, ...], listed: bool, out: Path, as_json: bool) -> None:  # noqa: FBT001
    """Run the gate against the seeded defects NAMES (default: all): each must be caught by the criterion that should.

    Exit status 0 when all are and the sound stack passes, 1 when one slips through, 3 when it cannot be told.
    """
    if listed:
        for defect in defects.all():
            click.echo(f"{defect.name:<36} {', '.join(defect.caught_by):<44} {defect.mistake}")
        return
    console = Console(stderr=True)
    options = Options(out=out, command=("hubgate", *sys.argv[1:]))
    with console.status("selftest") as status:
        run, folder = asyncio.run(run_selftest(names, options, write=reports.write, tell=status.update))
    written = reports.write(run, folder)
    if as_json:
        click.echo((folder / "run.json").read_bytes())
    else:
        reports.print_run(run, Console(), written.page)
    raise SystemExit(run.verdict.exit_status)
