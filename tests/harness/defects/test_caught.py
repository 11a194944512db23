"""The checkers on whole runs: the sound stack is never accused, and each defect is seen by the checker that should.

By default a few defects are tried; all of them, at 10 s each, with `--all-defects` (and on every change to a checker).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import defects
from harness.defects import Defect
from harness.history import check_all, explain
from scenarios.chaos import BY_JOURNAL, LIMITS, Chaos

SEEN_BY_CHECKERS = [defect for defect in defects.all() if defect.checks]
USUAL = {"last-in-first-out", "sigterm-fails-the-job", "progress-dropped"}


async def test_the_sound_stack_is_accused_of_nothing(tmp_path: Path) -> None:
    history = await Chaos(tmp_path).run()
    results = check_all(history, LIMITS)
    assert all(result.clean for result in results), "\n".join(
        line for result in results for line in explain(history, result, most=2)
    )
    assert {result.name for result in results if not result.examined} == BY_JOURNAL


@pytest.mark.parametrize("defect", SEEN_BY_CHECKERS, ids=lambda defect: defect.name)
async def test_a_defect_is_seen(defect: Defect, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if defect.name not in USUAL and not request.config.getoption("--all-defects", default=False):
        pytest.skip("only with --all-defects")
    overlay = defects.apply(defect, tmp_path / "overlay")
    history = await Chaos(tmp_path / "run", overlay=overlay).run()
    seen = {result.name for result in check_all(history, LIMITS) if not result.clean}
    assert seen & set(defect.checks)
