"""What a shadow has found so far, as a run that every report can be made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import CouldNotRun
from harness.results import (
    About,
    Cell,
    CellVerdict,
    Column,
    Criterion,
    Evidence,
    Finding,
    Link,
    LinkTo,
    Machine,
    Parts,
    Row,
    Run,
    ScenarioRow,
    Statement,
    Tally,
    Target,
    Verdict,
    conclude,
    count,
)
from harness.results.formatting import plural, quantity
from harness.shadow.ledger import FILE_NAME, SCENARIO, Begun, Found, Line, Sums, cause_of

PROFILE: Final = "shadow"
LEAST_JOBS: Final = 100
LEAST_SHARE: Final = 95
"""Per cent of what should have been compared: with less, the rest may hold anything."""
CAUSES_SHOWN: Final = 50
CAUSES_TOLD: Final = 3
TRAFFIC: Final = Statement(
    id="shadow",
    title="Legacy clients notice nothing",
    sentence="What clients of the hub are told, they would have been told by the stack.",
    source="Plan, Phase 2A scenario 1; success criterion: compatibility",
    measured=(
        "Clients talked to the hub; what sampled ones said was said to the stack as well, which has workers of its "
        "own, and each job's frames were compared. Times, ids, names of workers and places in the queue make no "
        "difference, nor does how far a job was when somebody asked; the rest must be declared."
    ),
)


class Lines:
    """The file of a shadow, added up, with the first example of each cause."""

    def __init__(self, folder: Path) -> None:
        """Read it. Raises CouldNotRun where there is none, or it holds something else."""
        self.sums: Final = Sums()
        self.begun: Final[list[Begun]] = []
        self.examples: Final[dict[str, Found]] = {}
        self.last = None
        for line in _lines(folder / FILE_NAME):
            self.sums.add(line)
            self.last = line.at or self.last
            if isinstance(line, Begun):
                self.begun.append(line)
            elif isinstance(line, Found) and line.example is not None:
                for cause, _ in line.causes:
                    self.examples.setdefault(cause, line)


def run_of(folder: Path, *, command: tuple[str, ...], least_jobs: int = LEAST_JOBS) -> Run:
    """What a gate would say of it. Raises CouldNotRun."""
    lines = Lines(folder)
    if not lines.begun:
        raise CouldNotRun(f"{folder / FILE_NAME} does not say what was compared")
    matrix = [ScenarioRow(name=SCENARIO, about="Traffic as it came.", cells=(_cell(lines),))]
    criterion = _judged(lines, least_jobs)
    parts = Parts(criteria=[criterion], matrix=matrix, tallies=_tallies(lines.sums))
    return conclude(_about(folder, lines, command), parts, headline=_headline(criterion.verdict, lines))


def _judged(lines: Lines, least_jobs: int) -> Criterion:
    sums = lines.sums
    different, made = sums.counts["compared"][CellVerdict.DIFFERENT], sums.counts["compared"].total()
    due = made + sums.counts["not_compared"].total()
    return Criterion.judged(
        TRAFFIC,
        measurements=[count("comparisons that differ in something nobody declared", different)],
        evidence=[
            Evidence(what="jobs compared", had=sums.jobs, least=least_jobs),
            Evidence(
                what="of what clients in the sample did compared",
                had=round(100 * made / due, 1) if due else 0,
                least=LEAST_SHARE,
                unit="%",
            ),
        ],
        links=[Link(to=LinkTo.CELL, ref=f"{SCENARIO}/{Column.STACK_WEBSOCKET}", label=SCENARIO)] if different else [],
        explanation=" ".join(_told(sums)),
    )


def _told(sums: Sums) -> Iterator[str]:
    ranked = _ranked(sums)
    for cause in ranked[:CAUSES_TOLD]:
        one = sums.causes[cause]
        where = plural(len(one.clients), "client")
        yield f"{plural(one.times, 'time')}, for {where}: {one.sentence}"
    if len(ranked) > CAUSES_TOLD:
        yield f"And {plural(len(ranked) - CAUSES_TOLD, 'more cause')}."
    yield from (f"Not compared, {plural(times, 'time')}: {why}." for why, times in sums.counts["not_compared"].items())


def _ranked(sums: Sums) -> list[str]:
    return sorted(sums.causes, key=lambda cause: -sums.causes[cause].times)


def _cell(lines: Lines) -> Cell:
    """One example of each cause, one after the other. Of each, the finding says how often there was one like it."""
    rows: list[Row] = []
    findings: list[Finding] = []
    shown: set[str] = set()
    for cause in _ranked(lines.sums)[:CAUSES_SHOWN]:
        found = lines.examples.get(cause)
        if cause in shown or found is None or found.example is None:
            continue
        findings += _moved(found.example.findings, len(rows), len(findings))
        rows += found.example.rows
        shown.update(name for name, _ in found.causes)
    verdict = lines.sums.counts["compared"]
    worst = next((one for one in (CellVerdict.DIFFERENT, CellVerdict.DECLARED) if verdict[one]), CellVerdict.SAME)
    sentence = f"{quantity(verdict[CellVerdict.DIFFERENT])} of {plural(verdict.total(), 'comparison')} differ."
    if not verdict.total():
        return Cell.inconclusive(Column.STACK_WEBSOCKET, "Nothing was compared.")
    return Cell(
        column=Column.STACK_WEBSOCKET,
        verdict=worst,
        sentence=sentence,
        findings=tuple(_counted(findings, lines.sums)),
        rows=tuple(rows),
        expected_name="hub",
        observed_name="stack",
    )


def _moved(findings: Sequence[Finding], rows: int, before: int) -> Iterator[Finding]:
    for one in findings:
        row = None if one.row is None else one.row + rows
        follows = None if one.follows is None else one.follows + before
        yield msgspec.structs.replace(one, row=row, follows=follows)


def _counted(findings: Sequence[Finding], sums: Sums) -> Iterator[Finding]:
    """The first of each cause stands for all that are not shown."""
    causes = [cause_of(one) if not one.excused and one.follows is None else "" for one in findings]
    for place, (one, cause) in enumerate(zip(findings, causes, strict=True)):
        is_first = cause and cause not in causes[:place]
        times = sums.causes[cause].times - causes.count(cause) + 1 if is_first else 1
        yield msgspec.structs.replace(one, times=times)


def _tallies(sums: Sums) -> list[Tally]:
    compared = sums.counts["compared"]
    good = {f"{one.value}": compared[one] for one in (CellVerdict.SAME, CellVerdict.DECLARED)}
    bad = {CellVerdict.DIFFERENT.value: compared[CellVerdict.DIFFERENT]}
    bad |= {f"not compared: {why}": times for why, times in sums.counts["not_compared"].items()}
    bad |= {one: times for one, times in compared.items() if one not in {*good, *bad}}
    total = compared.total() + sums.counts["not_compared"].total()
    causes = {sums.causes[cause].sentence: sums.causes[cause].times for cause in _ranked(sums)}
    return [
        Tally.of(id="shadow", title="Jobs and answers", total_label="to compare", total=total, good=good, bad=bad),
        Tally.of(
            id="causes",
            title="Differences by cause",
            total_label="differences",
            total=sum(causes.values()),
            good={},
            bad=causes,
        ),
    ]


def _about(folder: Path, lines: Lines, command: tuple[str, ...]) -> About:
    began, first = lines.begun[-1], lines.begun[0]
    seconds = (lines.last - first.at).total_seconds() if lines.last else 0.0
    return About(
        id=folder.resolve().name,
        started_at=first.at,
        seconds=round(seconds, 1),
        profile=PROFILE,
        command=command,
        machine=Machine.here(),
        targets=(
            Target(name="hub", kind="hub", url=began.primary, started_by_us=False),
            Target(name="stack", kind="stack", url=began.candidate, started_by_us=False),
        ),
    )


def _headline(verdict: Verdict, lines: Lines) -> str:
    sums = lines.sums
    compared = sums.counts["compared"]
    match verdict:
        case Verdict.PASS:
            return f"No client in the sample would have noticed the stack: {plural(sums.jobs, 'job')} compared."
        case Verdict.FAIL:
            different = quantity(compared[CellVerdict.DIFFERENT])
            return (
                f"Clients would have noticed the stack: {plural(len(sums.causes), 'cause')}, in {different} of "
                f"{plural(compared.total(), 'comparison')}."
            )
    return f"Too little was compared to tell whether clients would notice the stack: {plural(sums.jobs, 'job')}."


def _lines(path: Path) -> Iterator[Line]:
    decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):  # else it is being written, or its writer was killed
                    yield _decoded(decoder, line, f"{path}:{number}")
    except OSError as error:
        raise CouldNotRun(f"{path} cannot be read: {error.strerror}") from error


def _decoded(decoder: msgspec.json.Decoder[Line], line: bytes, where: str) -> Line:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise CouldNotRun(f"{where}: {error}") from error
