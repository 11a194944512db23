"""`hubgate record`, `replay` and `parity`: write down traffic, play it against a target, and compare both sides."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from harness.cassettes.record import Per, Recorder, Redaction, Sessions
from harness.cassettes.replay.files import Against, CassetteResult, run_files
from harness.cassettes.replay.matrix import Matrix, play_matrix
from harness.gate.phases.cassettes import cassettes, scenarios_folder
from harness.parity.deviations import Deviations
from harness.processes import Processes, start_valkey
from harness.results import CellVerdict, Column, Verdict, combine
from harness.targets import GivenPool, HubPool, HubTarget, StackPool, StackTarget, Target
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
@click.option(
    "--listen", type=click.IntRange(0, 65535), default=0, metavar="PORT", show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
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
@options.redaction
def record(*, target: str, listen: int, host: str, out: Path, per: str, about: str, **asked: Any) -> None:
    """Stand between clients and a hub, pass everything on, and write it down until Ctrl-C.

    What looks like a secret is blanked out before anything is written; at the end it says what was.
    """
    _check_new(out)
    redaction, failures = Redaction(**asked), list[str]()

    def failed(sentence: str) -> None:
        failures.append(sentence)
        click.echo(f"hubgate: {sentence}. Nothing more is recorded; everything is still passed on.", err=True)

    today = dt.datetime.now(dt.UTC).date().isoformat()
    sessions = Sessions(out, per=Per(per), about=about, today=today, on_failure=failed)
    recorder = Recorder(target, sessions, redaction=redaction, host=host, port=listen)
    asyncio.run(_record(recorder))
    if not sessions.written:
        click.echo("Nobody came: nothing was recorded.", err=True)
    for place, times in sorted(redaction.blanked.items()):
        click.echo(f"Blanked: {place}, {times} times.", err=True)
    for path in sessions.written:
        click.echo(path)
    if failures:
        raise SystemExit(Verdict.INCONCLUSIVE.exit_status)


async def _record(recorder: Recorder) -> None:
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
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
@options.target_url("--legacy", "The hub to play to (ws:// or http://).")
@options.target_url("--candidate", "The stack to play to (http://); it needs --redis.")
@options.redis_url("The stack's Redis: there, the recorded workers take their jobs.")
@options.prefix
@options.token
@click.option("--deviations", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the project's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per cassette.")
def replay(*, files: tuple[Path, ...], deviations: Path | None, as_json: bool, **asked: Any) -> None:
    """Play every actor of each cassette in FILES against a target and compare what comes back.

    Says of each: same, declared, different (with the frame), or inconclusive. Exit status 0 when all are same or
    declared, 1 when one is different, 3 when one is inconclusive.
    """
    pool = GivenPool(_target(**asked))
    against = Against(
        today=dt.datetime.now(dt.UTC).date(),
        deviations=Deviations.load(deviations or scenarios_folder() / "deviations.toml"),
    )
    results = asyncio.run(run_files(files, pool, against, done=lambda result: _tell(result, as_json=as_json)))
    raise SystemExit(combine(MEANING[result.verdict] for result in results).exit_status)


def _target(legacy: str | None, candidate: str | None, redis: str | None, prefix: str, token: str | None) -> Target:
    if (legacy is None) is (candidate is None):
        raise click.UsageError("one target is needed: --legacy URL for a hub, or --candidate URL for a stack")
    if legacy:
        return HubTarget(http_url=legacy, token=token)
    options.check_candidate(candidate, redis)
    return StackTarget(http_url=candidate or "", redis_url=redis or "", prefix=prefix, token=token)


def _tell(result: CassetteResult, *, as_json: bool) -> None:
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
