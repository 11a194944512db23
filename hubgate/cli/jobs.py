"""`hubgate explain` and `hubgate failures`: what a running stack says of its jobs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click
import httpx

from harness.errors import CouldNotRun
from hubgate.cli import options

SECONDS = 10.0
SHOWN = 50


@click.command("explain")
@click.argument("job")
@options.target_url("--target", "The API of the stack that has the job (default: http://127.0.0.1:8000).")
@options.token
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers, as JSON.")
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
@options.target_url("--target", "The API of the stack (default: http://127.0.0.1:8000).")
@options.token
@click.option("--service", help="Only jobs of this service.")
@click.option("--reason", help="Only jobs that failed for this reason, as it is listed.")
@click.option("--retry", is_flag=True, help="Run them again.")
@click.option("--drop", is_flag=True, help="Forget them.")
@click.option("--yes", is_flag=True, help="Do it; without this, --retry and --drop only say how many jobs are meant.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers, as JSON.")
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
