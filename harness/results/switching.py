"""Whether an environment may switch: which client version passed with which stack version there, from kept runs.

A pair's newest run counts. An environment may switch to a stack where every version of its clients that was ever judged
there passed with that stack: one that failed forbids it, one that was not tried with it leaves it open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from harness.results.criteria import Verdict
from harness.results.run import Run

STACK: Final = "stack"
"""The name of the stack's `Target`."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the clients with one of the stack. `run` is None where they were never judged together."""

    clients: str
    stack: str
    run: Run | None

    @property
    def verdict(self) -> Verdict:
        """Of the newest run; what was never tried is not known."""
        return self.run.verdict if self.run else Verdict.INCONCLUSIVE


def stack_version(run: Run) -> str:
    """Of the stack that a run judged."""
    return next((target.version for target in run.about.targets if target.name == STACK), "")


def pairs(runs: Iterable[Run], environment: str, *, clients: str | None = None, stack: str | None = None) -> list[Pair]:
    """What has to pass for a stack to be switched to there; without its version, the one that was judged last."""
    there = sorted((run for run in runs if run.about.environment == environment), key=lambda run: run.about.started_at)
    if not there:
        return []
    wanted = stack or stack_version(there[-1])
    known = [clients] if clients is not None else list(dict.fromkeys(run.about.clients for run in there))
    newest = {(run.about.clients, stack_version(run)): run for run in there}
    return [Pair(clients=version, stack=wanted, run=newest.get((version, wanted))) for version in known]


def answer(found: Sequence[Pair]) -> Verdict:
    """A failure outranks a doubt; nothing known is a doubt."""
    verdicts = {pair.verdict for pair in found}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE
