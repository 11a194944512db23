"""`hubgate record`, `replay` and `parity`: write down traffic, play it against a target, and compare both sides."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from harness.cassettes import load
from harness.cassettes.conversation import conversation_of, jobs_by
from harness.cassettes.record import Per, Recorder, Redaction, Sessions
from harness.cassettes.replay.by_protocol import run_by_protocol
from harness.cassettes.replay.files import Against, CassetteResult, run_files
from harness.cassettes.replay.matrix import Matrix, play_matrix
from harness.clients.spoken_side import SpokenSide
from harness.clients.transport import require_answer
from harness.gate.phases.cassettes import cassettes, scenarios_folder
from harness.parity.deviations import Deviations
from harness.processes import Processes, start_valkey
from harness.protocols.description import Described
from harness.results import CellVerdict, Column, Verdict, combine
from harness.targets import GivenPool, HubPool, HubTarget, StackPool, StackTarget, Target
from harness.tasks import stopped
from hubgate.cli import options


def _check_new(out: Path) -> None:
    """Refuse a file that cannot be made, before anybody comes whose traffic would be lost."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch(exist_ok=False)
        out.unlink()
    except FileExistsError:
        raise click.UsageError(f"--out {out} is there already") from None
    except OSError as error:
        raise click.UsageError(f"--out {out} cannot be written: {error.strerror}") from error


@click.command("record")
@options.target_url("--target", "The real hub (ws:// or http://).", required=True)
@options.host_and_port("--listen", "Where clients go instead of to the hub; port 0 takes a free one.")
@click.option("--host", hidden=True, help="The address of --listen, where that is a port alone.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The first cassette, a file that is not there yet.",
)
@click.option(
    "--per",
    type=click.Choice([*map(str, Per)]),
    default=Per.SESSION.value,
    show_default=True,
    help="What becomes a cassette of its own.",
)
@click.option("--about", default="", help="A sentence for the header.")
@options.protocol("--protocol", "What is spoken there, by name or file, where it is not the hub's (docs/your-own.md).")
@options.redaction
def record(
    *,
    target: str,
    listen: tuple[str, int],
    host: str | None,
    out: Path,
    per: str,
    about: str,
    protocol: Described | None,
    **asked: Any,
) -> None:
    """Stand between clients and a hub, pass everything on, and write it down until Ctrl-C.

    What looks like a secret is blanked out before anything is written; at the end it says what was.
    """
    _check_new(out)
    redaction, failures = Redaction(**asked), list[str]()

    def failed(sentence: str) -> None:
        failures.append(sentence)
        click.echo(f"hubgate: {sentence}. Nothing more is recorded; everything is still passed on.", err=True)

    today = dt.datetime.now(dt.UTC).date().isoformat()
    spoken: dict[str, Any] = {}
    if protocol is not None:
        spoken = {"target": protocol.name, "jobs": lambda whole: jobs_by(whole, protocol)}
    sessions = Sessions(out, per=Per(per), about=about, today=today, on_failure=failed, **spoken)
    recorder = Recorder(
        target, sessions, redaction=redaction, protocol=protocol, host=host or listen[0], port=listen[1]
    )
    asyncio.run(_record(recorder))
    _tell_recorded(sessions, redaction, protocol)
    if failures:
        raise SystemExit(Verdict.INCONCLUSIVE.exit_status)


def _tell_recorded(sessions: Sessions, redaction: Redaction, protocol: Described | None) -> None:
    if not sessions.written:
        click.echo("Nobody came: nothing was recorded.", err=True)
    for place, times in sorted(redaction.blanked.items()):
        click.echo(f"Blanked: {place}, {times} times.", err=True)
    for path in sessions.written:
        click.echo(path)
        if protocol is not None:
            click.echo(f"{path.name}: {conversation_of(load(path), protocol).describe()}.", err=True)


async def _record(recorder: Recorder) -> None:
    enough = stopped()
    async with recorder:
        click.echo(f"Recording on {recorder.url} and {recorder.ws_url}; Ctrl-C ends it.", err=True)
        await enough.wait()


MEANING = {
    CellVerdict.SAME: Verdict.PASS,
    CellVerdict.DECLARED: Verdict.PASS,
    CellVerdict.DIFFERENT: Verdict.FAIL,
    CellVerdict.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    CellVerdict.NOT_APPLICABLE: Verdict.INCONCLUSIVE,
}


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@options.target_url("--target", "With --protocol: the hub or stack to play to.")
@options.protocol("--protocol", "The target is known by this protocol alone, by name or file (docs/your-own.md).")
@options.protocol("--recorded-by", "What was spoken when it was recorded, where nothing says so.")
@options.target_url("--legacy", "The hub to play to (ws:// or http://).")
@options.target_url("--candidate", "The stack to play to (http://); it needs --redis.")
@options.redis_url("The stack's Redis: there, the recorded workers take their jobs.")
@options.prefix
@options.token
@click.option("--deviations", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the project's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per cassette.")
def replay(
    *, files: tuple[Path, ...], deviations: Path | None, as_json: bool, protocol: Described | None, **asked: Any
) -> None:
    """Play every actor of each cassette in FILES against a target and compare what comes back.

    Says of each: same, declared, different (with the frame), or inconclusive. Exit status 0 when all are same or
    declared, 1 when one is different, 3 when one is inconclusive. With --protocol, workers are started as it says, and
    what clients are told of their jobs is compared, whatever the words.
    """
    recorded, target = asked.pop("recorded_by"), asked.pop("target")
    if protocol is not None:
        given = [("candidate", target), *((name, asked[name]) for name in ("legacy", "candidate"))]
        told = asyncio.run(_by_protocol(files, _spoken(given, asked), protocol, recorded, as_json=as_json))
        raise SystemExit(combine(MEANING[result.verdict] for result in told).exit_status)
    if target or recorded:
        raise click.UsageError("--target and --recorded-by need --protocol; without one, --legacy or --candidate")
    pool = GivenPool(_target(**asked))
    against = Against(
        today=dt.datetime.now(dt.UTC).date(),
        deviations=Deviations.load(deviations or scenarios_folder() / "deviations.toml"),
    )
    results = asyncio.run(run_files(files, pool, against, done=lambda result: _tell(result, as_json=as_json)))
    raise SystemExit(combine(MEANING[result.verdict] for result in results).exit_status)


def _spoken(given: list[tuple[str, str | None]], asked: dict[str, Any]) -> Target:
    """The one target that is known by its protocol alone. Raises click.UsageError."""
    urls = [(name, url) for name, url in given if url]
    if len(urls) != 1:
        raise click.UsageError("--protocol needs one target that runs already: --target URL")
    (name, url), token = urls[0], asked["token"]
    if name == "legacy":
        return HubTarget(http_url=url, token=token)
    return StackTarget(http_url=url, redis_url=asked["redis"] or "", prefix=asked["prefix"], token=token)


async def _by_protocol(
    files: tuple[Path, ...], target: Target, protocol: Described, recorded: Described | None, *, as_json: bool
) -> list[CassetteResult]:
    await require_answer(target.http_url, protocol.description.health)
    redis_url, prefix = (target.redis_url, target.prefix) if isinstance(target, StackTarget) else ("", "")
    with tempfile.TemporaryDirectory(prefix="hubgate-") as folder:
        async with Processes(Path(folder)) as processes:
            side = SpokenSide(target=target, protocol=protocol, processes=processes, redis_url=redis_url, prefix=prefix)
            return await run_by_protocol(
                files, side, recorded=recorded, done=lambda result: _tell(result, as_json=as_json)
            )


def _target(legacy: str | None, candidate: str | None, redis: str | None, prefix: str, token: str | None) -> Target:
    if (legacy is None) is (candidate is None):
        raise click.UsageError("one target is needed: --legacy URL for a hub, or --candidate URL for a stack")
    if legacy:
        return HubTarget(http_url=legacy, token=token)
    options.check_candidate(candidate, redis)
    return StackTarget(http_url=candidate or "", redis_url=redis or "", prefix=prefix, token=token)


def _tell(result: CassetteResult, *, as_json: bool) -> None:
    if result.transcript and (left := result.transcript.left_behind):
        click.echo(f"{result.name}: could not be brought to an end: {', '.join(left)}.", err=True)
    if not as_json:
        click.echo(result.describe())
        return
    findings = [
        {"kind": one.kind, "sentence": one.sentence, "declared": one.declared and one.declared.name, "noise": one.noise}
        for one in result.findings
    ]
    told = {"cassette": str(result.path), "verdict": result.verdict, "reason": result.reason, "findings": findings}
    click.echo(msgspec.json.encode(told))


@click.command("parity")
@click.argument("names", nargs=-1)
def parity(names: tuple[str, ...]) -> None:
    """Play the cassettes NAMES (default: all) on the hub, on the hub again, and on the stack, and compare.

    Exit status 0 when nothing differs that is not declared, 1 when something does, 3 when it cannot be told.
    """
    files = [path for path in cassettes() if not names or path.stem in names]
    unknown = set(names) - {path.stem for path in files}
    if unknown:
        raise click.UsageError(f"there is no cassette called {', '.join(sorted(unknown))}")
    matrix = asyncio.run(_play(files))
    for row in matrix.rows:
        cells = ", ".join(f"{cell.column.value} {cell.verdict.value}" for cell in row.cells)
        click.echo(f"{row.name}: {cells}")
        for cell in row.cells:
            if cell.verdict in {CellVerdict.DIFFERENT, CellVerdict.INCONCLUSIVE}:
                click.echo(f"  {cell.column.value}: {cell.sentence}")
    for problem in matrix.problems:
        click.echo(problem, err=True)
    raise SystemExit(_status(matrix))


async def _play(files: list[Path]) -> Matrix:
    with tempfile.TemporaryDirectory(prefix="hubgate-") as folder, Processes(Path(folder)) as processes:
        valkey = await asyncio.to_thread(start_valkey, processes)
        return await play_matrix(
            files,
            HubPool(processes),
            StackPool(processes, valkey),
            deviations=Deviations.load(scenarios_folder() / "deviations.toml"),
            today=dt.datetime.now(dt.UTC).date(),
        )


def _status(matrix: Matrix) -> int:
    verdicts = {result.verdict for results in matrix.columns.values() for result in results}
    on_stack = {result.verdict for result in matrix.columns[Column.STACK_WEBSOCKET]}
    if CellVerdict.DIFFERENT in on_stack or matrix.problems:
        return 1
    return 3 if CellVerdict.INCONCLUSIVE in verdicts else 0
