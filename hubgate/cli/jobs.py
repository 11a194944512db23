"""`hubgate explain`: what a running stack says of one job."""

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
