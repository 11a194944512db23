"""Histories: what everybody saw, put in one file, and the checkers that find broken promises in it."""

from harness.history.checkers import CHECKERS, Place, check_all, place_of
from harness.history.clock import Clock
from harness.history.events import HistoryEvent, Source, client_event, log_event
from harness.history.file import Bounds, HistoryFileError, HistoryWriter, read_events, write_events
from harness.history.history import History, JobHistory
from harness.history.timelines import explain, timeline
from harness.history.verdicts import CheckResult, Limits, Violation

__all__ = [
    "CHECKERS",
    "Bounds",
    "CheckResult",
    "Clock",
    "History",
    "HistoryEvent",
    "HistoryFileError",
    "HistoryWriter",
    "JobHistory",
    "Limits",
    "Place",
    "Source",
    "Violation",
    "check_all",
    "client_event",
    "explain",
    "log_event",
    "place_of",
    "read_events",
    "timeline",
    "write_events",
]
