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
from loadtests.bench import alone, rivals
from loadtests.bench.measure import OURS, Measured, Size, Trial
from loadtests.bench.table import show

QUICK = Size(each=1_000, bulk=5_000, drain=5_000, idle_seconds=3.0, paced=150)


class Bench(msgspec.Struct, kw_only=True):
    """All that one run measured."""

    cores: int
    systems: list[Measured]
    alone: alone.Alone | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; exit status 0, or 3 where nothing of ours could be measured."""
    given = _parser().parse_args(arguments)
    wanted = tuple(name for name in rivals.NAMES if not given.only or name in given.only)
    others = rivals.prepare(Path(given.venv).resolve(), wanted) if wanted else None
    with tempfile.TemporaryDirectory(prefix="hubgate-bench-") as folder, Processes(Path(folder)) as processes:
        run = _run(processes, others, wanted, given)
    sys.stdout.write(
        msgspec.json.encode(run).decode() + "\n" if given.json else show(run.cores, run.systems, run.alone)
    )
    return 0 if run.systems and run.systems[0].p50_ms is not None else 3


def _run(processes: Processes, others: Path | None, wanted: tuple[str, ...], given: argparse.Namespace) -> Bench:
    valkey = start_valkey(processes)
    size = QUICK if given.quick else Size()
    here = Path(sys.executable)
    trials = [(OURS, here)] if not given.only or OURS in given.only else []
    trials += [(name, others or here) for name in wanted]
    systems = []
    for name, python in trials:
        _tell(f"measuring {name} …")
        systems.append(_one(Trial(name, python, valkey, processes, size), python))
    own = None
    if trials and trials[0][0] == OURS and not given.quick:
        _tell("measuring hubgate with 100,000 jobs waiting, and a killed worker …")
        own = alone.measure(Trial(OURS, here, valkey, processes, size))
    return Bench(cores=os.cpu_count() or 1, systems=systems, alone=own)


def _one(trial: Trial, python: Path) -> Measured:
    count, shape = rivals.processes_and_shape(trial.name)
    measured = Measured(name=trial.name, version=rivals.version(python, trial.name), shape=shape)
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
    parser.add_argument("--only", action="append", metavar="NAME", choices=(OURS, *rivals.NAMES))
    parser.add_argument("--venv", default="out/bench-venv", help="where the other systems are installed")
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
