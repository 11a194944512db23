"""The benchmark's table: a row for each system, and ours as the measure of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.bench.measure import OURS, Measured
from loadtests.bench.queue_microbench import HELD, MANY, SERVICES, SIGNATURES, WAITING, WORKERS, Own


class Column(msgspec.Struct, frozen=True):
    """One figure: where it is, what it is called, and whether more of it is better."""

    field: str
    title: str
    digits: int
    more_is_better: bool


WIDTH: Final = 230

COLUMNS: Final = (
    Column("p50_ms", "start p50 ms", 2, more_is_better=False),
    Column("p99_ms", "start p99 ms", 2, more_is_better=False),
    Column("drain_per_s", "drain jobs/s", 0, more_is_better=True),
    Column("each_per_s", "submit one by one /s", 0, more_is_better=True),
    Column("bulk_per_s", "submit in bulk /s", 0, more_is_better=True),
    Column("redis_commands_per_job", "Redis commands per job", 0, more_is_better=False),
    Column("redis_cpu_ms", "Redis CPU ms per 1,000 jobs", 0, more_is_better=False),
    Column("round_trips_per_job", "round trips per job", 1, more_is_better=False),
    Column("idle_round_trips_per_s", "idle round trips/s", 1, more_is_better=False),
    Column("idle_commands_per_s", "idle commands/s", 0, more_is_better=False),
    Column("worker_pss_mb", "worker MB (PSS)", 1, more_is_better=False),
)


def show(cores: int, systems: Sequence[Measured], own: Own | None, *, markdown: bool = False) -> str:
    """The table and what it means, as text for a terminal or for a page in Markdown."""
    out = StringIO()
    console = Console(file=out, width=2 * WIDTH if markdown else WIDTH)
    about = f"40 workers, one Valkey, {cores} cores; in brackets: how many times better ours is"
    table = Table(box=box.MARKDOWN) if markdown else Table(title=about)
    table.add_column("system")
    ours = next((system for system in systems if system.name == OURS), Measured(name=OURS))
    for column in COLUMNS:
        table.add_column(column.title, justify="right")
    for system in systems:
        cells = [_cell(column, system, ours) for column in COLUMNS]
        table.add_row(
            ("{}, {}" if markdown else "{}\n{}").format(f"{system.name} {system.version}", system.shape), *cells
        )
    console.print(table)
    if markdown:
        console.print(f"{about}.\n")
    for system in systems:
        if system.note:
            console.print(f"{system.name}: {system.note}")
    for line in _of_ours(own) if own is not None else ():
        console.print(line)
    return out.getvalue()


def _of_ours(own: Own) -> Iterator[str]:
    """What is measured of our queue alone."""
    yield (
        f"hubgate, end and claim: {own.few_us:.0f} µs with 1,000 jobs waiting, {own.many_us:.0f} µs with "
        f"{MANY:,} ({own.many_us / own.few_us:.2f} times), {own.ended_us:.0f} µs with {MANY:,} ended "
        f"({own.ended_us / own.few_us:.2f} times)"
    )
    claims, history = own.claims, own.history
    yield (
        f"hubgate, a claim with {WAITING:,} jobs waiting: {claims.plain_us:.0f} µs of one service, "
        f"{claims.routed_us:.0f} µs of {SERVICES} services ({claims.routed_us / claims.plain_us:.2f} times), "
        f"{claims.matched_us:.0f} µs of {SIGNATURES} signatures for {WORKERS} unlike workers "
        f"({claims.matched_us / claims.plain_us:.2f} times)"
    )
    yield (
        f"hubgate, the history: one client ends {history.with_per_s:,.0f} jobs/s with it and "
        f"{history.without_per_s:,.0f} without ({history.of_the_rate:.1%} of the rate); Redis works "
        f"{history.with_cpu_ms:.1f} and {history.without_cpu_ms:.1f} ms for 1,000 jobs ({history.of_redis:+.1%})"
    )
    yield (
        f"hubgate, the history: the workers of the table drain {own.fleet.with_per_s:,.0f} jobs/s with it and "
        f"{own.fleet.without_per_s:,.0f} without ({own.fleet.of_the_rate:.1%} of the rate)"
    )
    yield f"hubgate, a killed worker's jobs: {own.recovered} of {HELD} ran again within {own.recovery_s:.1f} s"


def _cell(column: Column, system: Measured, ours: Measured) -> str:
    value = getattr(system, column.field)
    if value is None:
        return "-"
    text = f"{value:,.{column.digits}f}"
    own = getattr(ours, column.field)
    if system is ours or not own or value <= 0 or own <= 0:
        return text
    ratio = own / value if column.more_is_better else value / own
    return f"{text} ({ratio:.1f})"
