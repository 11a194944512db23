"""The load's options on Locust's command line and in the form of its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from harness.load.arrivals import ENDLESS_S, Plan, Shape, Spacing
from harness.load.population import DEFAULT_JOB, Population
from harness.protocols import Submission

USERS: Final = {
    "legacy_users": "LegacyWebSocketUser",
    "sse_users": "ModernSseUser",
    "hybrid_users": "HybridUser",
    "monitor_users": "MonitorUser",
    "sse_monitor_users": "SseMonitorUser",
    "twin_users": "TwinWebSocketUser",
    "rest_users": "LegacyRestUser",
    "slow_users": "SlowReaderUser",
}
"""Option by option, the user class it counts."""


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say. Without a shape, Locust's own users, spawn rate and run time are in force."""

    shaped: bool = False
    plan: Plan = Plan(duration_s=ENDLESS_S)
    """One without a shape is steady and ends when Locust does."""
    drain_s: float = 20.0
    users: dict[str, int] = {}
    job: Submission = DEFAULT_JOB
    population: Population | None = None
    token: str | None = None
    out: Path | None = None
    machine: Path | None = None


def add_arguments(parser: Any) -> None:
    """Listener of `init_command_line_parser`."""
    add = parser.add_argument
    add("--shape", choices=["", *Shape], default="", help="run this shape to its end, then drain and stop")
    add("--rate", type=float, default=10.0, help="highest rate of the shape, jobs per second over all users")
    add("--duration", type=float, default=60.0, help="seconds of the shape")
    add("--drain", type=float, default=20.0, help="seconds to wait for the last jobs to end")
    add("--arrivals", choices=list(Spacing), default=Spacing.EVEN, help="how the intended moments lie")
    add("--seed", type=int, default=1, help="seed of random arrivals")
    add("--legacy-share", type=float, default=0.5, help="share of hybrid users that speak the old protocol")
    for option, name in USERS.items():
        add(f"--{option.replace('_', '-')}", type=int, default=0, help=f"how many users of {name}")
    add("--job", default="", help='what is submitted, as JSON: {"service": "simulation", "payload": {...}}')
    add("--population", default="", help="weights from which each job is drawn instead, as JSON")
    add("--machine-log", default="", include_in_web_ui=False, help="what a watcher writes of the machine")
    add("--token", default="", is_secret=True, help="token for the server, where it wants one")
    add("--load-out", default="", include_in_web_ui=False, help="folder for swarm.json, live.jsonl and the history")


def read_options(parsed: Any) -> LoadOptions:
    """From Locust's parsed options. Raises ValueError with a sentence."""
    if parsed is None or not hasattr(parsed, "shape"):
        return LoadOptions()
    try:
        job = msgspec.json.decode(parsed.job, type=Submission) if parsed.job else DEFAULT_JOB
    except msgspec.DecodeError as error:
        raise ValueError(f"--job is no job: {error}") from error
    try:
        population = msgspec.json.decode(parsed.population, type=Population) if parsed.population else None
    except msgspec.DecodeError as error:
        raise ValueError(f"--population has no weights: {error}") from error
    if parsed.rate <= 0 or parsed.duration <= 0:
        raise ValueError("--rate and --duration have to be above 0")
    users = {name: int(getattr(parsed, option)) for option, name in USERS.items() if getattr(parsed, option)}
    return LoadOptions(
        shaped=bool(parsed.shape),
        plan=Plan(
            shape=Shape(parsed.shape) if parsed.shape else Shape.STEADY,
            rate=float(parsed.rate),
            duration_s=float(parsed.duration) if parsed.shape else ENDLESS_S,
            arrivals=Spacing(parsed.arrivals),
            seed=int(parsed.seed),
            legacy_share=float(parsed.legacy_share),
        ),
        drain_s=float(parsed.drain),
        users=users,
        job=job,
        population=population,
        token=parsed.token or None,
        out=Path(parsed.load_out) if parsed.load_out else None,
        machine=Path(parsed.machine_log) if parsed.machine_log else None,
    )
