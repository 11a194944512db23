"""`hubgate record`: a proxy between real clients and a real hub that writes what passes as cassettes."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
from pathlib import Path

import click

from harness.cassettes.record import Per, Recorder, Redaction, Sessions
from harness.targets import HubTarget


@click.command("record")
@click.option("--upstream", required=True, metavar="URL", help="The real hub (ws:// or http://).")
@click.option("--listen", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The first cassette.")
@click.option("--per", type=click.Choice([per.value for per in Per]), default=Per.SESSION.value, show_default=True)
@click.option("--about", default="", help="A sentence for the header.")
@click.option("--blank", "paths", multiple=True, metavar="PATH", help="A JSON path to blank out, as $..key.")
@click.option("--blank-field", "fields", multiple=True, metavar="NAME", help="A JSON field to blank out anywhere.")
@click.option("--blank-parameter", "parameters", multiple=True, metavar="NAME", help="A query parameter to blank out.")
@click.option("--blank-header", "headers", multiple=True, metavar="NAME", help="A header to blank out.")
def record(  # noqa: PLR0913, PLR0917 - as many as options
    upstream: str,
    listen: int,
    host: str,
    out: Path,
    per: str,
    about: str,
    paths: tuple[str, ...],
    fields: tuple[str, ...],
    parameters: tuple[str, ...],
    headers: tuple[str, ...],
) -> None:
    """Stand between clients and a hub, pass everything on, and write it down until Ctrl-C.

    Tokens and credentials are blanked out before anything is written.
    """
    redaction = Redaction(paths=paths, fields=fields, parameters=parameters, headers=headers)
    sessions = Sessions(out, per=Per(per), about=about, today=dt.datetime.now(dt.UTC).date().isoformat())
    recorder = Recorder(HubTarget.at(upstream).http_url, sessions, redaction=redaction, host=host, port=listen)
    asyncio.run(_record(recorder))
    if not sessions.written:
        click.echo("Nobody came: nothing was recorded.", err=True)
    for path in sessions.written:
        click.echo(path)


async def _record(recorder: Recorder) -> None:
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    async with recorder:
        click.echo(f"Recording on {recorder.url} and {recorder.ws_url}; Ctrl-C ends it.", err=True)
        await enough.wait()
