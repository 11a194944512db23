"""`python -m loadtests.bench`: our queue beside the queues that people would pick instead, in one table of one run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.processes import EnvironmentFailure, Processes, start_valkey
from loadtests.bench import competitors, queue_microbench
from loadtests.bench.measure import OURS, Measured, Size, Trial
from loadtests.bench.table import show

QUICK = Size(each=1_000, bulk=5_000, drain=5_000, idle_seconds=3.0, paced=150)


class Bench(msgspec.Struct, kw_only=True):
    """All that one run measured."""

    cores: int
    systems: list[Measured]
    own: queue_microbench.Own | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; exit status 0, or 3 where nothing of ours could be measured."""
    given = _parser().parse_args(arguments)
    wanted = tuple(name for name in competitors.NAMES if not given.only or name in given.only)
    folder = Path(given.venv).resolve()
    competitors.prepare(folder, wanted)
    with tempfile.TemporaryDirectory(prefix="hubgate-bench-") as logs, Processes(Path(logs)) as processes:
        run = _run(processes, folder, wanted, given)
    table = show(run.cores, run.systems, run.own, markdown=given.markdown)
    sys.stdout.write(msgspec.json.encode(run).decode() + "\n" if given.json else table)
    return 0 if run.systems and run.systems[0].p50_ms is not None else 3


def _run(processes: Processes, folder: Path, wanted: tuple[str, ...], given: argparse.Namespace) -> Bench:
    valkey = start_valkey(processes)
    size = QUICK if given.quick else Size()
    names = [OURS, *wanted] if not given.only or OURS in given.only else [*wanted]
    systems = []
    for name in names:
        _tell(f"measuring {name} …")
        systems.append(_one(Trial(name, competitors.command(folder, name), valkey, processes, size), folder))
    own = None
    if OURS in names and not given.quick:
        _tell("measuring hubgate with 100,000 jobs waiting, and a killed worker …")
        trial = Trial(OURS, competitors.command(folder, OURS), valkey, processes, size)
        own = queue_microbench.measure(trial, competitors.shape_of(OURS)[0])
    return Bench(cores=os.cpu_count() or 1, systems=systems, own=own)


def _one(trial: Trial, folder: Path) -> Measured:
    count, shape = competitors.shape_of(trial.name)
    measured = Measured(name=trial.name, version=competitors.version(folder, trial.name), shape=shape)
    if not measured.version:
        measured.note = "could not be installed here, so it is not measured"
        return measured
    try:
        trial.measure(measured, worker_count=count)
    except (RuntimeError, EnvironmentFailure) as error:
        measured.note = f"could not be measured: {error}"
    return measured


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of everything: for a look, not for figures")
    parser.add_argument("--only", action="append", metavar="NAME", choices=(OURS, *competitors.NAMES))
    parser.add_argument("--venv", default="out/bench-venv", help="where the other systems are installed")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page in Markdown")
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
