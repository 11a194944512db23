"""The saturation point: the highest rate at which latencies stay low, everything ends, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from harness.load.latencies import Metric
from harness.load.results import LoadSummary
from harness.load.runner import Load, run
from harness.load.spec import Demands, LoadSpec
from harness.results import Verdict
from harness.targets import Side

LIMIT_MS: Final = 500.0
"""The plan's limit for progress, here for the p99 of the claim, too."""
ATTEMPTS: Final = 2
"""A rate is too high when it fails so often in a row: a shared machine stumbles now and then."""
PRECISION: Final = 0.1
"""Of the rate: the search ends where what was held and what failed are no further apart."""


class Saturation(msgspec.Struct, frozen=True, kw_only=True):
    """What the search found: `saturation.json`."""

    side: Side
    highest: float | None
    """Jobs per second that were held; None where not even the first rate was."""
    lowest_failed: float | None
    """The next rate that was not; None where the search ended at its ceiling."""
    generator_bound: bool
    """Whether the search ended because the generator, not the target, was at its end."""
    limit_ms: float
    probes: list[LoadSummary]


class Search:
    """Doubles the rate until it is too high, then halves the interval until it is narrow. Pure."""

    def __init__(self, start: float, ceiling: float, precision: float = PRECISION) -> None:
        self._next: float | None = start
        self._ceiling = ceiling
        self._precision = precision
        self.held: float | None = None
        self.failed: float | None = None

    @property
    def rate(self) -> float | None:
        """What to try next; None when it is done."""
        return self._next

    def record(self, *, held: bool) -> None:
        """How the rate that was to be tried went."""
        tried = self._next
        if tried is None:
            raise ValueError("the search is over")
        if held:
            self.held = tried
        else:
            self.failed = tried
        self._next = self._following()

    def _following(self) -> float | None:
        if self.failed is None:
            return None if self.held is None or self.held >= self._ceiling else min(self.held * 2, self._ceiling)
        low = self.held if self.held is not None else 0.0
        if self.held is None and self.failed < 1.0:
            return None
        if self.failed - low <= self._precision * self.failed:
            return None
        return round((low + self.failed) / 2, 2)


async def find_saturation(
    spec: LoadSpec,
    out: Path,
    *,
    start: float = 5.0,
    ceiling: float = 2000.0,
    on_probe: Callable[[LoadSummary], None] | None = None,
    load: Load = run,
) -> Saturation:
    """Search with loads of the spec's duration, each on a fresh target; its rate is ignored."""
    search, probes = Search(start, ceiling), []
    demands = Demands(
        least_jobs=5, most_errors=0.0, most_p99_ms={Metric.CLAIMED: LIMIT_MS, Metric.PROGRESS_SEEN: LIMIT_MS}
    )
    while (rate := search.rate) is not None:
        plan = msgspec.structs.replace(spec.plan, rate=rate)
        one = msgspec.structs.replace(spec, plan=plan, demands=demands)
        held = False
        for attempt in range(1, ATTEMPTS + 1):
            folder = f"rate-{rate:g}-{attempt}"
            result = await load(one, out / folder)
            probes.append(result.summary(folder))
            if on_probe:
                on_probe(probes[-1])
            if held := probes[-1].verdict is Verdict.PASS:
                break
        search.record(held=held)
    failed = [probe for probe in probes if probe.rate == search.failed]
    found = Saturation(
        side=spec.side,
        highest=search.held,
        lowest_failed=search.failed,
        generator_bound=any(probe.verdict is Verdict.INCONCLUSIVE for probe in failed),
        limit_ms=LIMIT_MS,
        probes=probes,
    )
    (out / "saturation.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return found
