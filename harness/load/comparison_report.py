"""A comparison, and a search for the saturation point, as runs of the results model: one plot for both sides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.load.comparison import Comparison
from harness.load.latencies import Metric
from harness.load.ledger import Outcome
from harness.load.report import about, memory_line, series_of, tallies_of
from harness.load.results import COMPARED, SERVERS, LoadResult
from harness.load.saturation import Saturation
from harness.results import (
    Chart,
    Criterion,
    Distribution,
    Limit,
    Line,
    Parts,
    Tally,
    Target,
    Verdict,
    conclude,
    count,
    save,
)
from harness.results.formatting import plural
from harness.targets import Side

BROKEN: Final = (Outcome.LOST, Outcome.END_UNSEEN, Outcome.UNFINISHED)
SOURCE: Final = "the load's own demands"


def write_comparison(found: Comparison, folder: Path, command: Sequence[str]) -> Path:
    """Write `run.json` beside the turns' own folders."""
    loads = {turn.folder.removeprefix("turn-"): _read(folder / turn.folder) for turn in found.turns}
    results = list(loads.values())
    began, seconds = results[0].swarm.started_at, sum(result.swarm.seconds for result in results)
    lower = sum(ratio.high < 1 for ratio in found.ratios.values())
    run = conclude(
        about(folder, command, "comparison, A B B A", map(_target, Side), began, seconds),
        Parts(
            criteria=[_compared(found, results)],
            distributions=[plot for metric in COMPARED if (plot := _distribution(metric, loads))],
            charts=[_server_memory(loads)],
            tallies=[tally for name, result in loads.items() for tally in _tallies(name, result)],
        ),
        headline=f"Of {plural(len(found.ratios), 'value')} compared, {lower} are lower on the stack in every turn.",
    )
    return save(run, folder)


def write_saturation(found: Saturation, folder: Path, command: Sequence[str], *, seconds: float) -> Path:
    """Write `run.json` beside the probes' own folders."""
    held = "not even the lowest rate tried" if found.highest is None else f"{found.highest:g} jobs/s"
    answer = f"The {found.side} holds {held}{_bound(found)}."
    criterion = Criterion(
        id="saturation",
        title=f"Saturation of the {found.side}",
        sentence=f"The p99 of claim and progress stays under {found.limit_ms:g} ms, and nothing is lost.",
        source=SOURCE,
        measured="loads on fresh targets, the rate doubled and then halved in; what fails is tried twice",
        verdict=Verdict.INCONCLUSIVE if found.highest is None else Verdict.PASS,
        explanation=answer,
    )
    began = time.time() - seconds
    run = conclude(
        about(folder, command, "saturation", [_target(found.side)], began, seconds),
        Parts(criteria=[criterion], charts=[_rates(found)]),
        headline=answer,
    )
    return save(run, folder)


def _compared(found: Comparison, results: list[LoadResult]) -> Criterion:
    ratios = [
        f"{name} {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f}{'' if ratio.certain else ', not certain'})"
        for name, ratio in found.ratios.items()
    ]
    reasons = [f"{turn.folder}: {turn.reason}" for turn in found.turns if turn.verdict is not Verdict.PASS]
    broken = sum(result.swarm.jobs.outcomes.get(outcome, 0) for result in results for outcome in BROKEN)
    return Criterion(
        id="comparison",
        title="The same load on hub and stack",
        sentence="Both sides pass the load; the stack's values are given as ratios to the hub's.",
        source=SOURCE,
        measured="four turns on fresh targets: hub, stack, stack, hub",
        verdict=found.verdict,
        explanation=" ".join([*reasons, f"Stack over hub: {'; '.join(ratios)}."]),
        measurements=(count("jobs lost, unseen or unfinished in any turn", broken),),
    )


def _distribution(metric: Metric, loads: dict[str, LoadResult]) -> Distribution | None:
    series = [
        msgspec.structs.replace(series_of(measured)[0], label=name)
        for name, result in loads.items()
        if (measured := result.swarm.latencies.get(metric))
    ]
    title = f"{metric.heading}, each turn"
    return Distribution(id=metric.slug, title=title, unit="ms", series=tuple(series)) if series else None


def _server_memory(loads: dict[str, LoadResult]) -> Chart:
    servers = {name: result.memory_of(SERVERS[result.side]) for name, result in loads.items()}
    lines = tuple(memory_line(name, series) for name, series in servers.items() if series)
    return Chart(id="server-memory", title="Memory of the server, each turn", unit="MB", lines=lines)


def _tallies(name: str, result: LoadResult) -> list[Tally]:
    return [
        msgspec.structs.replace(tally, id=f"turn-{name}-{tally.id}", title=f"turn-{name}: {tally.title}")
        for tally in tallies_of(result)
    ]


def _rates(found: Saturation) -> Chart:
    lines = []
    for metric in (Metric.CLAIMED, Metric.PROGRESS_SEEN):
        name = f"{metric} p99"
        points = [(probe.rate, probe.values[name]) for probe in found.probes if name in probe.values]
        lines.append(Line.of(f"{metric}, p99", points))
    return Chart(
        id=f"{found.side}-saturation",
        title=f"p99 by rate ({found.side})",
        unit="ms",
        x_title="rate",
        x_unit="jobs/s",
        lines=tuple(lines),
        limits=(Limit(value=found.limit_ms, label="limit"),),
    )


def _bound(found: Saturation) -> str:
    if found.lowest_failed is None:
        return ", where the search ended"
    why = ", where the generator was at its end" if found.generator_bound else ""
    return f", and not {found.lowest_failed:g}{why}"


def _target(side: Side) -> Target:
    return Target(name=side, kind=side)


def _read(folder: Path) -> LoadResult:
    return msgspec.json.decode((folder / "load.json").read_bytes(), type=LoadResult)
