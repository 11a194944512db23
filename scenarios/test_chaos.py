"""Phase 2A, 3 and Phase 2B: clients of both kinds share a stack that is shaken in every way, and every rule holds.

What each rule is, and how it is judged, is in docs/faults.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from harness.history import check_all, explain
from scenarios.chaos import BY_JOURNAL, LIMITS, Chaos
from scenarios.stacks import ours

pytestmark = [pytest.mark.criterion("mixed-clients"), pytest.mark.long]

SLOWEST_S: Final = 120
"""A stack that loses jobs makes everybody wait for them."""


@pytest.mark.timeout(SLOWEST_S)
async def test_every_rule_holds_whatever_is_broken(request: pytest.FixtureRequest, hubgate_run_folder: Path) -> None:
    stacks = ours(request, "a stack whose processes it can kill")
    history = await Chaos(hubgate_run_folder / "chaos", overlay=stacks.overlay).run()
    results = check_all(history, LIMITS)
    wrong = [result for result in results if not result.clean]
    assert not wrong, "\n".join(
        [
            f"rules broken: {', '.join(result.name for result in wrong)}: {wrong[0].violations[0].sentence}",
            *(line for result in wrong for line in explain(history, result, most=1)),
        ]
    )
    assert {result.name for result in results if not result.examined} == BY_JOURNAL, (
        "nothing is proved where nothing happened"
    )
