"""Holds what was observed against what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from harness.cassettes.events import Event, Receive, Response
from harness.cassettes.tokens import Bindings, Exchange, tokens_of
from harness.parity.alignment import align, out_of_order
from harness.parity.fields import differences
from harness.parity.findings import Finding
from harness.parity.frames import Frame, StreamKey, streams
from harness.results import FindingKind


def compare(expected: Sequence[Event], observed: Sequence[Event], *, workers_by_facts: bool = False) -> list[Finding]:
    """Every difference in what the actors were told, in the expected order.

    Ids are bound at first sight and have to stay one-to-one; times, key order and commuting frames make no difference,
    nor does an added field. Pure: neither a clock nor a socket is touched.
    """
    same_ids = with_ids_of(expected, observed, workers_by_facts=workers_by_facts)
    left = streams(expected, workers_by_facts=workers_by_facts)
    right = streams(same_ids, workers_by_facts=workers_by_facts)
    found = [
        finding
        for key in sorted({*left, *right}, key=lambda key: _first_place(left, right, key))
        for finding in _stream_findings(left.get(key, []), right.get(key, []))
    ]
    return sorted(found, key=lambda finding: finding.expected_index if finding.expected_index is not None else -1)


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
        bindings.meet(_content(expected[one]), _content(observed[other]))


def _blanked(events: Sequence[Event], tokens: frozenset[str]) -> list[Event]:
    blank = Exchange(dict.fromkeys(tokens, "<id>"))
    return [_with_content(event, blank.applied(_content(event))) for event in events]


def translated(event: Event, bindings: Bindings) -> Event:
    """An observed event in the ids of the recording."""
    return _with_content(event, bindings.incoming(_content(event)))


def _content(event: Event) -> object:
    if isinstance(event, Receive):
        return event.content
    return event.body if isinstance(event, Response) else None


def _with_content(event: Event, content: object) -> Event:
    if isinstance(event, Receive) and event.message is not msgspec.UNSET:
        return msgspec.structs.replace(event, message=content)
    if isinstance(event, Receive):
        return msgspec.structs.replace(event, text=content)
    return msgspec.structs.replace(event, body=content) if isinstance(event, Response) else event


def _first_place(
    left: dict[StreamKey, list[Frame]], right: dict[StreamKey, list[Frame]], key: StreamKey
) -> tuple[int, StreamKey]:
    return (left.get(key) or right[key])[0].index, key


def _stream_findings(expected: Sequence[Frame], observed: Sequence[Frame]) -> Iterator[Finding]:
    alignment = align(expected, observed)
    for one, other in alignment.pairs:
        yield from _pair_findings(expected[one], observed[other])
    for one, other in out_of_order(expected, alignment.pairs):
        yield _finding(FindingKind.REORDERED, expected[one], observed[other], field="order")
    yield from (_finding(FindingKind.MISSING, expected[place], None) for place in alignment.missing)
    yield from (_finding(FindingKind.EXTRA, None, observed[place]) for place in alignment.extra)


def _pair_findings(expected: Frame, observed: Frame) -> Iterator[Finding]:
    if expected.type != observed.type:
        yield _finding(FindingKind.CHANGED, expected, observed, field="type", values=(expected.type, observed.type))
        return
    for difference in differences(expected.body, observed.body):
        values = (difference.expected, difference.observed)
        yield _finding(FindingKind.CHANGED, expected, observed, field=difference.path, values=values)


def _finding(
    kind: FindingKind,
    expected: Frame | None,
    observed: Frame | None,
    *,
    field: str = "",
    values: tuple[object, object] | None = None,
) -> Finding:
    frame = expected or observed
    if frame is None:
        raise AssertionError("a finding is about at least one frame")
    shown = values or (expected.body if expected else None, observed.body if observed else None)
    return Finding(
        kind=kind,
        actor=frame.actor,
        role=frame.role,
        message_type=frame.type,
        field=field,
        expected=shown[0],
        observed=shown[1],
        expected_index=expected.index if expected else None,
        observed_index=observed.index if observed else None,
    )


class Noise(msgspec.Struct, frozen=True):
    """What differs between two runs of one hub, by signature."""

    signatures: frozenset[tuple[str, str, str, str]] = frozenset()

    def mark(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings, those that are noise marked. A grave one never is."""
        return [
            msgspec.structs.replace(finding, noise=True)
            if finding.signature in self.signatures and not finding.grave
            else finding
            for finding in findings
        ]


def noise_between(one: Sequence[Event], other: Sequence[Event]) -> Noise:
    """What differs between two runs of the same hub."""
    return Noise(frozenset(finding.signature for finding in compare(one, other) if not finding.grave))
