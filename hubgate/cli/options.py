"""The options by which every command is told of a target, checked as they are read: a typo is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from harness.errors import CouldNotRun
from harness.processes.redis import SCHEMES
from harness.protocols.description import Described
from harness.protocols.known import protocol_of
from harness.targets import HubTarget

THIS_MACHINE: Final = "127.0.0.1"
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def target_url(name: str, help_text: str, *, required: bool = False) -> Decorator:
    """One target: `--legacy` is always a hub, `--candidate` a stack, `--target` either. Its value is `http://…`."""
    return click.option(name, metavar="URL", required=required, callback=_base_url, help=help_text)


def redis_url(help_text: str, *, docker: bool = False) -> Decorator:
    """`--redis`; with `docker`, that word is allowed, too: a Redis in a container."""
    return click.option("--redis", metavar="URL", callback=_redis_or_docker if docker else _redis, help=help_text)


def check_candidate(candidate: str | None, redis: str | None) -> None:
    """Raise click.UsageError where a stack is named without its Redis."""
    if candidate and not redis:
        raise click.UsageError("--candidate needs --redis URL: workers of a stack take their jobs straight from Redis")


prefix: Final[Decorator] = click.option("--prefix", default="", help="The prefix of the stack's keys in Redis.")
token: Final[Decorator] = click.option(
    "--token",
    envvar="WEBSOCKET_AUTH_TOKEN",
    show_envvar=True,
    metavar="TEXT",
    help="The token that the target demands; the environment keeps it out of the process list.",
)


def stack_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """A running stack that is asked by its API, and how its answer is printed."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
        token,
        target_url("--target", "The API of the stack (default: http://127.0.0.1:8000)."),
    ):
        command = option(command)
    return command


allow_load_on: Final[Decorator] = click.option(
    "--allow-load-on",
    multiple=True,
    metavar="HOST",
    help="A host, other than this machine, that may be put under load (may be repeated).",
)


def redaction(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is a secret besides what looks like one."""
    for option in (
        click.option("--keep", multiple=True, metavar="NAME", help="A field or parameter that is no secret."),
        click.option("--blank-header", "headers", multiple=True, metavar="NAME", help="A header to blank out."),
        click.option(
            "--blank-parameter", "parameters", multiple=True, metavar="NAME", help="A query parameter to blank out."
        ),
        click.option(
            "--blank-field", "fields", multiple=True, metavar="NAME", help="A JSON field to blank out anywhere."
        ),
        click.option("--blank", "paths", multiple=True, metavar="PATH", help="A JSON path to blank out, as $..key."),
    ):
        command = option(command)
    return command


def host_and_port(name: str, help_text: str) -> Decorator:
    """`HOST:PORT` as a pair, or a port of this machine alone; port 0 takes a free one."""
    return click.option(
        name,
        metavar="HOST:PORT",
        default=f"{THIS_MACHINE}:0",
        show_default=True,
        callback=_host_and_port,
        help=help_text,
    )


def _host_and_port(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    host = host if colon else THIS_MACHINE
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value} is no address: it has to be HOST:PORT, as 127.0.0.1:8001")
    return host.strip("[]"), int(port)


def protocol(name: str, help_text: str) -> Decorator:
    """A protocol by name or file, read at once."""
    return click.option(name, metavar="NAME|FILE", callback=_protocol, help=help_text)


def _protocol(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Described | None:
    try:
        return protocol_of(value) if value else None
    except CouldNotRun as error:
        raise click.BadParameter(str(error)) from error


def _base_url(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        return value and HubTarget.at(value).http_url
    except CouldNotRun as error:
        raise click.BadParameter(str(error)) from error


def _redis(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value and not value.startswith(SCHEMES):
        raise click.BadParameter(f"{value} is no URL of a Redis: it has to begin with {', '.join(SCHEMES)}")
    return value


def _redis_or_docker(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return value if value == "docker" else _redis(ctx, param, value)
