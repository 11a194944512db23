"""`hubgate compare`, `trend` and `can-switch`: what the runs that were kept say together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import CouldNotRun
from harness.results import Run, decode, load
from harness.results.formatting import plural, quantity, shortened
from harness.results.run import FILE_NAME
from harness.results.standing import Standing
from harness.results.switching import answer, pairs
from harness.results.trend import environment_of
from harness.results.trend import trend as trend_of
from reports.labels import glyph
from reports.terminal import STYLE as VERDICT_STYLE

STYLE: Final = {Standing.WORSE: "bold red", Standing.BETTER: "green"}
BARS: Final = "▁▂▃▄▅▆▇█"
FAIL_ON_WORSE: Final = click.option(
    "--fail-on-worse", is_flag=True, help="Exit with 1 where a figure is worse, within its limit or not."
)
SCHEMES: Final = ("http://", "https://")
MOST_BYTES: Final = 64 * 2**20
"""Of a run that is fetched; the largest one seen had 3 MB."""
FETCH_S: Final = 30.0
"""How long a server may be silent."""


def source(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | Path | None:
    """Where runs are, checked as it is read: a path that is there, or a URL, which is not fetched yet."""
    if not value or value.startswith(SCHEMES):
        return value
    if not Path(value).exists():
        raise click.BadParameter(f"{value} is neither a run nor a folder of runs, nor a URL of one")
    return Path(value)


def runs_in(where: str | Path) -> list[Run]:
    """The run of a URL, a folder or a run.json, or all whole runs below a folder, the oldest first.

    What is not whole is told. Raises CouldNotRun.
    """
    if isinstance(where, str):
        url = where + FILE_NAME if where.endswith("/") else where
        return [_named(decode(_fetched(url), url), url)]
    if where.is_file() or (where / FILE_NAME).exists():
        return [_named(load(where), where)]
    found = [load(file) for file in where.glob(f"*/{FILE_NAME}") if not file.parent.is_symlink()]
    whole = [run for run in found if not run.about.partial]
    if left := len(found) - len(whole):
        click.echo(f"{plural(left, 'run')} in {where} left out: made with --only or --defect.", err=True)
    if not whole:
        raise CouldNotRun(f"there is no run in {where}" + " of the whole gate" * bool(found))
    return sorted(whole, key=lambda run: run.about.started_at)


def _named(run: Run, where: str | Path) -> Run:
    if run.about.partial:
        click.echo(f"{where} is no run of the whole gate: {run.about.partial}.", err=True)
    return run


def _fetched(url: str) -> bytes:
    data = bytearray()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=FETCH_S) as answer:
            if not answer.is_success:
                raise CouldNotRun(f"{url} answered {answer.status_code} {answer.reason_phrase}, and no run")
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    raise CouldNotRun(f"{url} has more than {MOST_BYTES:,} bytes, which no run has")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CouldNotRun(f"{url} cannot be fetched: {error}") from error
    return bytes(data)


@click.command("compare")
@click.argument("before", callback=source)
@click.argument("after", callback=source)
@FAIL_ON_WORSE
def compare(before: str | Path, after: str | Path, *, fail_on_worse: bool) -> None:
    """Hold the run AFTER against BEFORE: a run (folder, file or URL), or a folder of several, whose spread then counts.

    A figure is worse where it is beyond all of BEFORE by more than 10 % of their median (25 % of a single run) and by
    more than they are apart; a count that must be 0, by one. Between two machines only counts and ratios are compared.
    """
    show_comparison(runs_in(before), runs_in(after)[-1], fail_on_worse=fail_on_worse)


@click.command("trend")
@click.argument("folder", callback=source)
def trend(folder: str | Path) -> None:
    """Show each figure over the runs in FOLDER, the newest against the others."""
    *earlier, newest = runs_in(folder)
    shown = table("Criterion", "Figure", "Runs", "Median", "Least to most", "Newest", "", "Change")
    for one in trend_of(earlier, newest):
        median = quantity(one.median, one.unit) if one.before else ""
        values = (*one.before, one.after)
        spread = f"{quantity(min(one.before), one.unit)} to {quantity(max(one.before), one.unit)}" if one.before else ""
        row = (one.criterion, one.what, str(len(values)), median, spread, quantity(one.after, one.unit), bars(values))
        shown.add_row(*row, _word(one.change))
    Console().print(shown)
    click.echo(_environments(earlier, newest))


def show_comparison(before: Sequence[Run], after: Run, *, fail_on_worse: bool) -> None:
    """Print what changed, worst first; leave with 1 where something is worse and that is to fail."""
    changes = trend_of(before, after)
    order = [Standing.WORSE, Standing.BETTER, Standing.SAME, Standing.NEW, Standing.ELSEWHERE]
    shown = table("Change", "Criterion", "Figure")
    for one in sorted(changes, key=lambda change: order.index(change.change)):
        shown.add_row(_word(one.change), one.criterion, one.describe())
    console = Console()
    console.print(shown)
    worse = [one for one in changes if one.change is Standing.WORSE]
    console.print(
        f"{plural(len(worse), 'figure is', 'figures are')} worse than in {plural(len(before), 'earlier run')}."
    )
    console.print(_environments(before, after), highlight=False)
    if worse and fail_on_worse:
        raise SystemExit(1)


def bars(values: Sequence[float]) -> str:
    """The values as a row of bars, the least one lowest."""
    least, most = min(values), max(values)
    span = most - least or 1.0
    return "".join(BARS[round((value - least) / span * (len(BARS) - 1))] for value in values)


def _environments(earlier: Sequence[Run], run: Run) -> str:
    """Of how many runs times and memory could be compared: those of the same machine and profile."""
    here = environment_of(run)
    others = [one for one in earlier if one.about.id != run.about.id]
    same = sum(environment_of(one) == here for one in others)
    return f"Environment {here}: so had {same} of {plural(len(others), 'earlier run')}."


def _word(change: Standing) -> Text:
    return Text(change.value, STYLE.get(change, ""))


def table(*columns: str) -> Table:
    """An empty one without lines, as all tables of the command line are."""
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column)
    return made


WORDS = {"pass": "may switch", "fail": "must not switch", "inconclusive": "cannot be said to be ready to switch"}


@click.command("can-switch")
@click.option("--env", "environment", metavar="NAME", required=True, help="The environment that is to switch.")
@click.option(
    "--stack-version",
    "stack",
    metavar="VERSION",
    help="The stack's version (default: the one that was judged last there).",
)
@click.option("--client-version", "client", metavar="VERSION", help="Ask of this version of the clients alone.")
@click.option("--json", "as_json", is_flag=True, help="Print for machines.")
@click.argument("folder", callback=source, default="out", required=False)
def can_switch(environment: str, stack: str | None, client: str | None, folder: str | Path, *, as_json: bool) -> None:
    """Say whether an environment may switch to a stack, from the runs in FOLDER (default: out).

    `hubgate gate --env NAME --client-version V --stack-version V` makes such runs. Each version of the clients that was
    ever judged for the environment has to pass with this stack; the newest run of a pair counts. Exit status: 0 yes,
    1 no, 3 not known.
    """
    found = pairs(runs_in(folder), environment, clients=client, stack=stack)
    verdict = answer(found)
    rows = [
        {
            "clients": pair.clients or "(not named)",
            "stack": pair.stack or "(not named)",
            "environment": environment,
            "verdict": pair.verdict.value,
            "run": pair.run.about.id if pair.run else None,
            "why": pair.run.headline if pair.run else "they were never judged together here",
        }
        for pair in found
    ]
    if as_json:
        click.echo(json.dumps({"environment": environment, "verdict": verdict.value, "pairs": rows}, indent=2))
        raise SystemExit(verdict.exit_status)
    console = Console()
    if not found:
        console.print(f"No run in {folder} was made for {environment} (hubgate gate --env {environment}).")
        raise SystemExit(verdict.exit_status)
    shown = table("Clients", "Stack", "Verdict", "Run", "Why")
    for row, pair in zip(rows, found, strict=True):
        run = row["run"] or ""
        shown.add_row(
            row["clients"],
            row["stack"],
            Text(f"{glyph(pair.verdict)} {pair.verdict}", VERDICT_STYLE[pair.verdict]),
            run,
            shortened(str(row["why"]), 200),
        )
    console.print(shown)
    console.print(f"{environment} {WORDS[verdict.value]} to stack {rows[0]['stack']}.", highlight=False)
    raise SystemExit(verdict.exit_status)
