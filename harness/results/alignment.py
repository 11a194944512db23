"""Two transcripts side by side: which event of one belongs beside which event of the other."""

from __future__ import annotations

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


def align(
    expected: Sequence[Spoken], observed: Sequence[Spoken], together: Iterable[tuple[int, int]] = ()
) -> Alignment:
    """Pair the events of each actor by kind and message type, in order; the reference's order gives the rows'.

    Where one side has another type in the same place (a renamed message), the two stand beside each other.
    `together` are pairs (expected, observed) that are known to belong together, in whatever order.
    """
    tied = _one_to_one(together)
    taken = set(tied.values())
    pairs: list[tuple[int, int, Pair]] = [(left, -1, (left, right)) for left, right in tied.items()]
    for actor in dict.fromkeys(event.actor for event in (*expected, *observed)):
        place = -1
        lefts = [index for index, event in enumerate(expected) if event.actor == actor and index not in tied]
        rights = [index for index, event in enumerate(observed) if event.actor == actor and index not in taken]
        for step, pair in enumerate(_pairs(lefts, rights, expected, observed)):
            place = place if pair[0] is None else pair[0]
            pairs.append((place, step, pair))
    pairs.sort(key=lambda entry: entry[:2])
    return _rows([pair for _, _, pair in pairs], expected, observed)


def _one_to_one(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    tied: dict[int, int] = {}
    taken: set[int] = set()
    for left, right in pairs:
        if left not in tied and right not in taken:
            tied[left] = right
            taken.add(right)
    return tied


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
