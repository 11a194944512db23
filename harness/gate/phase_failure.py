"""What a phase that broke off means: a stack that crashed has failed; anything else leaves the question open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from harness.criteria.definition import AnySpec, Judged, NotMeasured
from harness.processes import ProcessDied
from harness.results import Criterion, Link, LinkTo, count

STACK: Final = frozenset({"api", "worker"})
"""The word in the names of the stack's processes, as in `replay-api-33` and `worker-7`."""
DIED: Final = "processes of the stack that ended on their own"
"""What is measured of a stack that crashed."""
REFUSED: Final = (2, 3)
"""Exit statuses by which a process that starts says that it was called wrongly or cannot run here: no fault of the
stack. One that was at work may end with no status of its own accord."""


class PhaseFailure(msgspec.Struct, frozen=True):
    """Why the evidence of one type is not there: part of a phase's result in its place."""

    gathers: tuple[type, ...]
    reason: str
    crashed: bool = False
    """Whether the stack itself ended."""
    log: str | None = None
    """Where the traceback is, below the run's folder."""
    left_out: bool = False
    """Whether the target cannot be asked for it."""

    @property
    def problem(self) -> str | None:
        """The sentence for the run's problems, where it is one."""
        return None if self.crashed or self.log is None else self.reason

    def criterion(self, spec: AnySpec) -> Criterion:
        """A criterion that needed the evidence: failed for the stack's own crash, or not measured."""
        links = [Link(to=LinkTo.FILE, ref=self.log, label="what broke it off")] if self.log else []
        if not self.crashed:
            return Criterion.unmeasured(spec, self.reason, links=links, left_out=self.left_out)
        return spec.concluded(Judged(measurements=[count(DIED, 1)], links=links, explanation=self.reason))


def failure_of(what: str, gathers: tuple[type, ...], error: Exception, log: str) -> PhaseFailure:
    """What an exception that broke off `what` ("The phase “load”") means for those who need these types of evidence."""
    leaves = list(_leaves(error))
    crash = next((leaf for leaf in leaves if _is_crash(leaf)), None)
    if crash is not None:
        return PhaseFailure(gathers, f"{_first_line(crash)}.", crashed=True, log=log)
    if isinstance(error, NotMeasured):
        return PhaseFailure(gathers, str(error), left_out=True)
    why = _first_line(leaves[0] if leaves else error) or type(error).__name__
    return PhaseFailure(gathers, f"{what} broke off: {why}", log=log)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _is_crash(error: Exception) -> bool:
    return (
        isinstance(error, ProcessDied)
        and not STACK.isdisjoint(error.name.split("-"))
        and (error.was_ready or error.returncode not in REFUSED)
    )


def _leaves(error: Exception) -> Iterator[Exception]:
    """The exceptions inside groups (a task group raises one), or the exception itself."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
