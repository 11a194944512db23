"""How the programs under judgement are started: by command line, never by import.

Each function answers a `Launch` for `Processes.start` or `astart`; `overlay` is a folder whose modules come first (a
seeded defect: a copy of a package with one thing made wrong).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.processes.ports import Probe, free_port, http_ok, log_says
from harness.processes.processes import Launch

PROJECT_ROOT = Path(__file__).parents[2]
ANY_JOB = "simulation:services=*"
"""The connector that plays the script of any job, whatever the service."""
SERVING = "new_stack.worker.connectors.simulation:SimulationConnector:services="
"""The same for the services named after it, joined by `+`, and for no other."""
"""Where `new_stack` and `legacy_hub_sim` stand beside this harness."""


def module_launch(
    module: str,
    arguments: Sequence[str],
    *,
    name: str,
    probe: Probe | None = None,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    overlay: Path | None = None,
) -> Launch:
    """`python -m module arguments…`; `-P` keeps the current folder from hiding the tree or the overlay."""
    return Launch(
        name=name,
        command=(sys.executable, "-P", "-m", module, *arguments),
        environment={
            "PYTHONPATH": python_path(overlay.resolve() if overlay else None),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1" if overlay else "",
            **(environment or {}),
        },
        probe=probe,
        port=port,
    )


def api(
    *,
    redis_url: str,
    prefix: str = "",
    port: int | None = None,
    token: str | None = None,
    name: str = "api",
    environment: Mapping[str, str] | None = None,
    overlay: Path | None = None,
) -> Launch:
    """The new stack's API server, ready when `GET /health/ready` answers 200."""
    port = port or free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--redis", redis_url]
    arguments += ["--prefix", prefix] if prefix else []
    return module_launch(
        "new_stack.api",
        arguments,
        name=name,
        probe=http_ok("127.0.0.1", port, "/health/ready"),
        port=port,
        environment=_with_token(environment, token),
        overlay=overlay,
    )


def worker(  # noqa: PLR0913
    worker_id: str,
    *,
    redis_url: str,
    prefix: str = "",
    concurrency: int = 1,
    poll_ms: int = 1000,
    connector: str = ANY_JOB,
    environment: Mapping[str, str] | None = None,
    overlay: Path | None = None,
) -> Launch:
    """One worker of the new stack, ready when it has logged `worker_ready`."""
    arguments = ["--redis", redis_url, "--connector", connector, "--id", worker_id]
    arguments += ["--concurrency", str(concurrency), "--poll-ms", str(poll_ms)]
    arguments += ["--prefix", prefix] if prefix else []
    return module_launch(
        "new_stack.worker",
        arguments,
        name=worker_id,
        probe=log_says("worker_ready"),
        environment=environment,
        overlay=overlay,
    )


def hub(
    *,
    redis_url: str | None = None,
    port: int | None = None,
    token: str | None = None,
    without: Sequence[str] = (),
    name: str = "hub",
    environment: Mapping[str, str] | None = None,
) -> Launch:
    """The hub simulator, in memory where no Redis is given, ready when `GET /` answers 200."""
    port = port or free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--redis", redis_url] if redis_url else ["--in-memory"]
    arguments += ["--without", ",".join(without)] if without else []
    return module_launch(
        "legacy_hub_sim",
        arguments,
        name=name,
        probe=http_ok("127.0.0.1", port, "/"),
        port=port,
        environment=_with_token(environment, token),
    )


def _with_token(environment: Mapping[str, str] | None, token: str | None) -> dict[str, str]:
    """By the environment, not the command line: that one is in every process list."""
    return {**(environment or {}), **({"WEBSOCKET_AUTH_TOKEN": token} if token else {})}


def python_path(overlay: Path | None = None) -> str:
    """PYTHONPATH of a child: the overlay's modules first (a seeded defect), then the harness's own tree."""
    return os.pathsep.join(str(part) for part in (overlay, PROJECT_ROOT) if part is not None)
