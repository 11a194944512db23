"""`hubgate load`: one load, a comparison, or the search for the saturation point.

Exit status: 0 pass, 1 fail, 2 wrong usage, 3 inconclusive or could not be run.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console

from harness.load.arrivals import Plan, Shape, Spacing
from harness.load.comparison import Comparison, compare
from harness.load.comparison_report import write_comparison, write_saturation
from harness.load.display import LiveDisplay, show_comparison, show_load, show_saturation, show_summary
from harness.load.latencies import Metric
from harness.load.population import DEFAULT, DEFAULT_JOB, read_population
from harness.load.report import write_run
from harness.load.results import LoadResult
from harness.load.runner import run
from harness.load.saturation import Saturation, find_saturation
from harness.load.spec import MOVING, BrownOut, Demands, Kills, LoadSpec, Mix, in_order
from harness.protocols import Submission
from harness.protocols.description import Described
from harness.results import Verdict
from harness.targets import Side
from hubgate.cli import options

FEW: Final = 4
"""Worker processes of a load by protocol, where nobody says how many."""
OF_OURS: Final = (
    *("compared", "saturation", "brown_outs", "generators", "population", "kill_waves"),
    *("legacy_users", "sse_users", "hybrid_users", "monitor_users", "sse_monitor_users"),
    *("server_env", "overlay", "poll_ms"),
)
"""What is asked of targets whose words and processes are hubgate's own."""


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option(
    "--side", type=click.Choice([*map(str, Side)]), help="What is started and put under load [default: stack]."
)
@options.target_url("--legacy", "Put the load on this hub instead of one that is started.")
@options.target_url("--candidate", "Put the load on this stack instead of one that is started.")
@options.target_url("--target", "With --protocol: put the load on this hub or stack.")
@options.protocol("--protocol", "The target is known by this protocol alone, by name or file (docs/your-own.md).")
@options.redis_url("Redis to use; without it, an embedded Valkey is started.", docker=True)
@options.prefix
@options.token
@options.allow_load_on
@click.option("--shape", type=click.Choice([*map(str, Shape)]), default="steady", help="How rate or mix change.")
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=20.0, help="Highest rate, jobs per second.")
@click.option("--duration", type=click.FloatRange(1, 86_400), default=30.0, help="Seconds of the load.")
@click.option("--drain", type=click.FloatRange(0, 600), default=20.0, help="Seconds to wait for the last jobs.")
@click.option(
    "--users", type=click.IntRange(1, 10_000), default=20, help="Users: 50 % legacy, 40 % SSE, 10 % monitors."
)
@click.option("--legacy-users", type=click.IntRange(0), help="Instead of --users: exactly so many of each kind.")
@click.option("--sse-users", type=click.IntRange(0), help="Clients of HTTP and server-sent events.")
@click.option("--hybrid-users", type=click.IntRange(0), help="Clients that use either protocol, by --legacy-share.")
@click.option("--monitor-users", type=click.IntRange(0), help="Monitors by WebSocket.")
@click.option("--sse-monitor-users", type=click.IntRange(0), help="Monitors by server-sent events.")
@click.option("--legacy-share", type=click.FloatRange(0, 1), default=0.5, help="Of the hybrid users.")
@click.option(
    "--fleet",
    type=click.IntRange(0, 500),
    default=48,
    help=f"Worker processes; 0: the target has its own. By --protocol, as a rule {FEW}.",
)
@click.option("--worker-env", multiple=True, metavar="NAME=VALUE", help="Environment of our workers.")
@click.option("--server-env", multiple=True, metavar="NAME=VALUE", help="Environment of our API or hub.")
@click.option("--overlay", type=click.Path(exists=True), help="Folder of modules that come first.")
@click.option("--poll-ms", type=click.IntRange(10), default=1000, help="How often our workers poll.")
@click.option("--kill-waves", type=click.IntRange(0), default=0, help="So many times, kill a share of the fleet.")
@click.option("--kill-share", type=click.FloatRange(0, 1), default=0.33, help="Share of the fleet in a wave.")
@click.option("--kill-every", type=click.FloatRange(0.1), default=5.0, help="Seconds between the waves.")
@click.option(
    "--brown-out",
    "brown_outs",
    multiple=True,
    metavar="FROM-TO[!]",
    help="Refuse the hub's protocols in this part of the load, in percent; with !, also to clients that have jobs in "
    f"flight. A migration of a stack that is started has {' and '.join(map(str, MOVING))}.",
)
@click.option("--generators", type=click.IntRange(1, 32), default=1, help="Locust processes that make the load.")
@click.option(
    "--arrivals",
    type=click.Choice([*map(str, Spacing)]),
    default="even",
    help="How submissions are spread over time.",
)
@click.option("--seed", type=int, default=1, help="The seed of everything that is drawn by chance.")
@click.option("--job", help='What is submitted, JSON: {"service": "simulation", "payload": {...}}')
@click.option(
    "--population",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_flag=False,
    flag_value=str(DEFAULT),
    help="Draw each job from the weights in this TOML file; without a file, from those that come with hubgate.",
)
@click.option("--limit", "limits", multiple=True, metavar="LATENCY=MS", help="Highest p99, such as claimed=20.")
@click.option("--least-jobs", type=click.IntRange(1), default=20, help="Below so many, the load is inconclusive.")
@click.option("--unchecked", is_flag=True, help="Leave out the system's own account and the checkers.")
@click.option("--compare", "compared", is_flag=True, help="Hub, stack, stack, hub: the ratios with their spread.")
@click.option("--saturation", is_flag=True, help="Search the highest rate with p99 < 500 ms and nothing lost.")
@click.option("--floor", type=click.FloatRange(0.1), default=5.0, help="Rate at which the search begins.")
@click.option("--ceiling", type=click.FloatRange(1), default=500.0, help="Where the search ends at the latest.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None, help="Folder for all files.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def load(*, out: Path | None, as_json: bool, compared: bool, saturation: bool, **asked: Any) -> None:
    """Put a load on the stack or the hub, measure what clients see, and judge it."""
    if compared and saturation:
        raise click.UsageError("--compare and --saturation exclude each other")
    protocol: Described | None = asked.pop("protocol")
    if protocol:
        _by_protocol(asked, protocol, click.get_current_context())
    elif asked["target"]:
        raise click.UsageError("--target needs --protocol; a hub is --legacy URL, and hubgate's stack --candidate URL")
    if asked["legacy"] and asked["candidate"] and not compared:
        raise click.UsageError("one target at a time: --legacy and --candidate together need --compare")
    spec = spec_of(asked, alone=not compared and not saturation)
    if protocol:
        spec = _spoken(spec, protocol)
    folder = out or Path("out") / f"load-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    if compared:
        status = _finish(_compare(spec, asked, folder, console), as_json=as_json)
    elif saturation:
        status = _finish(_saturate(spec, folder, (asked["floor"], asked["ceiling"]), console), as_json=as_json)
    else:
        status = _finish(_load(spec, protocol, folder, console), as_json=as_json)
    console.print(f"files: {folder}", markup=False)
    sys.exit(status)


def _by_protocol(asked: dict[str, Any], protocol: Described, context: click.Context) -> None:
    """Complete what was asked of a target that is known by its protocol alone. Raises click.UsageError."""
    given = [name for name in ("target", "legacy", "candidate") if asked[name]]
    if len(given) != 1:
        raise click.UsageError("--protocol needs one target that runs already: --target URL")
    said = {
        option.name: option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    }
    if wrong := [said[name] for name in OF_OURS if name in said]:
        raise click.UsageError(
            f"{wrong[0]} needs clients or processes of hubgate's own: it cannot be had by --protocol"
        )
    if asked["shape"] == Shape.MIGRATION:
        raise click.UsageError("--shape migration needs clients of two protocols: it cannot be had by --protocol")
    if given == ["target"]:
        asked["legacy" if asked["side"] == Side.HUB else "candidate"] = asked["target"]
        asked["side"] = None
    asked["fleet"] = asked["fleet"] if "fleet" in said else FEW if protocol.description.worker else 0
    if not asked["fleet"] and not asked["job"]:
        untold = "" if protocol.description.worker else f" (the protocol {protocol.name} has no [worker] to start)"
        raise click.UsageError(f"where the target has its own workers{untold}, --job says what they shall do")
    if asked["fleet"] and not protocol.description.worker:
        raise click.UsageError(f"the protocol {protocol.name} does not say how a worker is started: --fleet 0")


def _spoken(spec: LoadSpec, protocol: Described) -> LoadSpec:
    """With clients of that protocol alone. Workers of the load get a service that nobody else's job needs."""
    by_socket = bool(protocol.description.socket)
    users = {"legacy": spec.mix.users if by_socket else 0, "sse": 0 if by_socket else spec.mix.users}
    mix = Mix(hybrid=0, monitors=0, sse_monitors=0, **users)
    job = spec.job
    if spec.fleet:
        job = msgspec.structs.replace(job, service=f"hubgate-{secrets.token_hex(6)}")
    return msgspec.structs.replace(spec, protocol=protocol.name, mix=mix, job=job, checked=False)


def _side(asked: dict[str, Any]) -> Side:
    """What was said, or what the URL of a target means."""
    meant = Side.HUB if asked["legacy"] and not asked["candidate"] else Side.STACK
    said = Side(asked["side"] or meant)
    if said is not meant and (asked["legacy"] or asked["candidate"]):
        raise click.UsageError("--legacy URL is a hub and --candidate URL a stack: leave --side out")
    return said


def spec_of(asked: dict[str, Any], *, alone: bool = True) -> LoadSpec:
    """The run that the options describe; `alone` where it is the only one. Raises click.UsageError."""
    shape, side = Shape(asked["shape"]), _side(asked)
    return LoadSpec(
        side=side,
        url=asked["legacy"] if side is Side.HUB else asked["candidate"],
        redis=asked["redis"],
        prefix=asked["prefix"],
        token=asked["token"],
        allowed_hosts=asked["allow_load_on"],
        plan=Plan(
            shape=shape,
            rate=asked["rate"],
            duration_s=asked["duration"],
            arrivals=Spacing(asked["arrivals"]),
            seed=asked["seed"],
            legacy_share=asked["legacy_share"],
        ),
        mix=_mix(asked, shape),
        fleet=asked["fleet"],
        poll_ms=asked["poll_ms"],
        worker_environment=_environment(asked["worker_env"]),
        server_environment=_environment(asked["server_env"]),
        overlay=asked["overlay"],
        generators=asked["generators"],
        drain_s=asked["drain"],
        job=_job(asked["job"], own=bool(asked["fleet"] and (asked["legacy"] or asked["candidate"]))),
        population=read_population(asked["population"]) if asked["population"] else None,
        kills=Kills(waves=asked["kill_waves"], share=asked["kill_share"], every_s=asked["kill_every"]),
        brown_outs=_brown_outs(asked, shape, own=alone and side is Side.STACK and not asked["candidate"]),
        demands=Demands(least_jobs=asked["least_jobs"], most_p99_ms=_limits(asked["limits"])),
        checked=not asked["unchecked"],
    )


def _mix(asked: dict[str, Any], shape: Shape) -> Mix:
    fields = {"legacy": "legacy_users", "sse": "sse_users", "hybrid": "hybrid_users"}
    fields |= {"monitors": "monitor_users", "sse_monitors": "sse_monitor_users"}
    exact = {field: asked[option] for field, option in fields.items() if asked[option] is not None}
    if not exact:
        return Mix.of(asked["users"], shape)
    mix = Mix(**(dict.fromkeys(fields, 0) | exact))
    if not mix.legacy + mix.sse + mix.hybrid:
        raise click.UsageError("monitors alone submit nothing: some legacy, SSE or hybrid users are needed")
    return mix


def _brown_outs(asked: dict[str, Any], shape: Shape, *, own: bool) -> tuple[BrownOut, ...]:
    """Those that were asked for, or a migration's where the stack is one that can be told of them."""
    texts, can_be_told = asked["brown_outs"], own and not asked["unchecked"]
    if texts and not can_be_told:
        raise click.UsageError("--brown-out needs a stack that this load starts, and checks")
    if not texts:
        return MOVING if shape is Shape.MIGRATION and can_be_told else ()
    try:
        return in_order(map(BrownOut.parse, texts))
    except ValueError as error:
        raise click.UsageError(f"--brown-out {error}") from None


def _environment(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"{wrong[0]}: it has to be NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _job(text: str | None, *, own: bool) -> Submission:
    """The job; as a rule with a service of its own where a fleet of ours works on a target that others use, too."""
    if own and not text:
        return msgspec.structs.replace(DEFAULT_JOB, service=f"simulation-{secrets.token_hex(6)}")
    try:
        return msgspec.json.decode(text, type=Submission) if text else DEFAULT_JOB
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--job is no job: {error}") from error


def _limits(texts: tuple[str, ...]) -> dict[Metric, float]:
    by_name, found = {metric.slug: metric for metric in Metric}, {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[by_name[name.lower().replace("_", "-")]] = float(value)
        except (KeyError, ValueError):
            why = f"it has to be LATENCY=MS with one of {', '.join(by_name)}"
            raise click.UsageError(f"--limit {text}: {why}") from None
    return found


def _finish(outcome: Awaitable[tuple[Verdict, msgspec.Struct]], *, as_json: bool) -> int:
    async def waited() -> tuple[Verdict, msgspec.Struct]:
        return await outcome

    verdict, result = asyncio.run(waited())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result)))
    return verdict.exit_status


async def _load(
    spec: LoadSpec, protocol: Described | None, folder: Path, console: Console
) -> tuple[Verdict, LoadResult]:
    console.print(f"starting the {spec.side}, {spec.fleet} workers and {spec.mix.users} users", highlight=False)
    with LiveDisplay(console, spec.plan) as live:
        result = await run(spec, folder, protocol=protocol, on_live=live.show)
    write_run(result, folder, _command_line())
    show_load(console, result)
    return result.judgement.verdict, result


def _command_line() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


async def _compare(spec: LoadSpec, asked: dict[str, Any], folder: Path, console: Console) -> tuple[Verdict, Comparison]:
    hub = msgspec.structs.replace(spec, side=Side.HUB, url=asked["legacy"])
    stack = msgspec.structs.replace(spec, side=Side.STACK, url=asked["candidate"])
    with LiveDisplay(console, spec.plan) as live:
        found = await compare(hub, stack, folder, on_live=live.show, on_turn=lambda turn: show_summary(console, turn))
    write_comparison(found, folder, _command_line())
    show_comparison(console, found)
    return found.verdict, found


async def _saturate(
    spec: LoadSpec, folder: Path, between: tuple[float, float], console: Console
) -> tuple[Verdict, Saturation]:
    began = time.monotonic()
    quiet = msgspec.structs.replace(spec, checked=False)
    found = await find_saturation(
        quiet, folder, start=between[0], ceiling=between[1], on_probe=lambda probe: show_summary(console, probe)
    )
    write_saturation(found, folder, _command_line(), seconds=time.monotonic() - began)
    show_saturation(console, found)
    return (Verdict.INCONCLUSIVE if found.highest is None else Verdict.PASS), found
