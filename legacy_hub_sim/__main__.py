"""`python -m legacy_hub_sim`: run a hub."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

import click
import msgspec

from legacy_hub_sim.faults import UnknownFaultError, all_without
from legacy_hub_sim.settings import Settings

USAGE, COULD_NOT_RUN = 2, 3


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run the legacy hub: WebSocket for clients, workers and monitors, and REST.",
)
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--redis", "redis_url", help="Where the jobs are kept; without it in memory. Environment: REDIS_URL.")
@click.option("--in-memory", is_flag=True, help="Keep the jobs in this process, whatever REDIS_URL says.")
@click.option("--token", help="What sockets must bring as ?token=. Environment: WEBSOCKET_AUTH_TOKEN.")
@click.option("--without", "off", default="", metavar="FAULT,…", help="Faults to switch off, by name.")
def main(
    *, host: str | None, port: int | None, redis_url: str | None, in_memory: bool, token: str | None, off: str
) -> None:
    """Build the settings, and run until told to stop."""
    if in_memory and redis_url:
        fail("--in-memory and --redis exclude each other", USAGE)
    given = {"host": host, "port": port, "redis_url": "" if in_memory else redis_url, "token": token}
    settings = msgspec.structs.replace(
        Settings.from_environment(os.environ), **{name: value for name, value in given.items() if value is not None}
    )
    try:
        faults = all_without(name.strip() for name in off.split(",") if name.strip())
    except UnknownFaultError as error:
        fail(str(error), USAGE)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="time=%(asctime)s level=%(levelname)s %(message)s"
    )
    raise SystemExit(serve(msgspec.structs.replace(settings, faults=faults)))


def serve(settings: Settings) -> int:
    """Run a hub; returns the exit status."""
    from legacy_hub_sim.core import StoreError  # noqa: PLC0415 - `--help` and usage errors need not load the server
    from legacy_hub_sim.server import run  # noqa: PLC0415

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(run(settings))
    except StoreError as error:
        url = re.sub("//[^@/]*@", "//", settings.redis_url)
        fail(f"Redis at {url} does not answer: {error.text}", COULD_NOT_RUN)
    except OSError as error:
        fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", COULD_NOT_RUN)
    return 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


def fail(sentence: str, status: int) -> NoReturn:
    """One sentence, no traceback."""
    click.echo(f"hub: {sentence}", err=True)
    raise SystemExit(status)


if __name__ == "__main__":
    main(prog_name="hubgate hub")
