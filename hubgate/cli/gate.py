"""`hubgate gate`, `selftest` and `report`: judge the new stack, judge the gate, and write a report again."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

import reports
from harness import defects
from harness.criteria.definition import discover
from harness.criteria.waivers import DEFAULT as WAIVERS
from harness.errors import CouldNotRun
from harness.gate.context import Options, Phase, PhaseStatus
from harness.gate.power import AT_ONCE as MUTANTS_AT_ONCE
from harness.gate.power import measure_power
from harness.gate.preflight import Refused, lines
from harness.gate.profiles import PROFILES, SELFTEST
from harness.gate.run import Report, Show, phases_of, run_gate
from harness.gate.selftest import selftest as run_selftest
from harness.results import PreflightRow, Run, Verdict, load
from harness.results.formatting import plural
from harness.results.trend import name_of, trend
from hubgate.cli import options
from hubgate.cli.kept_runs import FAIL_ON_WORSE, runs_in, show_comparison, source

OUT: Final = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Where the run's folder is made.",
)
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print run.json at the end instead of tables.")


def _known(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    """Names of seeded defects, refused at once where there is none of that name."""
    try:
        for name in (value,) if isinstance(value, str) else value or ():
            defects.named(name)
    except CouldNotRun as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command("gate")
@click.option(
    "--profile",
    type=click.Choice([name for name in PROFILES if name != SELFTEST.name]),
    default="quick",
    show_default=True,
    help="How much to do.",
)
@OUT
@options.target_url("--legacy", "Judge against this hub (ws:// or http://) instead of the simulator.")
@options.target_url("--candidate", "Judge this stack's API (http://); it needs --redis, or --protocol.")
@options.protocol("--protocol", "What --candidate speaks, where it is not hubgate's stack (docs/your-own.md).")
@options.protocol("--legacy-protocol", "What --legacy speaks, where it is not the hub that is simulated here.")
@options.redis_url("Use this Redis; `docker` starts one in a container.", docker=True)
@options.token
@click.option(
    "--namespace",
    metavar="PREFIX|DATABASE",
    help="The prefix, or the number of the database, with which --candidate runs for this run alone.",
)
@options.allow_load_on
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    type=click.Choice(sorted(discover())),
    help=f"Judge this criterion alone (may be repeated): {', '.join(sorted(discover()))}.",
)
@click.option(
    "--defect",
    metavar="NAME",
    callback=_known,
    help="Judge the stack with this seeded defect (see `hubgate selftest --list`).",
)
@click.option("--thresholds", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A thresholds file.")
@click.option(
    "--waivers",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=WAIVERS,
    help="The file of criteria that may fail for now, instead of the project's own.",
)
@click.option(
    "--seed", type=int, default=1729, show_default=True, help="The seed of everything that is drawn by chance."
)
@click.option("--env", "environment", metavar="NAME", default="", help="Keep the run as evidence for this environment.")
@click.option("--client-version", metavar="TEXT", default="", help="The version of the clients; for --env.")
@click.option("--stack-version", metavar="TEXT", default="", help="The version of --candidate; for --env.")
@click.option(
    "--baseline",
    metavar="RUN|URL",
    callback=source,
    help="A run (folder, file or URL), or a folder of runs, to hold the figures against.",
)
@FAIL_ON_WORSE
@AS_JSON
@click.option("--open", "open_it", is_flag=True, help="Open the report in the browser at the end.")
def gate(*, baseline: str | Path | None, fail_on_worse: bool, as_json: bool, open_it: bool, **asked: Any) -> None:
    """Judge the new stack against the hub: one verdict, one report, one exit status.

    Both are started here unless URLs are given; those are looked at first, and nothing of anybody else's on them is
    claimed, changed or deleted. Ctrl-C or SIGTERM breaks off what has not ended and judges the rest; a second one
    leaves at once.
    Exit status: 0 pass, 1 fail, 2 wrong usage, 3 inconclusive or could not be run.
    """
    if not asked["protocol"]:
        _check(asked)
    given = Options(**asked, command=("hubgate", *sys.argv[1:]))
    earlier = runs_in(baseline) if baseline else []
    console = Console(stderr=True)

    def show(rows: Sequence[PreflightRow]) -> None:
        for line in lines(rows):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    with Display(phases_of(given), console) as display:
        try:
            run, folder = asyncio.run(_until_stopped(given, display.report, show))
        except Refused as refused:
            show(refused.rows)
            raise
    if earlier:
        about = msgspec.structs.replace(run.about, baseline=name_of(earlier))
        run = msgspec.structs.replace(run, about=about, changes=tuple(trend(earlier, run)))
    _write(run, folder, as_json=as_json)
    if open_it:
        click.launch(str(folder / "report.html"))
    if earlier and not as_json:
        show_comparison(earlier, run, fail_on_worse=fail_on_worse and run.verdict is Verdict.PASS)
    raise SystemExit(run.verdict.exit_status)


def _check(asked: dict[str, Any]) -> None:
    """Raises UsageError for what cannot be asked together."""
    options.check_candidate(asked["candidate"], asked["redis"])
    if asked["candidate"] and asked["defect"]:
        raise click.UsageError("--defect changes the stack that is started here; it cannot change --candidate")
    if asked["environment"] and (asked["only"] or asked["defect"]):
        raise click.UsageError("--env keeps the run as evidence of the whole: leave out --only and --defect")
    if asked["environment"] and asked["candidate"] and not asked["stack_version"]:
        raise click.UsageError("--env needs --stack-version, the version of --candidate")


async def _until_stopped(given: Options, report: Report, show: Show) -> tuple[Run, Path]:
    """The run; the first Ctrl-C or SIGTERM stops it, and what it has found out until then is kept."""
    loop, stop, numbers = asyncio.get_running_loop(), asyncio.Event(), (signal.SIGINT, signal.SIGTERM)

    def stop_it() -> None:
        stop.set()
        click.echo("Stopping: what has not ended is broken off. Once more leaves at once.", err=True)
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stop_it)
    return await run_gate(given, report, show=show, stop=stop)


@click.command("selftest")
@click.argument("names", nargs=-1, callback=_known)
@click.option("--list", "listed", is_flag=True, help="Print the defects and leave.")
@click.option(
    "--mutants",
    type=click.IntRange(min=1),
    metavar="N",
    help="Instead: draw N small changes of the stack by chance, and tell what share the fast profile catches.",
)
@click.option("--seed", type=int, default=1729, show_default=True, help="The seed by which mutants are drawn.")
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    default=MUTANTS_AT_ONCE,
    show_default=True,
    help="How many mutants are tried side by side.",
)
@OUT
@AS_JSON
def selftest(
    *, names: tuple[str, ...], listed: bool, mutants: int | None, at_once: int, as_json: bool, **asked: Any
) -> None:
    """Run the gate against the seeded defects NAMES (default: all): each must be caught by the criterion that should,
    for the reason that should.

    Exit status 0 when all are and the sound stack passes, 1 when one slips through, 3 when it cannot be told.
    """
    if listed:
        for defect in defects.all():
            click.echo(f"{defect.name:<36} {', '.join(defect.caught_by):<44} {defect.mistake}")
        return
    if mutants and names:
        raise click.UsageError("--mutants tries what is drawn by chance; it takes no names of defects")
    console = Console(stderr=True)
    given = Options(**asked, command=("hubgate", *sys.argv[1:]))
    with console.status("selftest") as status:
        terms: dict[str, Any] = {"write": reports.write, "report": status.update}
        trial = (
            measure_power(mutants, given, at_once=at_once, **terms) if mutants else run_selftest(names, given, **terms)
        )
        run, folder = asyncio.run(trial)
    _write(run, folder, as_json=as_json)
    raise SystemExit(run.verdict.exit_status)


@click.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--annotate",
    type=click.Choice(["github", "gitlab"]),
    help="Print what failed as a pull request's annotations, or as a code quality report.",
)
def report(run_dir: Path, annotate: str | None) -> None:
    """Write report.html, junit.xml and summary.md again from RUN_DIR/run.json, and print the verdict.

    `hubgate gate` leaves a link to its newest run in out/latest.
    """
    run = load(run_dir / "run.json")
    if annotate == "gitlab":
        click.echo(reports.code_quality(run, Path.cwd()))
        return
    if annotate:
        click.echo("\n".join(reports.workflow_commands(run, Path.cwd())))
        return
    written = reports.write(run, run_dir)
    reports.print_run(run, Console(), written.page)


def _write(run: Run, folder: Path, *, as_json: bool) -> None:
    written = reports.write(run, folder)
    if as_json:
        click.echo((folder / "run.json").read_bytes())
    else:
        reports.print_run(run, Console(), written.page)


_STYLE: Final = {
    PhaseStatus.WAITING: "dim",
    PhaseStatus.RUNNING: "bold",
    PhaseStatus.DONE: "green",
    PhaseStatus.BROKEN: "red",
}
_MARK: Final = {PhaseStatus.WAITING: "·", PhaseStatus.RUNNING: "▸", PhaseStatus.DONE: "✓", PhaseStatus.BROKEN: "✗"}

LOG_EVERY_S: Final = 15.0
BAR_CELLS: Final = 40


class Display:
    """Shows where each phase stands. On a terminal the lines move; in a log each change is one line."""

    def __init__(self, phases: Iterable[Phase], console: Console) -> None:
        self._console = console
        self._rows = {phase.name: (PhaseStatus.WAITING, phase.about) for phase in phases}
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._told_at = time.monotonic()
        self._live = Live(get_renderable=self.shown, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def report(self, phase: Phase, status: PhaseStatus, sentence: str) -> None:
        """Take where a phase stands now."""
        before, _ = self._rows.get(phase.name, (PhaseStatus.WAITING, ""))
        self._rows[phase.name] = (status, sentence or phase.about)
        if status is PhaseStatus.RUNNING:
            self._since.setdefault(phase.name, time.monotonic())
        else:
            self._took[phase.name] = time.monotonic() - self._since.get(phase.name, time.monotonic())
        if not self._console.is_terminal and (before is not status or self._is_time()):
            self._console.print(
                f"{_MARK[status]} {phase.name}: {sentence or phase.about}", markup=False, highlight=False
            )

    def _is_time(self) -> bool:
        """In a log, what a phase is doing is told at times, not at each step."""
        now = time.monotonic()
        if now - self._told_at < LOG_EVERY_S:
            return False
        self._told_at = now
        return True

    def shown(self) -> Group:
        """A line for each phase of this run, and below them how much of it is over and how much is left."""
        over = sum(status in {PhaseStatus.DONE, PhaseStatus.BROKEN} for status, _ in self._rows.values())
        bar = "━" * (BAR_CELLS * over // max(1, len(self._rows)))
        left = Text(f"{bar:╌<{BAR_CELLS}} {plural(over, 'phase')} over, {len(self._rows) - over} left", "bold")
        return Group(self._table(), left)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for name, (status, sentence) in self._rows.items():
            seconds = self._took.get(name) or (time.monotonic() - self._since[name] if name in self._since else None)
            clock = "" if seconds is None else f"{seconds:.0f} s"
            style = _STYLE[status]
            table.add_row(Text(_MARK[status], style), Text(name, style), Text(sentence, "dim"), Text(clock, "dim"))
        return table
