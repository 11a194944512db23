"""What a phase that broke off means: a stack that crashed has failed; anything else leaves the question open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged, unmeasured
from harness.processes import ProcessDied
from harness.results import Comparison, Link, LinkTo, Measurement, Threshold

STACK: Final = ("api", "worker")
"""How the names of the stack's processes begin."""
DIED: Final = "processes of the stack that ended on their own"
"""What is measured of a stack that crashed."""
REFUSED: Final = (2, 3)
"""Exit statuses by which a process says that it was called wrongly or cannot run here: no fault of the stack."""


def broken(phase: Phase, bench: Bench, error: Exception) -> Findings:
    """The phase's criteria, each with the reason why it was not judged, or failed for the stack's own crash."""
    wanted = [which for which in phase.feeds if which in bench.wanted]
    log = Link(to=LinkTo.FILE, ref=f"logs/{phase.name}.traceback.log", label="what broke it off")
    crash = next((leaf for leaf in _leaves(error) if _is_crash(leaf)), None)
    if crash is not None:
        died = Measurement(
            what=DIED,
            observed=1,
            threshold=Threshold(comparison=Comparison.EQUAL, limit=0),
            counterexample=True,
        )
        said = str(crash).partition("\n")[0]
        return Findings(criteria=[judged(which, [died], [], links=[log], explanation=f"{said}.") for which in wanted])
    why = next((str(leaf) for leaf in _leaves(error)), str(error)).partition("\n")[0] or type(error).__name__
    sentence = f"The phase “{phase.name}” broke off: {why}"
    return Findings(criteria=[unmeasured(which, sentence, links=[log]) for which in wanted], problems=[sentence])


def _is_crash(error: Exception) -> bool:
    return isinstance(error, ProcessDied) and error.name.startswith(STACK) and error.returncode not in REFUSED


def _leaves(error: Exception) -> Iterator[Exception]:
    """The exceptions inside groups (a task group raises one), or the exception itself."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
