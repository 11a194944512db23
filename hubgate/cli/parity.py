"""`hubgate parity`: the project's cassettes on hub, hub again and stack, without the rest of the gate."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from pathlib import Path

import click

from harness.cassettes.replay.matrix import Matrix, play_matrix
from harness.gate.phases.cassettes import cassettes, scenarios_folder
from harness.parity.deviations import Deviations
from harness.processes import Processes, start_valkey
from harness.results import CellVerdict, Column
from harness.targets import HubPool, StackPool


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
