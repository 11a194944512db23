"""Two transcripts side by side: which event of one belongs beside which event of the other."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec

from harness.results.matrix import Frame, Row


class Spoken(msgspec.Struct, frozen=True):
    """One event of a transcript and whose it is."""

    actor: str
    frame: Frame


class Alignment(msgspec.Struct, frozen=True):
    """The rows, and for each event of either side the row that it is in."""

    rows: tuple[Row, ...]
    expected_rows: tuple[int, ...]
    observed_rows: tuple[int, ...]


Pair = tuple[int | None, int | None]
"""Places in the two transcripts (expected, observed); None where there is no partner."""

Place = tuple[int, int, int]
"""Where a row stands: by the reference's event that it follows, then by its own actor's order."""


def align(expected: Sequence[Spoken], observed: Sequence[Spoken], known: Iterable[Pair] = ()) -> Alignment:
    """Pair the events of each actor by kind and message type, in order; the reference's order gives the rows'.

    Where one side has another type in the same place (a renamed message), the two stand beside each other. `known`
    are pairs that somebody has found already, in whatever order; with None, that an event has no partner.
    """
    ties = _Ties(known)
    rows: list[tuple[Place, Pair]] = [((left, -1, 0), (left, right)) for left, right in ties.pairs.items()]
    for actor in dict.fromkeys(event.actor for event in (*expected, *observed)):
        lefts = [index for index, event in enumerate(expected) if event.actor == actor]
        rights = [index for index, event in enumerate(observed) if event.actor == actor]
        rows += _free_rows(lefts, rights, expected, observed, ties)
        rows += _lone_rows(rows, rights, ties)
    rows.sort(key=lambda row: row[0])
    return _rows([pair for _, pair in rows], expected, observed)


class _Ties:
    """What is known of the pairing, one-to-one: of contradicting words the first counts."""

    def __init__(self, known: Iterable[Pair]) -> None:
        self.pairs: dict[int, int | None] = {}
        self.lone_right: set[int] = set()
        self.rights: set[int] = set()
        for left, right in known:
            if left in self.pairs or right in self.rights:
                continue
            if left is not None:
                self.pairs[left] = right
            elif right is not None:
                self.lone_right.add(right)
            if right is not None:
                self.rights.add(right)


def _free_rows(
    lefts: Sequence[int],
    rights: Sequence[int],
    expected: Sequence[Spoken],
    observed: Sequence[Spoken],
    ties: _Ties,
) -> list[tuple[Place, Pair]]:
    """Rows of one actor's events of which nothing is known."""
    free_left = [left for left in lefts if left not in ties.pairs]
    free_right = [right for right in rights if right not in ties.rights]
    rows: list[tuple[Place, Pair]] = []
    place = -1
    for step, pair in enumerate(_pairs(free_left, free_right, expected, observed)):
        place = place if pair[0] is None else pair[0]
        rows.append(((place, step, 0), pair))
    return rows


def _lone_rows(rows: Sequence[tuple[Place, Pair]], rights: Sequence[int], ties: _Ties) -> list[tuple[Place, Pair]]:
    """Rows of one actor's observed events that have no partner: each after the one that it saw before."""
    mine = set(rights)
    seen = sorted((right, place) for place, (_, right) in rows if right in mine)
    found: list[tuple[Place, Pair]] = []
    for right in sorted(mine & ties.lone_right):
        before = bisect_left(seen, right, key=lambda entry: entry[0])
        place, step, _ = seen[before - 1][1] if before else (-1, -1, 0)
        found.append(((place, step, right + 1), (None, right)))
    return found


def _pairs(
    left: Sequence[int], right: Sequence[int], expected: Sequence[Spoken], observed: Sequence[Spoken]
) -> Iterator[Pair]:
    kinds = [_kind(expected[index].frame) for index in left], [_kind(observed[index].frame) for index in right]
    matcher = SequenceMatcher(None, *kinds, autojunk=False)
    for _, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        lefts, rights = left[left_from:left_to], right[right_from:right_to]
        shared = min(len(lefts), len(rights))
        yield from zip(lefts[:shared], rights[:shared], strict=True)
        yield from ((index, None) for index in lefts[shared:])
        yield from ((None, index) for index in rights[shared:])


def _kind(frame: Frame) -> tuple[str, Any]:
    message = frame.message
    return frame.event, str(message.get("type")) if isinstance(message, dict) else None


def _rows(pairs: Sequence[Pair], expected: Sequence[Spoken], observed: Sequence[Spoken]) -> Alignment:
    rows = []
    expected_rows, observed_rows = [0] * len(expected), [0] * len(observed)
    for row, (left, right) in enumerate(pairs):
        here = expected[left] if left is not None else None
        there = observed[right] if right is not None else None
        if left is not None:
            expected_rows[left] = row
        if right is not None:
            observed_rows[right] = row
        actor = (here or there or Spoken("", Frame(at=0, event=""))).actor
        rows.append(Row(actor=actor, expected=here.frame if here else None, observed=there.frame if there else None))
    return Alignment(tuple(rows), tuple(expected_rows), tuple(observed_rows))
