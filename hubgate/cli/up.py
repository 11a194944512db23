"""`hubgate up`: the whole new stack on this machine, for a newcomer."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from pathlib import Path

import click

from harness.errors import CouldNotRun
from harness.processes import Processes, free_port, open_redis
from harness.processes.ports import is_free
from harness.targets import Deployment, Setup
from hubgate.cli import options

DEFAULT_PORT = 8000
SIMULATION = "simulation:services=*"

NEXT = """
The new stack is up: {api}
  dashboard   {api}/dashboard
  workers     {workers}, connector `simulation`, which plays scripts (services=*: it takes every job)
  redis       {redis}
  logs        {logs}

Try, in another terminal:
  curl -s {api}/api/jobs -H 'Content-Type: application/json' \\
       -d '{{"service_required": "simulation", "payload": {{"prompt": "a cat"}}, "id": "first"}}'
  curl -N {api}/api/jobs/first/progress
  curl -s {api}/api/jobs/first
An old client: ws{ws}/ws/client/me    Stop all of it with Ctrl-C.
"""


@click.command("up")
@click.option("--workers", type=click.IntRange(0, 200), default=3, show_default=True, help="How many worker processes.")
@click.option("--port", type=click.IntRange(1, 65535), help="The API's port (default: 8000, or a free one).")
@options.redis_url("Use this Redis instead of the embedded Valkey.", docker=True)
@options.token
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Keep logs and jobs in this folder.")
@click.option(
    "--deprecation",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HUBGATE_DEPRECATION_FILE",
    show_envvar=True,
    help="The file with notices, brown-outs and the final switch of the hub's protocols.",
)
@click.option(
    "--matching",
    is_flag=True,
    envvar="HUBGATE_MATCHING",
    show_envvar=True,
    help="A job goes only to workers whose capabilities meet its requirements.",
)
def up(
    *,
    workers: int,
    port: int | None,
    redis: str | None,
    token: str | None,
    data: Path | None,
    deprecation: Path | None,
    matching: bool,
) -> None:
    """Run the new stack on this machine until Ctrl-C: Valkey (kept in an append-only file), API, workers, dashboard."""
    if port and not is_free(port):
        raise CouldNotRun(f"cannot listen on 127.0.0.1:{port}: another program has the port")
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    folder = data or Path(tempfile.mkdtemp(prefix="hubgate-"))
    with Processes(folder) as processes, contextlib.suppress(KeyboardInterrupt):
        server = open_redis(redis, processes, appendonly=True)
        told = {"HUBGATE_DEPRECATION_FILE": str(deprecation.resolve())} if deprecation else {}
        told |= {"HUBGATE_MATCHING": "true"} if matching else {}
        port = port or (DEFAULT_PORT if is_free(DEFAULT_PORT) else free_port())
        setup = Setup(token=token, port=port, environment=told)
        stack = Deployment.start(processes, setup, server)
        launches = [stack.worker_launch(f"worker-{n}", connector=SIMULATION) for n in range(1, workers + 1)]
        stack.start_workers(launches)
        url = stack.target.http_url
        click.echo(NEXT.format(api=url, ws=url.removeprefix("http"), workers=workers, redis=server.url, logs=folder))
        while not stopped.wait(0.5):
            processes.check()
    click.echo("stopped")
