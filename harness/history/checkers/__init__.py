"""The checkers: pure functions from a history to what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harness.history.checkers.accounting import (
    Place,
    check_accounting,
    check_ended_twice,
    check_lost,
    check_stuck,
    place_of,
)
from harness.history.checkers.delivery import check_not_delivered
from harness.history.checkers.holding import (
    check_cancel_ignored,
    check_held_by_two,
    check_started_after_cancel,
    check_taken_without_cause,
)
from harness.history.checkers.order import check_out_of_order
from harness.history.checkers.progress import check_progress_back, check_steps
from harness.history.checkers.recovery import check_recovery
from harness.history.checkers.retries import check_ended_otherwise, check_retries
from harness.history.history import History
from harness.history.verdicts import CheckResult, Limits

Checker = Callable[[History, Limits], CheckResult]

CHECKERS: Final[dict[str, Checker]] = {
    "accounting": check_accounting,
    "lost": check_lost,
    "stuck": check_stuck,
    "ended_twice": check_ended_twice,
    "ended_otherwise": check_ended_otherwise,
    "held_by_two": check_held_by_two,
    "taken_without_cause": check_taken_without_cause,
    "started_after_cancel": check_started_after_cancel,
    "cancel_ignored": check_cancel_ignored,
    "out_of_order": check_out_of_order,
    "progress_back": check_progress_back,
    "steps": check_steps,
    "not_delivered": check_not_delivered,
    "retries": check_retries,
    "recovery": check_recovery,
}
"""Every checker by its name, which is also its result's name."""


def check_all(history: History, limits: Limits | None = None) -> list[CheckResult]:
    """Run every checker."""
    return [checker(history, limits or Limits()) for checker in CHECKERS.values()]


__all__ = ["CHECKERS", "Checker", "Place", "check_all", "place_of"]
