"""Every acknowledged job is somewhere: the books have to balance, and no job may be lost or stuck."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from harness.history.check_result import CheckResult, Findings, Limits, Overdue
from harness.history.events import HistoryEvent, Source
from harness.history.history import History, JobHistory
from harness.protocols import ENDED_STATES, ENDS, EventKind, JobState


class FinalState(StrEnum):
    """Where an acknowledged job is at the end of the run; each is in exactly one."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    RUNNING = "running"
    LOST = "lost"


FINAL_STATES: Final = {
    JobState.PENDING: FinalState.PENDING,
    JobState.CLAIMED: FinalState.RUNNING,
    JobState.COMPLETED: FinalState.COMPLETED,
    JobState.FAILED: FinalState.FAILED,
    JobState.CANCELLED: FinalState.CANCELLED,
}


class Loss(msgspec.Struct, frozen=True):
    """Why a job counts as lost."""

    form: str
    sentence: str
    overdue: Overdue | None = None


def final_state_of(job: JobHistory, history: History, limits: Limits) -> tuple[FinalState, Loss | None]:
    """Where an acknowledged job is: what the server last answered, else its log, else what subscribers received."""
    loss = _loss(job, history, limits)
    return (FinalState.LOST, loss) if loss else (FINAL_STATES[_state(job)], None)


def _state(job: JobHistory) -> JobState:
    state = job.survey.state if job.survey else None
    return state if state and state is not JobState.UNKNOWN else job.log_state or _delivered_state(job)


def _delivered_state(job: JobHistory) -> JobState:
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
    delivered = any(event.kind is EventKind.DELIVERED for event in job.events)
    if survey is None and not job.log and history.log and not history.log_gaps and not delivered:
        return Loss("never queued", "acknowledged, but the system's own account never names it")
    return _dropped(job, history, limits)


def _dropped(job: JobHistory, history: History, limits: Limits) -> Loss | None:
    """Lost in the middle: it is in no queue, or held by a worker that is no more."""
    quiet_ms = history.ended_ms - job.last_sign_ms
    due_ms = limits.lease_ms + limits.recovery_slack_ms
    if job.log_state is JobState.CLAIMED and quiet_ms > due_ms:
        lease = job.leases[-1] if job.leases else None
        if lease and _killed_since(lease.worker_id, job.last_sign_ms, history):
            sentence = f"its worker {lease.worker_id} was killed {quiet_ms:.0f} ms ago and still holds it"
            return Loss("held by the dead", sentence, Overdue(job.last_sign_ms, history.ended_ms, due_ms))
    if quiet_ms > limits.stuck_after_ms and job.log and not _may_be_delayed(job):
        overtaker = _overtaken_by(job, history, job.last_sign_ms + limits.stuck_after_ms / 2)
        if overtaker and job.log_state is JobState.PENDING:
            return Loss("in no queue", f"jobs that rank behind it are still taken ({overtaker.job_id}), it is not")
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
    """Counts per state, which add up to the acknowledged jobs; the server's word and its log have to agree."""
    found = Findings("accounting")
    found.examined = len(history.acknowledged)
    counts = {"acknowledged": found.examined} | dict.fromkeys((str(state) for state in FinalState), 0)
    for job in history.acknowledged:
        state, _ = final_state_of(job, history, limits)
        counts[state] += 1
        _contradiction(job, history, limits, found)
    return found.result(counts=counts, doubts=_doubts(history))


def _contradiction(job: JobHistory, history: History, limits: Limits, found: Findings) -> None:
    """Where the server's answer and its own log contradict each other (another end is `ended_twice`'s matter)."""
    survey, told = job.survey, job.log_state
    if not survey or survey.state in (None, JobState.UNKNOWN) or history.log_gaps or not history.log:
        return
    if survey.at_ms < job.last_sign_ms + limits.clock_slack_ms:
        return
    if survey.state in ENDED_STATES and told not in ENDED_STATES:
        says = f"the server says {survey.state}, but there is no event of its end"
        slack_ms = limits.clock_slack_ms
        waited = Overdue(survey.at_ms, survey.at_ms + slack_ms, slack_ms)  # the recorder of the log may be behind
        found.accuse(job.id, "ended unannounced", survey.at_ms, says, overdue=waited)
    elif told in ENDED_STATES and survey.state not in ENDED_STATES:
        says = f"its log says {told}, but the server still says {survey.state}"
        answered = Overdue(job.last_sign_ms, survey.at_ms, limits.clock_slack_ms)
        found.accuse(job.id, "end forgotten", survey.at_ms, says, overdue=answered)


def check_lost(history: History, limits: Limits) -> CheckResult:
    """No acknowledged job is lost; a loss says whether it was acknowledged in the run's beginning, middle or end."""
    found = Findings("lost")
    counts = {"beginning": 0, "middle": 0, "end": 0}
    owed = history.acknowledged
    found.examined = len(owed)
    for index, job in enumerate(owed):
        _, loss = final_state_of(job, history, limits)
        if loss:
            third = ("beginning", "middle", "end")[min(2, index * 3 // len(owed))]
            counts[third] += 1
            sentence = f"{loss.sentence} (acknowledged in the {third} of the run)"
            found.accuse(job.id, loss.form, (job.acked or job.events[0]).at_ms, sentence, overdue=loss.overdue)
    return found.result(counts=counts, doubts=_doubts(history))


def check_stuck(history: History, limits: Limits) -> CheckResult:
    """A job that neither ended nor moved for long at the end of the run, and is not known to be lost."""
    found = Findings("stuck")
    found.examined = len(history.acknowledged)
    for job in history.acknowledged:
        state, _ = final_state_of(job, history, limits)
        quiet_ms = history.ended_ms - job.last_sign_ms
        if state not in (FinalState.PENDING, FinalState.RUNNING) or quiet_ms <= limits.stuck_after_ms:
            continue
        if job.submit and job.submit.hangs and state is FinalState.RUNNING:
            continue
        sentence = f"{state} and without a sign of life for {quiet_ms:.0f} ms at the end of the run"
        waited = Overdue(job.last_sign_ms, history.ended_ms, limits.stuck_after_ms)
        found.accuse(job.id, str(state), job.last_sign_ms, sentence, overdue=waited)
    return found.result()


def check_ended_twice(history: History, limits: Limits) -> CheckResult:
    """A job ends once, and everybody learns of the same end."""
    found = Findings("ended_twice")
    for job in history.jobs.values():
        found.examined += any(event.kind in ENDS for event in job.log)
        ending: HistoryEvent | None = None
        for event in job.log:
            if event.kind is EventKind.RETRIED:
                ending = None
            elif event.kind in ENDS and ending:
                form = "same end again" if ending.kind is event.kind else "another end"
                later_ms = event.at_ms - ending.at_ms
                sentence = f"{ending.kind} (attempt {ending.attempt}) and {later_ms:.0f} ms later {event.kind}"
                found.accuse(job.id, form, event.at_ms, sentence)
            elif event.kind in ENDS:
                ending = event
        _another_end(job, limits, found)
    return found.result(doubts=_doubts(history))


def _another_end(job: JobHistory, limits: Limits, found: Findings) -> None:
    """The server's answer against the log's last end."""
    survey, told = job.survey, job.log_state
    if not survey or survey.state not in ENDED_STATES or told not in ENDED_STATES or survey.state is told:
        return
    if survey.at_ms >= job.last_sign_ms + limits.clock_slack_ms:
        found.accuse(job.id, "another end", survey.at_ms, f"its log says {told}, the server says {survey.state}")


def _doubts(history: History) -> tuple[str, ...]:
    doubts = []
    if not history.log:
        doubts.append("nobody recorded the system's own account")
    if history.log_gaps:
        doubts.append(f"the recorder of the log missed entries {history.log_gaps} times")
    if not any(event.kind is EventKind.STATUS and event.source is Source.API for event in history.events):
        doubts.append("nobody asked the server for the jobs' states at the end")
    return tuple(doubts)
