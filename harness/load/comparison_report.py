"""A comparison, and a search for the saturation point, as runs of the results model: one plot for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.load.comparison import COMPARED, Comparison
from harness.load.latencies import Figure
from harness.load.ledger import Outcome
from harness.load.report import machine, series_of, tallies_of
from harness.load.runner import LoadResult
from harness.load.saturation import Saturation
from harness.load.spec import Side
from harness.results import (
    About,
    Chart,
    Criterion,
    Distribution,
    Limit,
    Line,
    Measurement,
    Tally,
    Target,
    Threshold,
    Verdict,
    conclude,
    save,
)
from harness.results import Comparison as Sign
from harness.results.words import plural

BROKEN = (Outcome.LOST, Outcome.END_UNSEEN, Outcome.UNFINISHED)


def write_comparison(found: Comparison, folder: Path, command: Sequence[str]) -> Path:
    """Write `run.json` beside the turns' own folders."""
    turns = {turn.folder: _read(folder / turn.folder) for turn in found.turns}
    run = conclude(
        _about(folder, command, list(turns.values()), "comparison, A B B A"),
        criteria=[_compared(found, list(turns.values()))],
        distributions=[plot for figure in COMPARED if (plot := _distribution(figure, turns))],
        charts=[_server_memory(turns)],
        tallies=[tally for name, result in turns.items() for tally in _tallies(name, result)],
        headline=_comparison_headline(found),
    )
    return save(run, folder)


def write_saturation(found: Saturation, folder: Path, command: Sequence[str], *, seconds: float) -> Path:
    """Write `run.json` beside the probes' own folders."""
    held = "not even the lowest rate tried" if found.highest is None else f"{found.highest:g} jobs/s"
    about = About(
        id=folder.name,
        started_at=datetime.now(UTC),
        seconds=seconds,
        profile="saturation",
        command=tuple(command),
        machine=machine(),
        targets=(Target(name=found.side, kind=found.side),),
    )
    criterion = Criterion(
        id="saturation",
        title=f"Saturation of the {found.side}",
        sentence=f"The p99 of claim and progress stays under {found.limit_ms:g} ms, and nothing is lost.",
        source="the load's own demands",
        measured="loads on fresh targets, the rate doubled and then halved in; what fails is tried twice",
        verdict=Verdict.INCONCLUSIVE if found.highest is None else Verdict.PASS,
        explanation=f"The {found.side} holds {held}{_bound(found)}.",
    )
    run = conclude(
        about, criteria=[criterion], charts=[_rates(found)], headline=f"The {found.side} holds {held}{_bound(found)}."
    )
    return save(run, folder)


def _compared(found: Comparison, results: list[LoadResult]) -> Criterion:
    ratios = [
        f"{name} {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f}{'' if ratio.certain else ', not certain'})"
        for name, ratio in found.ratios.items()
    ]
    reasons = [f"{turn.folder}: {reason}" for turn in found.turns for reason in turn.reasons]
    broken = sum(result.swarm.jobs.outcomes.get(outcome, 0) for result in results for outcome in BROKEN)
    return Criterion(
        id="comparison",
        title="The same load on hub and stack",
        sentence="Both sides pass the load; the stack's figures are told as ratios to the hub's.",
        source="the load's own demands",
        measured="four turns on fresh targets: hub, stack, stack, hub",
        verdict=found.verdict,
        explanation=". ".join([*reasons, f"Stack over hub: {'; '.join(ratios)}."]),
        measurements=(
            Measurement(
                what="jobs lost, unseen or unfinished in any turn",
                observed=broken,
                threshold=Threshold(comparison=Sign.EQUAL, limit=0),
                counterexample=True,
            ),
        ),
    )


def _comparison_headline(found: Comparison) -> str:
    lower = [name for name, ratio in found.ratios.items() if ratio.high < 1]
    return f"Of {plural(len(found.ratios), 'figure')} compared, {len(lower)} are lower on the stack in every turn."


def _distribution(figure: Figure, turns: dict[str, LoadResult]) -> Distribution | None:
    series = [
        msgspec.structs.replace(series_of(measured)[0], label=name.removeprefix("turn-"))
        for name, result in turns.items()
        if (measured := result.swarm.figures.get(figure))
    ]
    slug = figure.name.lower().replace("_", "-")
    title = f"{str(figure).capitalize()}, each turn"
    return Distribution(id=slug, title=title, unit="ms", series=tuple(series)) if series else None


def _server_memory(turns: dict[str, LoadResult]) -> Chart:
    lines = [
        Line.of(name.removeprefix("turn-"), [(second, size / 1e6) for second, size in series.points])
        for name, result in turns.items()
        for series in result.memory
        if series.part in ("api", "hub")
    ]
    return Chart(id="server-memory", title="Memory of the server, each turn", unit="MB", lines=tuple(lines))


def _tallies(name: str, result: LoadResult) -> list[Tally]:
    return [
        msgspec.structs.replace(tally, id=f"{name}-{tally.id}", title=f"{name}: {tally.title}")
        for tally in tallies_of(result)
    ]


def _rates(found: Saturation) -> Chart:
    claimed = [(one.rate, one.claimed_p99_ms) for one in found.probes if one.claimed_p99_ms is not None]
    progress = [(one.rate, one.progress_p99_ms) for one in found.probes if one.progress_p99_ms is not None]
    return Chart(
        id=f"{found.side}-saturation",
        title=f"p99 by rate ({found.side})",
        unit="ms",
        x_title="rate",
        x_unit="jobs/s",
        lines=(Line.of("submit to claimed, p99", claimed), Line.of("progress to client, p99", progress)),
        limits=(Limit(value=found.limit_ms, label="limit"),),
    )


def _bound(found: Saturation) -> str:
    if found.lowest_failed is None:
        return ", where the search ended"
    why = ", where the generator was at its end" if found.generator_bound else ""
    return f", and not {found.lowest_failed:g}{why}"


def _about(folder: Path, command: Sequence[str], results: list[LoadResult], profile: str) -> About:
    return About(
        id=folder.name,
        started_at=datetime.fromtimestamp(results[0].swarm.started_at, UTC),
        seconds=sum(result.swarm.seconds for result in results),
        profile=profile,
        command=tuple(command),
        machine=machine(),
        targets=tuple(Target(name=side, kind=side) for side in Side),
    )


def _read(folder: Path) -> LoadResult:
    return msgspec.json.decode((folder / "load.json").read_bytes(), type=LoadResult)
