"""`hubgate init`: writes a first file of each kind into a repository that starts to use hubgate."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import click

from harness.cassettes import load
from harness.cassettes.proposal import proposed
from hubgate.cli import options

WHERE: Final = {
    "github": Path(".github/workflows/hubgate.yml"),
    "gitlab": Path(".gitlab-ci.yml"),
    "scenario": Path("test_hubgate.py"),
    "protocol": Path("protocol.toml"),
}


def _environment(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[\w.-]+", value):
        raise click.BadParameter(f"{value} is no name of an environment: letters, digits, '.', '_' and '-'")
    return value


@click.group("init")
def init() -> None:
    """Write a first workflow, scenario or protocol. A file that is there already is never written over."""


@init.command("ci")
@click.option("--gitlab", is_flag=True, help="For GitLab; otherwise for GitHub Actions.")
@click.option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="How much the gate does.",
)
@options.target_url("--legacy", "A hub that the runner reaches, in place of the simulator.")
@options.target_url("--candidate", "A stack that the runner reaches; it needs --redis.")
@options.redis_url("The candidate's Redis.")
@click.option(
    "--env",
    "environment",
    metavar="NAME",
    default="production",
    show_default=True,
    callback=_environment,
    help="The environment that is to switch: each run is evidence for it.",
)
def ci(
    *, gitlab: bool, profile: str, legacy: str | None, candidate: str | None, redis: str | None, environment: str
) -> None:
    """Write a workflow that runs the gate, keeps its report, shows what failed where and what has changed, and says
    whether the environment may switch.

    A token of the targets comes from the runner's secrets, as the environment's WEBSOCKET_AUTH_TOKEN.
    """
    options.check_candidate(candidate, redis)
    given = {"--profile": profile, "--legacy": legacy, "--candidate": candidate, "--redis": redis, "--env": environment}
    words = [word for name, value in given.items() if value for word in (name, value)]
    versions = ["client", "stack"] if candidate else ["client"]
    told = "".join(f' --{one}-version "${one.upper()}_VERSION"' for one in versions)
    kind = "gitlab" if gitlab else "github"
    text = Template(_template(f"{kind}.yml"))
    _write(WHERE[kind], text.substitute(options=shlex.join(words) + told, environment=environment))


@init.command("scenario")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=WHERE["scenario"])
def scenario(path: Path) -> None:
    """Write a first scenario for pytest to PATH (docs/pytest.md)."""
    _write(path, _template("scenario.py.txt"))


@init.command("protocol")
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=WHERE["protocol"])
def protocol(recording: Path, path: Path) -> None:
    """Write a first description of what is said in RECORDING to PATH (docs/your-own.md).

    A recording is made with `hubgate record`; each kind of frame in it gets the meaning that it seems to have.
    """
    _write(path, proposed(load(recording)))


def _template(name: str) -> str:
    return (files("hubgate") / "templates" / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; move it away first") from None
    click.echo(f"wrote {path}")
