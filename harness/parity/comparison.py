"""Holds what was observed against what was expected."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from harness.cassettes.events import Closed, Event, Receive, Response, saying, told_by
from harness.cassettes.tokens import Bindings, Exchange, tokens_of
from harness.parity.alignment import Alignment, Place, align, out_of_order, side_by_side
from harness.parity.findings import Signature, differences, is_critical, sentence_of, signature
from harness.parity.frames import ReceivedFrame, StreamKey, Streams, streams
from harness.parity.statistics import statistics_differences, statistics_of
from harness.results import Finding, FindingKind

LEAST_RUNS: Final = 3
"""Of a hub, before what they differ in is noise."""


class ParityResult(msgspec.Struct, frozen=True):
    """Two transcripts held against each other: every difference, and every event of either side in one row."""

    findings: list[Finding]
    rows: list[Place]
    frames: list[Any]
    """What each finding is about: the whole message that was observed, or the expected one that is missing."""
    jobs: int
    """How many jobs the expected side tells of."""


def compare(expected: Sequence[Event], observed: Sequence[Event], *, workers_by_facts: bool = False) -> list[Finding]:
    """Every difference in what the actors were told, in the expected order."""
    return parity_of(expected, observed, workers_by_facts=workers_by_facts).findings


def parity_of(
    expected: Sequence[Event],
    observed: Sequence[Event],
    *,
    workers_by_facts: bool = False,
    began: float | None = None,
) -> ParityResult:
    """The differences, and the rows that show them. `began` is when the observed run began, seconds since the epoch.

    Ids are bound at first sight and have to stay one-to-one; times, key order and commuting frames make no difference,
    nor does an added field. Pure: neither a clock nor a socket is touched.
    """
    same_ids = with_ids_of(expected, observed, workers_by_facts=workers_by_facts)
    left = streams(expected, workers_by_facts=workers_by_facts)
    right = streams(same_ids, workers_by_facts=workers_by_facts, began=began)
    found, places = _compared(left, right)
    found += _statistics_findings(expected, same_ids, began)
    rows = side_by_side(expected, observed, places)
    row_of = {side: row for row, place in enumerate(rows) for side in (("expected", place[0]), ("observed", place[1]))}
    found.sort(key=lambda each: each[1][0] if each[1][0] is not None else -1)
    return ParityResult(
        [
            msgspec.structs.replace(
                finding, row=row_of["expected", place[0]] if place[0] is not None else row_of["observed", place[1]]
            )
            for finding, place in found
        ],
        rows,
        [
            told_by(expected[left] if right is None and left is not None else same_ids[right or 0])
            for _, (left, right) in found
        ],
        len({value for event in expected if isinstance(value := _job_of(told_by(event)), str)}),
    )


def _compared(left: Streams, right: Streams) -> tuple[list[tuple[Finding, Place]], list[Place]]:
    """What differs stream by stream, and which places belong together."""
    found: list[tuple[Finding, Place]] = []
    places: list[Place] = []
    for key in sorted({*left, *right}, key=lambda key: _first_place(left, right, key)):
        ours, theirs = left.get(key, []), right.get(key, [])
        alignment = align(ours, theirs)
        found += _stream_findings(ours, theirs, alignment)
        places += [(ours[one].index, theirs[other].index) for one, other in alignment.pairs]
        places += [(ours[one].index, None) for one in alignment.missing]
        places += [(None, theirs[other].index) for other in alignment.extra]
    return found, places


def _job_of(content: object) -> object:
    return content.get("job_id") if isinstance(content, dict) else None


def with_ids_of(expected: Sequence[Event], observed: Sequence[Event], *, workers_by_facts: bool = False) -> list[Event]:
    """The observed events with the expected ones' ids in the place of their own, as far as the two can be tied."""
    bindings = Bindings(tokens_of(expected))
    theirs = tokens_of(observed)
    for token in sorted(bindings.tokens & theirs):
        bindings.bind(token, token)
    if bindings.tokens - theirs:
        _tie(bindings, theirs, expected, observed, workers_by_facts=workers_by_facts)
    bindings.estrange()
    return [translated(event, bindings) for event in observed]


def _tie(
    bindings: Bindings,
    theirs: frozenset[str],
    expected: Sequence[Event],
    observed: Sequence[Event],
    *,
    workers_by_facts: bool,
) -> None:
    """Align the streams with every id blanked out, and tie the ids that then stand beside each other."""
    left = streams(_blanked(expected, bindings.tokens), workers_by_facts=workers_by_facts)
    right = streams(_blanked(observed, theirs), workers_by_facts=workers_by_facts)
    pairs = [
        (left[key][one].index, right[key][other].index)
        for key in left
        if key in right
        for one, other in align(left[key], right[key]).pairs
    ]
    for one, other in sorted(pairs):
        bindings.meet(told_by(expected[one]), told_by(observed[other]))


def _blanked(events: Sequence[Event], tokens: frozenset[str]) -> list[Event]:
    blank = Exchange(dict.fromkeys(tokens, "<id>"))
    return [_told(event, blank.applied(told_by(event))) for event in events]


def translated(event: Event, bindings: Bindings) -> Event:
    """An observed event in the ids of the recording."""
    if isinstance(event, Closed):
        return msgspec.structs.replace(event, reason=bindings.incoming(event.reason))
    return _told(event, bindings.incoming(told_by(event)))


def _told(event: Event, content: object) -> Event:
    """The event with that in the place of what a party is told by it."""
    return saying(event, content) if isinstance(event, Receive | Response) else event


def _first_place(left: Streams, right: Streams, key: StreamKey) -> tuple[int, StreamKey]:
    return (left.get(key) or right[key])[0].index, key


def _stream_findings(
    expected: Sequence[ReceivedFrame], observed: Sequence[ReceivedFrame], alignment: Alignment
) -> Iterator[tuple[Finding, Place]]:
    for one, other in alignment.pairs:
        yield from _pair_findings(expected[one], observed[other])
    for one, other in out_of_order(expected, alignment.pairs):
        yield _finding(FindingKind.REORDERED, expected[one], observed[other], field="order")
    yield from (_finding(FindingKind.MISSING, expected[place], None) for place in alignment.missing)
    yield from (_finding(FindingKind.EXTRA, None, observed[place]) for place in alignment.extra)


def _statistics_findings(
    expected: Sequence[Event], observed: Sequence[Event], began: float | None
) -> Iterator[tuple[Finding, Place]]:
    ours, theirs = statistics_of(expected), statistics_of(observed, began)
    for stream in ours.keys() & theirs.keys():
        for difference, one, other in statistics_differences(ours[stream], theirs[stream]):
            values = (difference.expected, difference.observed)
            yield _finding(FindingKind.CHANGED, one, other, field=difference.path, values=values)


def _pair_findings(expected: ReceivedFrame, observed: ReceivedFrame) -> Iterator[tuple[Finding, Place]]:
    if expected.type != observed.type:
        yield _finding(FindingKind.CHANGED, expected, observed, field="type", values=(expected.type, observed.type))
        return
    for difference in differences(expected.body, observed.body):
        values = (difference.expected, difference.observed)
        yield _finding(FindingKind.CHANGED, expected, observed, field=difference.path, values=values)


def _finding(
    kind: FindingKind,
    expected: ReceivedFrame | None,
    observed: ReceivedFrame | None,
    *,
    field: str = "",
    values: tuple[object, object] | None = None,
) -> tuple[Finding, Place]:
    """A finding, and the places of its frames in the two transcripts."""
    frame = expected or observed
    if frame is None:
        raise AssertionError("a finding is about at least one frame")
    shown = values or (expected.body if expected else None, observed.body if observed else None)
    finding = Finding(
        kind=kind,
        actor=frame.actor,
        role=frame.role,
        sentence=sentence_of(kind, frame.actor, frame.type, field, shown),
        message_type=frame.type,
        field=field,
        expected=shown[0],
        observed=shown[1],
    )
    return finding, (expected.index if expected else None, observed.index if observed else None)


class HubDifference(msgspec.Struct, frozen=True):
    """How often two runs of one hub differed in one way at most, and in which values of a field any did."""

    times: int
    values: frozenset[str]


class Noise(msgspec.Struct, frozen=True):
    """What differs between runs of one hub, by signature: so often and in these values it is no finding."""

    seen: dict[Signature, HubDifference] = {}

    def mark(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings, those that are noise marked: no more than were seen, in no other values, no critical one."""
        left = {one: seen.times for one, seen in self.seen.items()}
        marked = []
        for finding in findings:
            name = signature(finding)
            noise = left.get(name, 0) > 0 and not is_critical(finding) and self._had(finding)
            left[name] = left.get(name, 0) - noise
            marked.append(msgspec.structs.replace(finding, noise=noise))
        return marked

    def _had(self, finding: Finding) -> bool:
        """Whether one of the hub's runs had the value, where it is about a value."""
        return finding.kind is not FindingKind.CHANGED or key(finding.observed) in self.seen[signature(finding)].values


def noise_of(*runs: Sequence[Event]) -> Noise:
    """What runs of the same hub differ in. Fewer than three do not tell noise from a slip: they excuse nothing."""
    if len(runs) < LEAST_RUNS:
        return Noise()
    seen: dict[Signature, HubDifference] = {}
    for one, other in itertools.combinations(runs, 2):
        found: dict[Signature, list[Finding]] = {}
        for finding in compare(one, other):
            if not is_critical(finding):
                found.setdefault(signature(finding), []).append(finding)
        for name, same in found.items():
            before = seen.get(name, HubDifference(0, frozenset()))
            values = {key(value) for each in same for value in (each.expected, each.observed)}
            seen[name] = HubDifference(max(before.times, len(same)), before.values | values)
    return Noise(seen)


def key(value: object) -> str:
    """Equal for values that are equal as JSON."""
    return json.dumps(value, sort_keys=True, default=str)
