"""`hubgate gate`: judge the new stack against the hub."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

import reports
from harness.criteria.statements import STATEMENTS, CriterionId
from harness.gate.bench import Options
from harness.gate.phases import PHASES
from harness.gate.profiles import PROFILES, SELFTEST
from harness.gate.run import run_gate
from hubgate.cli.display import Display


@click.command("gate")
@click.option(
    "--profile",
    type=click.Choice([name for name in PROFILES if name != SELFTEST.name]),
    default="quick",
    show_default=True,
    help="How much to do.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Where the run's folder is made.",
)
@click.option("--legacy", metavar="URL", help="Judge against this hub (ws:// or http://) instead of the simulator.")
@click.option("--candidate", metavar="URL", help="Judge this stack's API (http://); it needs --redis.")
@click.option("--redis", metavar="URL", help="Use this Redis; `docker` starts one in a container.")
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    type=click.Choice([each.value for each in CriterionId]),
    help=f"Judge this criterion alone (may be repeated): {', '.join(STATEMENTS)}.",
)
@click.option(
    "--defect", metavar="NAME", help="Judge the stack with this seeded defect (see `hubgate selftest --list`)."
)
@click.option("--thresholds", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A thresholds file.")
@click.option(
    "--seed", type=int, default=1729, show_default=True, help="The seed of everything that is drawn by chance."
)
@click.option("--json", "as_json", is_flag=True, help="Print run.json at the end instead of tables.")
def gate(  # noqa: PLR0913, PLR0917 - as many as options
    profile: str,
    out: Path,
    legacy: str | None,
    candidate: str | None,
    redis: str | None,
    only: tuple[str, ...],
    defect: str | None,
    thresholds: Path | None,
    seed: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Judge the new stack against the hub: one verdict, one report, one exit status.

    Both are started here unless URLs are given. Exit status: 0 pass, 1 fail, 2 wrong usage, 3 inconclusive or
    could not be run.
    """
    if candidate and not redis:
        raise click.UsageError(
            "--candidate needs --redis URL: the harness's workers take jobs straight from that Redis"
        )
    if candidate and defect:
        raise click.UsageError("--defect changes the stack that is started here; it cannot change --candidate")
    options = Options(
        profile=profile,
        out=out,
        legacy=legacy,
        candidate=candidate,
        redis=redis,
        only=tuple(CriterionId(name) for name in only),
        defect=defect,
        thresholds=thresholds,
        seed=seed,
        command=("hubgate", *sys.argv[1:]),
    )
    console = Console(stderr=True)
    with Display(PHASES, console) as display:
        run, folder = asyncio.run(run_gate(options, display.report))
    written = reports.write(run, folder)
    if as_json:
        click.echo((folder / "run.json").read_bytes())
    else:
        reports.print_run(run, Console(), written.page)
    raise SystemExit(run.verdict.exit_status)
