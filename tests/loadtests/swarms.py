"""Runs Locust as people do, as a program, against a server of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from harness.history import History
from harness.load.swarm import SwarmResult

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"


def locust(*arguments: str, locustfile: Path = LOCUSTFILE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=LOCUSTFILE.parents[1], check=False)


def swarm(host: str, out: Path, *arguments: str) -> SwarmResult:
    done = locust("--host", host, "--load-out", str(out), "--drain", "2", *arguments)
    assert (out / "swarm.json").exists(), done.stderr
    return msgspec.json.decode((out / "swarm.json").read_bytes(), type=SwarmResult)


def history(out: Path) -> History:
    return History.load(*out.glob("history-*.jsonl"))
