"""Every acknowledged job is somewhere: the books have to balance, and no job may be lost or stuck."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from harness.history.events import HistoryEvent, Source
from harness.history.history import History, JobHistory
from harness.history.verdicts import CheckResult, Limits, Violation
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobState


class Place(StrEnum):
    """Where an acknowledged job is at the end of the run; each is in exactly one."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    RUNNING = "running"
    LOST = "lost"


PLACES: Final = {
    JobState.PENDING: Place.PENDING,
    JobState.CLAIMED: Place.RUNNING,
    JobState.COMPLETED: Place.COMPLETED,
    JobState.FAILED: Place.FAILED,
    JobState.CANCELLED: Place.CANCELLED,
}


class Loss(msgspec.Struct, frozen=True):
    """Why a job counts as lost."""

    form: str
    sentence: str


def place_of(job: JobHistory, history: History, limits: Limits) -> tuple[Place, Loss | None]:
    """Where an acknowledged job is: what the server last told, else its log, else what subscribers heard."""
    loss = _loss(job, history, limits)
    if loss:
        return Place.LOST, loss
    state = job.survey.state if job.survey else None
    if state is None or state is JobState.UNKNOWN:
        state = job.log_state or _heard(job)
    return PLACES[state], None


def _heard(job: JobHistory) -> JobState:
    """The state that follows from what was delivered about the job."""
    words = {kind: state for state, kind in ENDED_STATES.items()}
    for event in reversed(job.events):
        if event.kind is EventKind.DELIVERED and event.of in words:
            return words[event.of]
        if event.kind is EventKind.DELIVERED and event.of in (EventKind.CLAIMED, EventKind.PROGRESS):
            return JobState.CLAIMED
    return JobState.PENDING


def _loss(job: JobHistory, history: History, limits: Limits) -> Loss | None:
    survey = job.survey
    if survey and survey.state is JobState.UNKNOWN:
        told = f"; its log says {job.log_state}" if job.log_state else ""
        return Loss("unknown", f"acknowledged, but at the end of the run the server knows no such job{told}")
    if _state(job) not in (JobState.PENDING, JobState.CLAIMED):
        return None
    if survey is None and not job.log and history.log and not history.log_gaps and not _was_delivered(job):
        return Loss("never queued", "acknowledged, but the system's own account never names it")
    return _dropped(job, history, limits)


def _state(job: JobHistory) -> JobState:
    survey = job.survey
    if survey and survey.state:
        return survey.state
    return job.log_state or _heard(job)


def _was_delivered(job: JobHistory) -> bool:
    return any(event.kind is EventKind.DELIVERED for event in job.events)


def _dropped(job: JobHistory, history: History, limits: Limits) -> Loss | None:
    """Lost in the middle: it is in no line, or held by a worker that is no more."""
    quiet_ms = history.ended_ms - job.last_sign_ms
    if job.log_state is JobState.CLAIMED and quiet_ms > limits.lease_ms + limits.recovery_slack_ms:
        hold = job.holds[-1] if job.holds else None
        if hold and _killed_since(hold.worker_id, job.last_sign_ms, history):
            return Loss(
                "held by the dead", f"its worker {hold.worker_id} was killed {quiet_ms:.0f} ms ago and still holds it"
            )
    if quiet_ms > limits.stuck_after_ms and job.log and not _may_be_delayed(job):
        overtaker = _overtaken_by(job, history, job.last_sign_ms + limits.stuck_after_ms / 2)
        if overtaker and job.log_state is JobState.PENDING:
            return Loss("in no line", f"jobs that rank behind it are still taken ({overtaker.job_id}), it is not")
    return None


def _may_be_delayed(job: JobHistory) -> bool:
    return job.log[-1].kind is EventKind.ATTEMPT_FAILED


def _killed_since(worker_id: str, since_ms: float, history: History) -> bool:
    killed = (e for e in history.worker_faults(worker_id) if e.kind is EventKind.KILLED and e.worker_id == worker_id)
    return any(event.at_ms >= since_ms for event in killed)


def _overtaken_by(job: JobHistory, history: History, after_ms: float) -> HistoryEvent | None:
    first = job.log[0]
    for event in reversed(history.log):
        if event.at_ms < after_ms:
            return None
        if event.kind is EventKind.CLAIMED and event.service == first.service:
            other = history.jobs[event.job_id or ""].log[0]
            if (other.priority, -other.at_ms) < (first.priority, -first.at_ms):
                return event
    return None


def check_accounting(history: History, limits: Limits) -> CheckResult:
    """Counts per place, which add up to the acknowledged jobs; the server's word and its log have to agree."""
    counts = dict.fromkeys((str(place) for place in Place), 0)
    violations: list[Violation] = []
    for job in history.acknowledged:
        place, _ = place_of(job, history, limits)
        counts[place] += 1
        violations += _contradiction(job, history, limits)
    return CheckResult(
        name="accounting",
        examined=len(history.acknowledged),
        violations=tuple(violations),
        counts={"acknowledged": len(history.acknowledged), **counts},
        doubts=_doubts(history),
    )


def _contradiction(job: JobHistory, history: History, limits: Limits) -> list[Violation]:
    """Where the server's answer and its own log tell different stories (another end is `ended_twice`'s matter)."""
    survey, told = job.survey, job.log_state
    if not survey or survey.state in (None, JobState.UNKNOWN) or history.log_gaps or not history.log:
        return []
    if survey.at_ms < job.last_sign_ms + limits.clock_slack_ms:
        return []
    if survey.state in ENDED_STATES and told not in ENDED_STATES:
        form, says = "ended unannounced", f"the server says {survey.state}, but no event told of its end"
    elif told in ENDED_STATES and survey.state not in ENDED_STATES:
        form, says = "end forgotten", f"its log says {told}, but the server still says {survey.state}"
    else:
        return []
    return [Violation(job_id=job.id, form=form, sentence=says, at_ms=survey.at_ms)]


def check_lost(history: History, limits: Limits) -> CheckResult:
    """No acknowledged job is lost; a loss says whether it was acknowledged in the run's beginning, middle or end."""
    violations = []
    counts = {"beginning": 0, "middle": 0, "end": 0}
    owed = history.acknowledged
    for index, job in enumerate(owed):
        place, loss = place_of(job, history, limits)
        if place is Place.LOST and loss:
            third = ("beginning", "middle", "end")[min(2, index * 3 // len(owed))]
            counts[third] += 1
            sentence = f"{loss.sentence} (acknowledged in the {third} of the run)"
            violations.append(
                Violation(job_id=job.id, form=loss.form, sentence=sentence, at_ms=(job.acked or job.events[0]).at_ms)
            )
    return CheckResult(
        name="lost", examined=len(owed), violations=tuple(violations), counts=counts, doubts=_doubts(history)
    )


def check_stuck(history: History, limits: Limits) -> CheckResult:
    """A job that neither ended nor moved for long at the end of the run, and is not known to be lost."""
    violations = []
    for job in history.acknowledged:
        place, _ = place_of(job, history, limits)
        quiet_ms = history.ended_ms - job.last_sign_ms
        if place not in (Place.PENDING, Place.RUNNING) or quiet_ms <= limits.stuck_after_ms:
            continue
        if job.submit and job.submit.hangs and place is Place.RUNNING:
            continue
        sentence = f"{place} and without a sign of life for {quiet_ms:.0f} ms at the end of the run"
        violations.append(Violation(job_id=job.id, form=str(place), sentence=sentence, at_ms=job.last_sign_ms))
    return CheckResult(name="stuck", examined=len(history.acknowledged), violations=tuple(violations))


def check_ended_twice(history: History, limits: Limits) -> CheckResult:
    """A job ends once, and everybody hears of the same end."""
    violations: list[Violation] = []
    for job in history.jobs.values():
        ending: HistoryEvent | None = None
        for event in job.log:
            if event.kind is EventKind.RETRIED:
                ending = None
            elif event.kind in ENDS and ending:
                violations.append(_second_end(job.id, ending, event))
            elif event.kind in ENDS:
                ending = event
        violations += _another_end(job, limits)
    examined = sum(1 for job in history.jobs.values() if any(event.kind in ENDS for event in job.log))
    return CheckResult(name="ended_twice", examined=examined, violations=tuple(violations), doubts=_doubts(history))


def _second_end(job_id: str, first: HistoryEvent, second: HistoryEvent) -> Violation:
    form = "same end again" if first.kind is second.kind else "another end"
    sentence = f"{first.kind} (attempt {first.attempt}) and {second.at_ms - first.at_ms:.0f} ms later {second.kind}"
    return Violation(job_id=job_id, form=form, sentence=sentence, at_ms=second.at_ms)


def _another_end(job: JobHistory, limits: Limits) -> list[Violation]:
    """The server's answer against the log's last end."""
    survey, told = job.survey, job.log_state
    if not survey or survey.state not in ENDED_STATES or told not in ENDED_STATES or survey.state is told:
        return []
    if survey.at_ms < job.last_sign_ms + limits.clock_slack_ms:
        return []
    sentence = f"its log says {told}, the server says {survey.state}"
    return [Violation(job_id=job.id, form="another end", sentence=sentence, at_ms=survey.at_ms)]


def _doubts(history: History) -> tuple[str, ...]:
    doubts = []
    if not history.log:
        doubts.append("nobody recorded the system's own account")
    if history.log_gaps:
        doubts.append(f"the recorder of the log missed entries {history.log_gaps} times")
    if not any(event.kind is EventKind.STATUS and event.source is Source.API for event in history.events):
        doubts.append("nobody asked the server for the jobs' states at the end")
    return tuple(doubts)
