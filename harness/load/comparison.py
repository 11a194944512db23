"""The same load on a hub and on a stack, in turns, so that a machine that slows down or warms up favours neither."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.load.observer import OnLive
from harness.load.results import LoadSummary
from harness.load.runner import Load, run
from harness.load.spec import LoadSpec
from harness.results import Verdict, combine
from harness.targets import Side

TURNS: Final = (Side.HUB, Side.STACK, Side.STACK, Side.HUB)
"""A B B A."""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's value over the hub's: of their geometric means, and between the kindest and unkindest pair."""

    hub: list[float]
    stack: list[float]
    ratio: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether every pair of turns says the same side is lower."""
        return self.high < 1 or self.low > 1


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`comparison.json`. A turn that fails is named in `turns`; its values are compared all the same."""

    verdict: Verdict
    turns: list[LoadSummary]
    ratios: dict[str, Ratio]


def ratio_of(hub: Sequence[float], stack: Sequence[float]) -> Ratio | None:
    """None where one side has nothing, or a value that is no measure (0 or less)."""
    if not hub or not stack or min(*hub, *stack) <= 0:
        return None
    pairs = [ours / theirs for theirs, ours in itertools.product(hub, stack)]
    return Ratio(
        hub=list(hub),
        stack=list(stack),
        ratio=_geometric_mean(stack) / _geometric_mean(hub),
        low=min(pairs),
        high=max(pairs),
    )


def compare_turns(turns: Sequence[LoadSummary]) -> Comparison:
    """Put the turns side by side. Pure."""
    names = dict.fromkeys(name for turn in turns for name in turn.values)
    ratios = {}
    for name in names:
        by_side = {
            side: [turn.values[name] for turn in turns if turn.side is side and name in turn.values] for side in Side
        }
        if ratio := ratio_of(by_side[Side.HUB], by_side[Side.STACK]):
            ratios[name] = ratio
    return Comparison(verdict=combine(turn.verdict for turn in turns), turns=list(turns), ratios=ratios)


async def compare(
    hub: LoadSpec,
    stack: LoadSpec,
    out: Path,
    *,
    on_live: OnLive | None = None,
    on_turn: Callable[[LoadSummary], None] | None = None,
    load: Load = run,
) -> Comparison:
    """Run the turns, each on a fresh target, and write `out/comparison.json`."""
    turns: list[LoadSummary] = []
    for number, side in enumerate(TURNS, 1):
        folder = f"turn-{number}-{side}"
        result = await load(hub if side is Side.HUB else stack, out / folder, on_live=on_live)
        turns.append(result.summary(folder))
        if on_turn:
            on_turn(turns[-1])
    found = compare_turns(turns)
    (out / "comparison.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return found


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))
