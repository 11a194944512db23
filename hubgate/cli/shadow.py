"""`hubgate shadow`: a stack follows the live traffic of a hub; and what came of it, as a gate would say it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import reports
from harness.gate.phases.cassettes import scenarios_folder
from harness.parity.deviations import Deviations
from harness.processes import free_port
from harness.shadow import Rules, Settings, Shadow
from harness.shadow.report import LEAST_JOBS, run_of
from harness.tasks import stopped
from hubgate.cli import options


def _share(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    text = value.removesuffix("%")
    try:
        share = float(text) / 100
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise click.BadParameter(f"{value} is no share of clients: it has to be more than 0% and at most 100%")
    return share


@click.command("shadow")
@options.target_url("--primary", "The hub, which answers the clients (ws:// or http://).")
@options.target_url("--candidate", "The stack, which follows (http:// or ws://); it needs workers of its own.")
@click.option(
    "--sample", default="10%", show_default=True, metavar="PERCENT", callback=_share, help="The share of clients."
)
@options.host_and_port("--listen", "Where clients go instead of to the hub; port 0 takes a free one.")
@options.host_and_port("--page", "Where the live page is.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/shadow"),
    show_default=True,
    help="Where findings go. A later shadow adds to them.",
)
@options.token
@click.option("--deviations", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the project's.")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the stack may be behind the hub.",
)
@options.redaction
@click.option(
    "--report",
    "report_dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Instead: say what was found in that folder, write the report there, and leave.",
)
@click.option(
    "--least-jobs",
    type=click.IntRange(min=1),
    default=LEAST_JOBS,
    show_default=True,
    help="With --report: with fewer jobs it is inconclusive.",
)
def shadow(*, listen: tuple[str, int], out: Path, report_dir: Path | None, least_jobs: int, **asked: Any) -> None:
    """Stand between clients and a hub: they get the hub's answers alone, and what some of them say is said to a stack
    as well. What the stack answers otherwise is counted by cause, on a live page and in a file, until Ctrl-C.

    With --report DIR: exit status 0 pass, 1 fail, 3 inconclusive.
    """
    if report_dir is not None:
        run = run_of(report_dir, command=("hubgate", *sys.argv[1:]), least_jobs=least_jobs)
        written = reports.write(run, report_dir)
        reports.print_run(run, Console(), written.page)
        raise SystemExit(run.verdict.exit_status)
    asyncio.run(_follow(_settings(out, **asked), *listen))
    click.echo(f"What was found is in {out}; hubgate shadow --report {out} says what it means.", err=True)


def _settings(out: Path, page: tuple[str, int], deviations: Path | None, **asked: Any) -> Settings:
    """What was asked for. Raises UsageError and CouldNotRun for what cannot be followed."""
    if not asked["primary"] or not asked["candidate"]:
        raise click.UsageError("two servers are needed, --primary URL and --candidate URL; or --report DIR")
    declared = deviations or scenarios_folder() / "deviations.toml"
    Deviations.load(declared)
    rules = Rules(**{name: asked.pop(name) for name in Rules.__struct_fields__})
    rules.redaction()  # a rule that is none is told now
    return Settings(
        **asked,
        out=out.resolve(),
        began=time.monotonic(),
        page=(page[0], page[1] or free_port()),
        deviations=declared.resolve(),
        rules=rules,
    )


async def _follow(settings: Settings, host: str, port: int) -> None:
    enough = stopped()
    async with Shadow(
        settings, host=host, port=port, remark=lambda text: click.echo(f"hubgate: {text}", err=True)
    ) as it:
        click.echo(f"Clients go to {it.proxy.url} and {it.proxy.ws_url}; Ctrl-C ends it.", err=True)
        click.echo(f"What differs is counted on http://{settings.page[0]}:{settings.page[1]}/", err=True)
        await enough.wait()
