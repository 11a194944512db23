"""One process of a measurement: `python -m loadtests.bench.roles ADAPTER work|paced|each|bulk URL …`.

It runs in the environment of the system that it measures, so it imports that system's adapter and nothing else.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from loadtests.bench.starts import LIMIT_SECONDS, Starts


def submitted(adapter: Any, role: str, url: str, count: int, every: float) -> Any:
    """What a submitting role reports."""
    match role:
        case "paced":
            return asyncio.run(adapter.submit_paced(url, count, every))
        case "each":
            return asyncio.run(adapter.submit_each(url, count))
        case "bulk":
            return asyncio.run(adapter.submit_bulk(url, count))
    raise ValueError(f"no role {role}")


def main(arguments: list[str]) -> None:
    """Be a worker until killed, or submit and report as JSON on standard output."""
    name, role, url, *rest = arguments
    signal.alarm(int(LIMIT_SECONDS))
    adapter = importlib.import_module(f"loadtests.bench.adapters.{name}")
    if role == "work":
        folder = Path(rest[0])
        (folder / f"{os.getpid()}.ready").touch()
        while not (folder / "go").exists():
            time.sleep(0.005)
        adapter.work(url, Starts(rest[0]))
    else:
        json.dump(submitted(adapter, role, url, int(rest[0]), float(rest[1])), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
