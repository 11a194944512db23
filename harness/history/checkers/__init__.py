"""The checkers: pure functions from a history to what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harness.history.check_result import CheckResult, Limits
from harness.history.checkers.accounting import (
    FinalState,
    check_accounting,
    check_ended_twice,
    check_lost,
    check_stuck,
    final_state_of,
)
from harness.history.checkers.attempts import check_ended_otherwise, check_progress_back, check_retries, check_steps
from harness.history.checkers.delivery import check_not_delivered
from harness.history.checkers.execution import (
    check_never_run,
    check_result_swapped,
    check_run_twice,
    check_runs_on,
    check_unclaimed_run,
    check_wrong_worker,
)
from harness.history.checkers.leases import (
    check_cancel_ignored,
    check_double_claim,
    check_started_after_cancel,
    check_unjustified_expiry,
)
from harness.history.checkers.order import check_out_of_order
from harness.history.checkers.recovery import check_recovery
from harness.history.history import History

Checker = Callable[[History, Limits], CheckResult]

CHECKERS: Final[dict[str, Checker]] = {
    "accounting": check_accounting,
    "lost": check_lost,
    "stuck": check_stuck,
    "ended_twice": check_ended_twice,
    "ended_otherwise": check_ended_otherwise,
    "double_claim": check_double_claim,
    "unjustified_expiry": check_unjustified_expiry,
    "started_after_cancel": check_started_after_cancel,
    "cancel_ignored": check_cancel_ignored,
    "out_of_order": check_out_of_order,
    "progress_back": check_progress_back,
    "steps": check_steps,
    "not_delivered": check_not_delivered,
    "retries": check_retries,
    "recovery": check_recovery,
    "run_twice": check_run_twice,
    "unclaimed_run": check_unclaimed_run,
    "never_run": check_never_run,
    "runs_on": check_runs_on,
    "wrong_worker": check_wrong_worker,
    "result_swapped": check_result_swapped,
}
"""Every checker by its name, which is also its result's name."""


def check_all(history: History, limits: Limits | None = None) -> list[CheckResult]:
    """Run every checker."""
    return [checker(history, limits or Limits()) for checker in CHECKERS.values()]


__all__ = ["CHECKERS", "Checker", "FinalState", "check_all", "final_state_of"]
