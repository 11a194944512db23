"""Histories: what everybody saw, put in one file, and the checkers that find broken promises in it."""

from harness.history.check_result import CheckResult, Limits, Violation
from harness.history.checkers import CHECKERS, FinalState, check_all, final_state_of
from harness.history.events import HistoryEvent, Source, client_event, journal_event, log_event
from harness.history.file import Bounds, Clock, HistoryFileError, HistoryWriter, read_events, write_events
from harness.history.history import History, JobHistory
from harness.history.timelines import explain, timeline

__all__ = [
    "CHECKERS",
    "Bounds",
    "CheckResult",
    "Clock",
    "FinalState",
    "History",
    "HistoryEvent",
    "HistoryFileError",
    "HistoryWriter",
    "JobHistory",
    "Limits",
    "Source",
    "Violation",
    "check_all",
    "client_event",
    "explain",
    "final_state_of",
    "journal_event",
    "log_event",
    "read_events",
    "timeline",
    "write_events",
]
