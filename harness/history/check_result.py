"""What a checker answers, and the limits it judges by."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.machine_time import MachineTime


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take in the run that is judged. All in ms; the defaults are the stack's own settings."""

    lease_ms: float = 15_000
    recovery_slack_ms: float = 2_000
    """A lost worker's job has to move again within the lease and this."""
    stuck_after_ms: float = 20_000
    """A job that has not ended and shows no sign of life for so long, at the end of the run, is stuck."""
    delivery_grace_ms: float = 2_000
    """An update is owed to a subscriber who stayed so long after it happened."""
    cancel_within_ms: float = 3_000
    """A cancelled job's worker has to be free again within this."""
    clock_slack_ms: float = 100
    """How far two observers' clocks, or an act and its observation, may be apart."""
    order_window_ms: float = 0
    """For the order of claims: a job has to have waited so long before the claim to have had a right to it.

    0 where the log is the queue's own total order (the stack); a hub that first offers a job and then receives the
    claim needs the time between the two.
    """
    retry_backoff_ms: float = 0
    """The least delay before a retry; 0: not judged."""
    max_retries: int = 3
    """Where the submission has none."""
    max_deliveries: int = 10
    """After so many lost workers a job may fail for good."""


class Overdue(msgspec.Struct, frozen=True):
    """What was waited for between these moments, in ms, and how long it may take."""

    from_ms: float
    to_ms: float
    allowed_ms: float


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken promise: which job, in which way, said in a sentence."""

    job_id: str
    form: str
    """The way of going wrong, one word or two, to count by."""
    sentence: str
    at_ms: float
    others: tuple[str, ...] = ()
    """Other jobs that are part of it (who overtook)."""
    subscriber: str | None = None
    overdue: Overdue | None = None
    """Where it rests on time alone: something did not come soon enough."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one checker found."""

    name: str
    examined: int
    """How many cases (jobs, claims, subscriptions, kills) it could judge: the evidence behind a clean answer."""
    violations: tuple[Violation, ...] = ()
    undecided: tuple[Violation, ...] = ()
    """What would be violations, had others not had the machine meanwhile (`without_the_starved`)."""
    counts: dict[str, int] = {}
    figures: dict[str, tuple[float, ...]] = {}
    """Measured times in ms, by what they are."""
    doubts: tuple[str, ...] = ()
    """Why the answer is worth less than it seems: entries of the log were lost, a source is missing."""

    @property
    def clean(self) -> bool:
        """No violation, and none that could not be decided. Says nothing where `examined` is 0."""
        return not self.violations and not self.undecided

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs in trouble, each once, in the order found."""
        return tuple(dict.fromkeys(violation.job_id for violation in (*self.violations, *self.undecided)))

    @property
    def forms(self) -> dict[str, int]:
        """How many violations of each form."""
        forms: dict[str, int] = {}
        for violation in self.violations:
            forms[violation.form] = forms.get(violation.form, 0) + 1
        return forms


class Findings:
    """A checker at work: it counts the cases that it could judge, and accuses."""

    def __init__(self, name: str) -> None:
        self.examined = 0
        self._name = name
        self._violations: list[Violation] = []

    def accuse(self, job_id: str | None, form: str, at_ms: float, sentence: str, **more: Any) -> None:
        """Say that a promise was broken. See `Violation`."""
        self._violations.append(Violation(job_id=job_id or "", form=form, at_ms=at_ms, sentence=sentence, **more))

    def result(self, **more: Any) -> CheckResult:
        """The checker's answer. See `CheckResult`."""
        return CheckResult(name=self._name, examined=self.examined, violations=tuple(self._violations), **more)


def without_the_starved(result: CheckResult, machine: MachineTime) -> CheckResult:
    """The same with those violations apart that rest on time alone, in which the machine was others'."""

    def explained(violation: Violation) -> bool:
        one = violation.overdue
        return one is not None and machine.explains(one.from_ms / 1000, one.to_ms / 1000, one.allowed_ms / 1000)

    undecided = tuple(filter(explained, result.violations))
    violations = tuple(one for one in result.violations if one not in undecided)
    return msgspec.structs.replace(result, violations=violations, undecided=undecided)
