"""`hubgate explain`, `failures`, `usage`, `retire`: what a running stack says of its jobs and of who uses what."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import httpx
import msgspec

from harness.errors import CouldNotRun
from harness.gate.retirement import NAMED, Answer, Terms, Usage, can_go
from harness.results import Run
from harness.results.formatting import listed, plural
from harness.results.run import load
from hubgate.cli import options

SECONDS = 10.0
SHOWN = 50


@click.command("explain")
@click.argument("job")
@options.stack_api
def explain(job: str, target: str | None, token: str | None, *, as_json: bool) -> None:
    """Say which live workers could take JOB, and for each other one the first reason why not."""
    found = ask("GET", f"/api/jobs/{quote(job, safe='')}/explain", target, token)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(f"{found['job_id']}: {found['state']}. {found['sentence']}")
    for worker in found["able"][:SHOWN]:
        click.echo(
            f"  {worker['worker_id']}: could take it{' and waits for work' if worker['idle'] else ', but is busy'}"
        )
    for worker in found["unable"][:SHOWN]:
        click.echo(f"  {worker['worker_id']}: {worker['reason']}")
    if found["more"] or max(len(found["able"]), len(found["unable"])) > SHOWN:
        click.echo("  … and more")


def ask(method: str, path: str, target: str | None, token: str | None, body: Any = None) -> Any:
    """The answer of a stack's API. Raises CouldNotRun with what it said where it refuses, or does not answer."""
    url = (target or "http://127.0.0.1:8000") + path
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.request(method, url, json=body, headers=headers, timeout=SECONDS)
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CouldNotRun(f"{url} does not answer as a stack's API: {error}") from error
    if answer.is_error:
        raise CouldNotRun(f"{url}: {found.get('detail', answer.status_code) if isinstance(found, dict) else found}")
    return found


@click.command("failures")
@options.stack_api
@click.option("--service", help="Only jobs of this service.")
@click.option("--reason", help="Only jobs that failed for this reason, as it is listed.")
@click.option("--retry", is_flag=True, help="Run them again.")
@click.option("--drop", is_flag=True, help="Forget them.")
@click.option("--yes", is_flag=True, help="Do it; without this, --retry and --drop only say how many jobs are meant.")
def failures(
    *, service: str | None, reason: str | None, retry: bool, drop: bool, yes: bool, as_json: bool, **api: str | None
) -> None:
    """List the jobs that failed for good, by service and reason; with --retry or --drop, do so with all of them."""
    if retry and drop:
        raise click.UsageError("--retry and --drop exclude each other")
    if yes and not (retry or drop):
        raise click.UsageError("--yes goes with --retry or --drop")
    if not (retry or drop):
        query = f"?service={quote(service, safe='')}" if service else ""
        found = ask("GET", f"/api/failures{query}", **api)
        rows = [group for group in found["groups"] if reason in (None, group["reason"])]
        told = [f"{group['count']:>7}  {group['service']}: {group['reason']}" for group in rows]
        if found["more"]:
            told.append(f"Failed jobs older than the newest {found['looked_at']:,} are not counted.")
    else:
        wanted = {name: value for name, value in (("service", service), ("reason", reason)) if value}
        body = {"action": "retry" if retry else "drop", "filter": wanted, "dry_run": not yes, "limit": 10_000}
        found = ask("POST", "/api/jobs/bulk", **api, body=body)
        if yes:
            told = [f"{found['changed']} jobs: done.", *(["There may be more: do it again."] if found["more"] else [])]
        else:
            told = [f"{'At least ' if found['more'] else ''}{found['matched']} jobs are meant; --yes does it."]
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(told or ["No job has failed."]))


PAGE: Final = 1_000


@click.command("usage")
@options.stack_api
@click.option("--client", help="Only this client.")
@click.option("--legacy-only", is_flag=True, help="Only clients that have used the hub's protocols.")
def usage(target: str | None, token: str | None, client: str | None, *, legacy_only: bool, as_json: bool) -> None:
    """Say who has used what in the last 90 days, those first that used the hub's protocols last."""
    found = gather(target, token, client)
    if legacy_only:
        found["clients"] = [one for one in found["clients"] if legacy_ways(one)]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    clients = sorted(found["clients"], key=_last_legacy, reverse=True)
    legacy = sum(bool(legacy_ways(one)) for one in clients)
    since = found["counted_since"] or "today"
    click.echo(f"{plural(len(clients), 'client')} since {since}, {legacy} of them by the hub's protocols.")
    for one in clients:
        click.echo(one["client"])
        for way in one["ways"]:
            click.echo(f"  {_described(way)}")
        for brown_out in one["brown_outs"]:
            click.echo(f"  {_survived(brown_out)}")
    if found["forgotten"]:
        click.echo(f"{plural(found['forgotten'], 'client')} more had to make room and are not listed.")


@click.command("retire")
@options.stack_api
@click.option("--days", type=click.IntRange(1, 90), default=14, help="Days on which nobody used the hub's protocols.")
@click.option("--brown-outs", type=click.IntRange(0), default=1, help="How many brown-outs must have met a client.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    default=Path("out/latest/run.json"),
    help="The last gate's run.json (default: out/latest/run.json).",
)
@click.option("--run-days", type=click.IntRange(1), default=30, help="How many days old that run may be.")
def retire(
    target: str | None, token: str | None, days: int, brown_outs: int, run: Path, run_days: int, *, as_json: bool
) -> None:
    """Answer whether WebSocket can go, and name who is left. Exit status: 0 pass, 1 fail, 3 inconclusive."""
    try:
        used = msgspec.convert(gather(target, token), Usage)
    except msgspec.ValidationError as error:
        raise CouldNotRun(f"the stack's usage cannot be read: {error}") from error
    terms = Terms(quiet_days=days, brown_outs=brown_outs, gate_days=run_days)
    answer = can_go(used, _last_run(run), terms, datetime.now(UTC))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
    else:
        _print_answer(answer)
    sys.exit(answer.verdict.exit_status)


def _last_run(path: Path) -> Run | None:
    return load(path) if path.exists() else None


def _print_answer(answer: Answer) -> None:
    click.echo(f"{answer.verdict.upper()}  {answer.sentence}")
    for check in answer.checks:
        click.echo(f"  {check.verdict:<12}  {check.what}: {check.sentence}")
        for name in check.names[:NAMED]:
            click.echo(f"                  {name}")
        if len(check.names) > NAMED:
            click.echo(f"                  … and {len(check.names) - NAMED:,} more")


def gather(target: str | None, token: str | None, client: str | None = None) -> dict[str, Any]:
    """Everything that `GET /api/usage` has, its pages put together. Raises CouldNotRun."""
    query = f"limit={PAGE}" + (f"&client={quote(client, safe='')}" if client else "")
    found: dict[str, Any] = ask("GET", f"/api/usage?{query}", target, token)
    clients, cursor = {one["client"]: one for one in found["clients"]}, found["cursor"]
    while cursor is not None:
        page = ask("GET", f"/api/usage?{query}&cursor={cursor}", target, token)
        clients |= {one["client"]: one for one in page["clients"]}
        cursor = page["cursor"]
    return found | {"clients": [clients[name] for name in sorted(clients)], "cursor": None}


def legacy_ways(client: dict[str, Any]) -> list[dict[str, Any]]:
    """What a client has used of the hub's protocols."""
    return [way for way in client["ways"] if way["legacy"]]


def _last_legacy(client: dict[str, Any]) -> str:
    return max((max(way["days"]) for way in legacy_ways(client)), default="")


def _described(way: dict[str, Any]) -> str:
    messages = sorted(way["messages"].items(), key=lambda item: -item[1]["count"])
    used = listed([f"{name} {use['count']:,}" for name, use in messages], limit=6)
    agents = listed([name or "a program that does not say its name" for name in way["agents"]], limit=3)
    days = plural(len(way["days"]), "day")
    return f"{way['protocol']} ({way['dialect']}), last {max(way['days'])}, on {days}: {used}; by {agents}"


def _survived(brown_out: dict[str, Any]) -> str:
    back = brown_out["came_back"]
    then = f"came back by {back} after {brown_out['after_s']:g} s" if back else "has not come back"
    in_flight = brown_out["jobs_in_flight"]
    lost = f" with {plural(in_flight, 'job')} in flight" if in_flight else ""
    began = datetime.fromtimestamp(brown_out["began_at"] / 1000, UTC)
    return f"brown-out of {began:%Y-%m-%d %H:%M} UTC: refused {plural(brown_out['refused'], 'time')}{lost}, {then}"
