"""report.html: one page with all in it, made from the templates. It opens offline and stays under a size."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.results import (
    CellVerdict,
    Chart,
    Column,
    Criterion,
    DeclaredBy,
    Distribution,
    Line,
    Link,
    LinkTo,
    Measurement,
    Run,
    ScenarioRow,
    Series,
    SuiteOutcome,
    Timeline,
    Verdict,
)
from harness.results.formatting import listed, opening, plural, quantity, shortened
from reports import labels
from reports.causes import Cause, causes
from reports.labels import describe_criteria, describe_defects, describe_matrix, run_facts
from reports.plots import draw_chart, draw_distribution, draw_timeline
from reports.plots.svg import styles, tag
from reports.plots.timeline import kept
from reports.transcripts import ShownTranscript, transcript

PAGE_LIMIT: Final = 2_900_000
"""Bytes. Beyond it transcripts are left out, those that tell nothing new first."""
CAUSES_SHOWN: Final = 5
FIGURES_SHOWN: Final = 2
"""So many are not folded, whatever the criteria say."""
TIMELINES_DRAWN: Final = 40
SCRIPTS: Final = ("page", "diagram", "hover")
LIVES_SHOWN: Final = 2
SENTENCE_LIMIT: Final = 600
REASON_LIMIT: Final = 320

_PARTS: Final = {
    "causes": "What differs",
    "criteria": "Criteria",
    "scenarios": "Scenarios",
    "figures": "Figures",
    "faults": "Faults",
    "jobs": "Jobs",
    "defects": "Seeded defects",
    "mutants": "Mutants",
    "about": "This run",
    "transcripts": "Transcripts",
}


def page(run: Run, limit: int = PAGE_LIMIT) -> str:
    """The whole page as text, in UTF-8 at most about `limit` bytes long."""
    environment = _environment()
    transcripts = [
        transcript(scenario, cell)
        for scenario in run.matrix
        for cell in scenario.cells
        if cell.verdict is not CellVerdict.NOT_APPLICABLE
    ]
    bare = _render(environment, run, [_without_rows(each) for each in transcripts])
    room = limit - len(bare.encode())
    kept_whole = _that_fit(environment, transcripts, room)
    shown = [each if each.ref in kept_whole else _without_rows(each) for each in transcripts]
    return _render(environment, run, shown)


def _that_fit(environment: Environment, transcripts: Sequence[ShownTranscript], room: int) -> set[str]:
    """Which transcripts the page has room for: what differs first, then what is declared, then the rest."""
    order = [CellVerdict.DIFFERENT, CellVerdict.INCONCLUSIVE, CellVerdict.DECLARED, CellVerdict.SAME]
    template = environment.get_template("transcripts.html.j2")
    fitting = set()
    for each in sorted(transcripts, key=lambda one: order.index(one.cell.verdict)):
        size = len(template.render(transcripts=[each], m=_macros(environment), examples=()).encode())
        if size <= room:
            room -= size
            fitting.add(each.ref)
    return fitting


def _without_rows(each: ShownTranscript) -> ShownTranscript:
    return msgspec.structs.replace(each, rows=None if each.rows else (), left_out=0)


def _render(environment: Environment, run: Run, transcripts: Sequence[ShownTranscript]) -> str:
    style, script = _source(environment, "page.css"), "".join(_source(environment, f"{name}.js") for name in SCRIPTS)
    shown, folded = _figures(run)
    found = causes(run)
    rows = {row_id(each.ref, row.place) for each in transcripts for row in each.rows or ()}
    return environment.get_template(
        "page.html.j2"
    ).render(
        _about_jobs(run),
        run=run,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        m=_macros(environment),
        parts=[(part, title) for part, title in _PARTS.items() if _has(run, part)],
        decisive=[c for c in run.criteria if c.counts_as is run.verdict is not Verdict.PASS and not c.left_out],
        causes=[(cause, _open(cause, rows)) for cause in found[:CAUSES_SHOWN]],
        examples={_ref(cause) for cause in found[:CAUSES_SHOWN]},
        causes_left=len(found) - CAUSES_SHOWN,
        criteria=sorted(run.criteria, key=_urgency),
        counted=describe_criteria(run.criteria),
        facts=run_facts(run),
        changed=labels.changed_most(run),
        changes=labels.describe_changes(run),
        figures=shown,
        figures_left=folded,
        columns=[column for column in Column if any(row.cell(column) for row in run.matrix)],
        calm={row.name for row in run.matrix if _calm(row)},
        differs=bool(labels.differing(run)),
        matrix_summary=describe_matrix(run),
        deviations=_deviations(run),
        suites=sorted(run.suites, key=lambda one: one.outcome is not SuiteOutcome.FAILED),
        suites_failed=sum(one.outcome is SuiteOutcome.FAILED for one in run.suites),
        words={word for row in run.matrix for word in _words(row).split()} | {one.outcome.value for one in run.suites},
        defects_summary=describe_defects(run),
        transcripts=transcripts,
    )


def _source(environment: Environment, name: str) -> str:
    """A style sheet or a script of ours."""
    text: str = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]  # it has one
    return text


def _about_jobs(run: Run) -> dict[str, object]:
    drawn, left = _timelines(run)
    return {
        "lives": {criterion.id: _lives(criterion, run) for criterion in run.criteria},
        "timelines": drawn,
        "life_of": {timeline.job_id: timeline.id for timeline in reversed(run.timelines)},
        "timelines_left": left,
        "timelines_summary": _describe_timelines(run),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "address": labels.address,
        "opening": lambda text: shortened(opening(text, REASON_LIMIT), SENTENCE_LIMIT),
        "brief": lambda text: shortened(text, SENTENCE_LIMIT),
        "anchor": lambda kind, ref: labels.anchor(str(kind), ref),
        "chart": draw_chart,
        "column": labels.COLUMN.__getitem__,
        "column_about": labels.COLUMN_ABOUT.__getitem__,
        "distribution": draw_distribution,
        "gauge": gauge,
        "glyph": labels.glyph,
        "kept": kept,
        "lasted": labels.lasted,
        "timeline": draw_timeline,
        "marks": _marks,
        "quantity": quantity,
        "relative": labels.relative,
        "row_id": row_id,
        "styled": _styled,
        "swatch": _swatch,
        "tone": labels.tone,
        "when": labels.when,
        "words": _words,
    }
    return environment


def _macros(environment: Environment) -> Any:
    return environment.get_template("macros.html.j2").module


def gauge(measured: Measurement) -> Markup:
    """A small bar: the observed value, and a tick where the limit is. Nothing where there is no room between them."""
    limit, value = measured.threshold.limit, measured.observed
    if value is None or limit <= 0 or value < 0:
        return Markup("")
    top = max(limit * 1.25, value)
    bar = Markup('<i style="width:{:.0f}%"></i><b style="left:{:.0f}%"></b>').format(
        100 * value / top, 100 * limit / top
    )
    return Markup('<span class="gauge" aria-hidden="true">{}</span>').format(bar)


def _swatch(style: str) -> Markup:
    line = tag("line", x1=0, x2=24, y1=5, y2=5, class_=f"line {style}")
    return Markup('<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true">{}</svg>').format(line)


def _styled(lines: Sequence[Line] | Sequence[Series]) -> Iterator[tuple[object, str]]:
    return zip(lines, styles(line.label for line in lines), strict=True)


def _marks(figure: Chart) -> list[tuple[str, int]]:
    return list(Counter(mark.label for mark in figure.marks).items())


def _has(run: Run, part: str) -> bool:
    present = {
        "causes": any(cell.causes for row in run.matrix for cell in row.cells),
        "scenarios": run.matrix or run.suites,
        "figures": run.distributions or run.charts,
        "faults": run.faults,
        "jobs": run.tallies or run.timelines,
        "defects": run.defects,
        "mutants": run.mutants,
        "transcripts": run.matrix,
    }
    return bool(present.get(part, True))


def _lives(criterion: Criterion, run: Run) -> list[Link]:
    """The jobs whose trouble the criterion tells as its reason: a job's life is what a broken rule rests on."""
    if criterion.verdict is Verdict.PASS:
        return []
    told = [one for one in run.timelines if one.trouble.partition(": ")[2].rstrip(".") in criterion.explanation]
    return [Link(to=LinkTo.TIMELINE, ref=one.id, label=f"job {one.job_id}") for one in told[:LIVES_SHOWN]]


def row_id(ref: str, place: int) -> str:
    """The id of a transcript's row."""
    return labels.anchor("row", f"{ref}/{place}")


def _ref(cause: Cause) -> str:
    return f"{cause.first.scenario.name}/{cause.first.cell.column}"


def _open(cause: Cause, rows: set[str]) -> str:
    """Where the example is: its row, or the whole comparison where the row is not on the page."""
    ref = _ref(cause)
    row = row_id(ref, cause.first.finding.row) if cause.first.finding.row is not None else ""
    return row if row in rows else labels.anchor(LinkTo.CELL, ref)


def _urgency(criterion: Criterion) -> tuple[bool, int]:
    """What decides the verdict comes first; what cannot be asked of the target, last."""
    return criterion.left_out, [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS].index(criterion.verdict)


_WORDS: Final = {
    CellVerdict.SAME: "passed",
    CellVerdict.DECLARED: "declared",
    CellVerdict.DIFFERENT: "failed",
    CellVerdict.INCONCLUSIVE: "inconclusive",
}


def _words(row: ScenarioRow) -> str:
    """By which chips it is found: tests and recordings have the same ones. It has passed where nothing else is."""
    found = {_WORDS[cell.verdict] for cell in row.cells if cell.verdict in _WORDS}
    return " ".join(found - {"passed"} or found)


def _calm(row: ScenarioRow) -> bool:
    """Whether nothing is wrong with it: what differs is declared."""
    quiet = {CellVerdict.SAME, CellVerdict.DECLARED, CellVerdict.NOT_APPLICABLE}
    return all(cell.verdict in quiet for cell in row.cells)


def _deviations(run: Run) -> list[tuple[str, DeclaredBy]]:
    found = [
        (row.name, finding.declared)
        for row in run.matrix
        for cell in row.cells
        for finding in cell.findings
        if finding.declared is not None
    ]
    return list({(name, one.reason): (name, one) for name, one in found}.values())


def _timelines(run: Run) -> tuple[Sequence[Timeline], Sequence[Timeline]]:
    """Those that are drawn (what the criteria link to first), and the rest, of which most have no life told."""
    linked = {link.ref for criterion in run.criteria for link in criterion.links}
    ordered = sorted(run.timelines, key=lambda timeline: (not timeline.entries, timeline.id not in linked))
    drawn = min(TIMELINES_DRAWN, sum(bool(timeline.entries) for timeline in ordered))
    return ordered[:drawn], ordered[drawn:]


def _figures(run: Run) -> tuple[list[Distribution | Chart], list[Distribution | Chart]]:
    """All that criteria which do not pass lead to, then what others lead to; and the rest, which is folded."""
    linked: dict[str, bool] = {}
    for criterion in run.criteria:
        for link in criterion.links:
            if link.to is LinkTo.FIGURE:
                linked[link.ref] = linked.get(link.ref, False) or criterion.verdict is not Verdict.PASS
    every: list[Distribution | Chart] = [*run.distributions, *run.charts]
    ordered = sorted(every, key=lambda figure: [True, False, None].index(linked.get(figure.id)))
    shown = max(FIGURES_SHOWN, sum(linked.values()))
    return ordered[:shown], ordered[shown:]


def _describe_timelines(run: Run) -> str:
    counted = Counter(timeline.check for timeline in run.timelines)
    jobs = plural(len(run.timelines), "job")
    told = [check if count == len(run.timelines) else f"{check} ({count:,})" for check, count in counted.most_common()]
    return f"{jobs}, found by {listed(told)}."
