"""From the findings to a run with a verdict, and the checks that the results agree with themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.results.criteria import Criterion, Link, LinkTo, Verdict, combine
from harness.results.formatting import listed, plural, quantity
from harness.results.outcomes import Tally
from harness.results.run import SCHEMA, About, Parts, Run


def conclude(about: About, parts: Parts, *, headline: str | None = None, criteria_in_all: int | None = None) -> Run:
    """The run with its verdict: the criteria's, and inconclusive at best where the results have a problem.

    The problems of `parts` are sentences of the caller's own (a phase that broke off); the checks of `inconsistencies`
    are added. `headline` takes the place of the sentence on replacing the hub, for runs that judge something else. A
    run that tried fewer than `criteria_in_all` does not claim that the stack can replace the hub.
    """
    problems = (*parts.problems, *inconsistencies(parts))
    verdict = judge_run(parts.criteria, problems)
    carried = {name: getattr(parts, name) for name in Parts.__struct_fields__}
    return Run(
        **carried | {"problems": problems},
        schema=SCHEMA,
        about=about,
        verdict=verdict,
        headline=headline or headline_of(verdict, parts.criteria, criteria_in_all),
        reasons=tuple(reasons(verdict, parts.criteria, problems)),
    )


def judge_run(criteria: Iterable[Criterion], problems: Sequence[str]) -> Verdict:
    """The criteria combined; a problem with the results themselves counts as one inconclusive criterion."""
    doubts = [Verdict.INCONCLUSIVE] if problems else []
    return combine([*(criterion.counts_as for criterion in criteria if not criterion.left_out), *doubts])


def inconsistencies(run: Parts) -> list[str]:
    """Where the results contradict themselves: counts that do not add up, ids used twice, links to nothing."""
    return [*_sums(run.tallies), *_doubles(run), *_dangling(run)]


_OPENING: Final = {
    Verdict.PASS: "The stack can replace the hub",
    Verdict.FAIL: "The stack cannot replace the hub yet",
    Verdict.INCONCLUSIVE: "This run cannot tell whether the stack can replace the hub",
}


_VERBS: Final = {
    Verdict.PASS: ("passes", "pass"),
    Verdict.FAIL: ("fails", "fail"),
    Verdict.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
}


def headline_of(verdict: Verdict, criteria: Sequence[Criterion], in_all: int | None = None) -> str:
    """The verdict in a sentence; `in_all` is how many criteria a whole run has."""
    judged = [criterion for criterion in criteria if not criterion.left_out]
    count, waivers = len(judged), sum(criterion.waiver is not None for criterion in judged)
    decisive = sum(criterion.counts_as is verdict for criterion in judged)
    beyond = f"; {len(criteria) - count} cannot be asked of this target" if count < len(criteria) else ""
    with_waivers = f", with {plural(waivers, 'waiver')}" if waivers and verdict is Verdict.PASS else ""
    if verdict is Verdict.PASS and in_all is not None and len(criteria) < in_all:
        passed = "1 criterion passes" if count - waivers == 1 else f"{count - waivers} criteria pass"
        tried = f"{passed}{_and(waivers)}, of the {in_all} that a whole run has{beyond}"
        return f"What was tried passes{with_waivers}: {tried}."
    return f"{_OPENING[verdict]}{with_waivers}: {_detail(verdict, count, decisive, waivers)}{beyond}."


def _detail(verdict: Verdict, count: int, decisive: int, waivers: int) -> str:
    if not count:
        return "nothing was judged"
    if not decisive:
        return "the results contradict themselves or are not complete"
    one, several = _VERBS[verdict]
    if waivers and verdict is Verdict.PASS:
        return f"{count - waivers} of {count} criteria pass{_and(waivers)}"
    if count == 1:
        return f"the one criterion that was tried {one}"
    if verdict is Verdict.PASS:
        return f"all {count} criteria pass"
    return f"{decisive} of {count} criteria {one if decisive == 1 else several}{_and(waivers)}"


def _and(waivers: int) -> str:
    return f" and {waivers} {'is' if waivers == 1 else 'are'} waived" if waivers else ""


def reasons(verdict: Verdict, criteria: Sequence[Criterion], problems: Sequence[str]) -> list[str]:
    """Why the verdict is what it is: what is waived, each criterion that decides it, then the problems."""
    waivers = [
        f"Waived until {c.waiver.expires} by {c.waiver.owner}: {c.title}. {c.waiver.reason} {c.explanation}"
        for c in criteria
        if c.waiver
    ]
    decisive = [] if verdict is Verdict.PASS else [c for c in criteria if c.counts_as is verdict and not c.left_out]
    return [*waivers, *(f"{criterion.title}: {criterion.explanation}" for criterion in decisive), *problems]


def _sums(tallies: Iterable[Tally]) -> Iterator[str]:
    for tally in tallies:
        below = [part.label for part in tally.classes if part.count < 0]
        if below:
            yield f"{tally.title}: fewer than no {tally.total_label} are in {listed(below)}."
        if tally.unaccounted > 0:
            yield f"{tally.title}: {tally.unaccounted:,} of {tally.total:,} {tally.total_label} are in no class."
        elif tally.unaccounted < 0:
            yield (
                f"{tally.title}: the classes hold {quantity(-tally.unaccounted)} more than the {tally.total:,} "
                f"{tally.total_label} there are."
            )


def _doubles(run: Parts) -> Iterator[str]:
    for kind, names in _names(run).items():
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            yield f"More than one {kind} is called {listed(twice)}."


def _names(run: Parts) -> dict[str, list[str]]:
    return {
        "criterion": [criterion.id for criterion in run.criteria],
        LinkTo.CELL: [f"{row.name}/{cell.column}" for row in run.matrix for cell in row.cells],
        LinkTo.FIGURE: [*(plot.id for plot in run.distributions), *(plot.id for plot in run.charts)],
        LinkTo.TIMELINE: [timeline.id for timeline in run.timelines],
        LinkTo.TALLY: [tally.id for tally in run.tallies],
        LinkTo.FAULT: [fault.id for fault in run.faults],
        LinkTo.DEFECT: [defect.id for defect in run.defects],
    }


def _dangling(run: Parts) -> Iterator[str]:
    names = {kind: set(values) for kind, values in _names(run).items()}
    for owner, links in _links(run):
        for link in links:
            if link.to is not LinkTo.FILE and link.ref not in names[link.to]:
                yield f"{owner} points to the {link.to} {link.ref}, which is not in the results."


def _links(run: Parts) -> Iterator[tuple[str, Sequence[Link]]]:
    for criterion in run.criteria:
        yield criterion.title, criterion.links
    for fault in run.faults:
        yield fault.title, fault.links
