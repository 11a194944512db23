"""Which frame of one stream belongs to which of another: exact ones first, then alike ones, then ones in one place."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final

import msgspec

from harness.cassettes.events import Event, Receive, Send, fields_of, kind_of
from harness.parity.findings import differences
from harness.parity.frames import EVERYTHING, ReceivedFrame

_LARGEST_TABLE: Final = 4_000_000
"""Cells of the exact table of common subsequences; longer streams are aligned by a quicker rule."""


class Alignment(msgspec.Struct):
    """Pairs of places (expected, observed), and the places on either side that have no partner."""

    pairs: list[tuple[int, int]]
    missing: list[int]
    extra: list[int]


Place = tuple[int | None, int | None]
"""Where something is in the two transcripts (expected, observed); None where there is no partner."""


def key_of(frame: ReceivedFrame) -> str:
    """Equal for frames that tell the same."""
    return frame.type + json.dumps(frame.body, sort_keys=True, default=str)


def align(expected: Sequence[ReceivedFrame], observed: Sequence[ReceivedFrame]) -> Alignment:
    """Pair the frames of one actor's connection. An HTTP actor's answers belong to its requests, in their order."""
    if all(frame.type == "response" for frame in (*expected, *observed)):
        shared = min(len(expected), len(observed))
        pairs = [(place, place) for place in range(shared)]
        return Alignment(pairs, list(range(shared, len(expected))), list(range(shared, len(observed))))
    left, right = [key_of(frame) for frame in expected], [key_of(frame) for frame in observed]
    in_order = common_subsequence(left, right)
    pairs = _straightened(_by_key(left, right, in_order), left)
    found = _Pairing(expected, observed, pairs, in_order)
    found.pair_rest(lambda frame: (frame.type, frame.subject), same_slot=True)
    found.pair_rest(lambda frame: (frame.type, frame.subject))
    found.pair_rest(lambda frame: frame.type, same_slot=True)
    found.pair_rest(lambda frame: frame.order_keys, same_slot=True)
    return found.alignment()


def common_subsequence(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence."""
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(left), len(right)) - start and left[-1 - end] == right[-1 - end]:
        end += 1
    middle = _middle(left[start : len(left) - end], right[start : len(right) - end])
    head = [(place, place) for place in range(start)]
    tail = [(len(left) - back, len(right) - back) for back in range(end, 0, -1)]
    return [*head, *((one + start, other + start) for one, other in middle), *tail]


def _middle(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    if len(left) * len(right) > _LARGEST_TABLE:
        blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
        return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            same = left[i] == right[j]
            table[i][j] = table[i + 1][j + 1] + 1 if same else max(table[i + 1][j], table[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _by_key(left: Sequence[str], right: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs, and with them equal frames that stand elsewhere in the order."""
    found = list(pairs)
    taken_left, taken_right = {one for one, _ in found}, {other for _, other in found}
    waiting: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(right):
        if place not in taken_right:
            waiting[key].append(place)
    for place, key in enumerate(left):
        if place not in taken_left and waiting.get(key):
            found.append((place, waiting[key].pop(0)))
    return found


def _straightened(pairs: Iterable[tuple[int, int]], keys: Sequence[str]) -> list[tuple[int, int]]:
    """Equal frames are interchangeable: the first of them belongs to the first."""
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for one, other in pairs:
        groups[keys[one]].append((one, other))
    straight: list[tuple[int, int]] = []
    for group in groups.values():
        straight += zip(sorted(one for one, _ in group), sorted(other for _, other in group), strict=True)
    return sorted(straight)


class _Pairing:
    """Pairs frames that are not equal, by ever weaker likeness."""

    def __init__(
        self,
        expected: Sequence[ReceivedFrame],
        observed: Sequence[ReceivedFrame],
        pairs: list[tuple[int, int]],
        in_order: Sequence[tuple[int, int]],
    ) -> None:
        self._expected, self._observed, self._pairs = expected, observed, pairs
        left, right = {one for one, _ in pairs}, {other for _, other in pairs}
        self._missing = [place for place in range(len(expected)) if place not in left]
        self._extra = [place for place in range(len(observed)) if place not in right]
        self._left_marks = [one for one, _ in in_order]
        self._right_marks = [other for _, other in in_order]

    def pair_rest(self, likeness: Callable[[ReceivedFrame], Hashable], *, same_slot: bool = False) -> None:
        """Pair frames that are alike, each with the one that differs least; with `same_slot` only frames that stand
        between the same two paired ones.
        """
        waiting: dict[Hashable, list[int]] = defaultdict(list)
        for place in self._extra:
            slot = bisect_left(self._right_marks, place) if same_slot else 0
            waiting[slot, likeness(self._observed[place])].append(place)
        for place in list(self._missing):
            slot = bisect_left(self._left_marks, place) if same_slot else 0
            alike = waiting.get((slot, likeness(self._expected[place])))
            if alike:
                partner = min(alike, key=lambda other: self._distance(place, other))
                alike.remove(partner)
                self._missing.remove(place)
                self._extra.remove(partner)
                self._pairs.append((place, partner))

    def _distance(self, place: int, other: int) -> int:
        return sum(1 for _ in differences(self._expected[place].body, self._observed[other].body))

    def alignment(self) -> Alignment:
        return Alignment(sorted(self._pairs), self._missing, self._extra)


def out_of_order(expected: Sequence[ReceivedFrame], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The fewest pairs, key by key, without which the observed order agrees with the expected one."""
    by_key: dict[str, list[tuple[int, int]]] = defaultdict(list)
    everywhere = [pair for pair in pairs if EVERYTHING in expected[pair[0]].order_keys]
    for pair in pairs:
        for key in expected[pair[0]].order_keys:
            by_key[key].append(pair)
    moved: set[tuple[int, int]] = set()
    for key, members in by_key.items():
        ordered = sorted({*members, *everywhere}) if key != EVERYTHING else sorted(members)
        moved |= set(ordered) - set(_longest_increasing(ordered))
    return sorted(moved)


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part whose observed places rise with the expected ones."""
    tails: list[int] = []
    tops: list[int] = []
    before: list[int] = []
    for place, (_, observed) in enumerate(pairs):
        length = bisect_right(tails, observed)
        before.append(tops[length - 1] if length else -1)
        tails[length : length + 1] = [observed]
        tops[length : length + 1] = [place]
    chain, place = [], tops[-1] if tops else -1
    while place >= 0:
        chain.append(pairs[place])
        place = before[place]
    return chain[::-1]


def side_by_side(expected: Sequence[Event], observed: Sequence[Event], known: Iterable[Place]) -> list[Place]:
    """Every event of both transcripts in one row, in the expected order.

    `known` is how the frames that are compared belong together, one-to-one. The others (what the actors sent, what only
    a clock has caused) are paired by actor and kind, in their order. An observed event without a partner follows the
    one that its actor saw before it.
    """
    places = list(known)
    partners = {left: right for left, right in places if left is not None}
    taken = {right for _, right in places if right is not None}
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for right, event in enumerate(observed):
        if right not in taken:
            waiting[_sort_of(event)].append(right)
    for left, event in enumerate(expected):
        if left not in partners:
            alike = waiting[_sort_of(event)]
            partners[left] = alike.popleft() if alike else None
    before = {right: left for left, right in partners.items() if right is not None}
    rows: list[tuple[int, int, Place]] = [(left, -1, (left, right)) for left, right in partners.items()]
    last: dict[str, int] = defaultdict(lambda: -1)
    for right, event in enumerate(observed):
        if right in before:
            last[event.actor] = before[right]
        else:
            rows.append((last[event.actor], right, (None, right)))
    return [place for _, _, place in sorted(rows)]


def _sort_of(event: Event) -> Hashable:
    return event.actor, kind_of(event), fields_of(event).get("type") if isinstance(event, Receive | Send) else None
