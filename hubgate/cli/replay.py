"""`hubgate replay`: play cassettes against a hub or a stack."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import click
import msgspec

from harness.cassettes.replay.files import Against, CassetteResult, run_files
from harness.gate.phases.cassettes import scenarios_folder
from harness.parity.deviations import Deviations
from harness.results import CellVerdict, Verdict, combine
from harness.targets import GivenPool, HubTarget, Side, StackTarget, Target

MEANING = {
    CellVerdict.SAME: Verdict.PASS,
    CellVerdict.DECLARED: Verdict.PASS,
    CellVerdict.DIFFERENT: Verdict.FAIL,
    CellVerdict.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--target", required=True, metavar="URL", help="Where the hub or the stack is (ws:// or http://).")
@click.option("--kind", type=click.Choice([side.value for side in Side]), default=Side.HUB.value, show_default=True)
@click.option("--redis", metavar="URL", help="The stack's Redis: there, the recorded workers take their jobs.")
@click.option("--prefix", default="", help="The prefix of the stack's keys.")
@click.option("--token", help="The token that the target demands.")
@click.option("--deviations", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the project's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per cassette.")
def replay(  # noqa: PLR0913, PLR0917 - as many as options
    files: tuple[Path, ...],
    target: str,
    kind: str,
    redis: str | None,
    prefix: str,
    token: str | None,
    deviations: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Play every actor of each cassette in FILES against a target and compare what comes back.

    Says of each: same, declared, different (with the frame), or inconclusive. Exit status 0 when all are same or
    declared, 1 when one is different, 3 when one is inconclusive.
    """
    pool = GivenPool(_target(target, kind, redis, prefix, token))
    against = Against(
        today=dt.datetime.now(dt.UTC).date(),
        deviations=Deviations.load(deviations or scenarios_folder() / "deviations.toml"),
    )
    results = asyncio.run(run_files(files, pool, against, done=lambda result: _tell(result, as_json=as_json)))
    raise SystemExit(combine(MEANING[result.verdict] for result in results).exit_status)


def _target(url: str, kind: str, redis: str | None, prefix: str, token: str | None) -> Target:
    if kind == Side.HUB.value:
        return HubTarget.at(url, token=token)
    if not redis:
        raise click.UsageError("--kind stack needs --redis URL: workers of a stack take their jobs straight from Redis")
    return StackTarget.at(url, redis_url=redis, prefix=prefix, token=token)


def _tell(result: CassetteResult, *, as_json: bool) -> None:
    if not as_json:
        click.echo(result.told())
        return
    told = {
        "cassette": str(result.path),
        "verdict": result.verdict.value,
        "reason": result.reason,
        "findings": [
            {"kind": one.kind.value, "sentence": one.sentence, "declared": one.declared_by, "noise": one.noise}
            for one in result.findings
        ],
    }
    click.echo(msgspec.json.encode(told))
