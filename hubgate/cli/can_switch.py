"""`hubgate can-switch`: may this environment switch to this stack? Answered from the runs that were kept."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from harness.results.formatting import shortened
from harness.results.switching import answer, pairs
from hubgate.cli.compare import runs_in, source, table
from reports.labels import glyph
from reports.terminal import STYLE

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
            Text(f"{glyph(pair.verdict)} {pair.verdict}", STYLE[pair.verdict]),
            run,
            shortened(str(row["why"]), 200),
        )
    console.print(shown)
    console.print(f"{environment} {WORDS[verdict.value]} to stack {rows[0]['stack']}.", highlight=False)
    raise SystemExit(verdict.exit_status)
