"""Histories: what everybody saw, put in one file, and the checkers that find broken promises in it."""

from harness.history.check_result import CheckResult as CheckResult
from harness.history.check_result import Limits as Limits
from harness.history.check_result import Violation as Violation
from harness.history.check_result import without_the_starved as without_the_starved
from harness.history.checkers import CHECKERS as CHECKERS
from harness.history.checkers import FinalState as FinalState
from harness.history.checkers import check_all as check_all
from harness.history.checkers import final_state_of as final_state_of
from harness.history.events import HistoryEvent as HistoryEvent
from harness.history.events import Source as Source
from harness.history.events import client_event as client_event
from harness.history.events import journal_event as journal_event
from harness.history.events import log_event as log_event
from harness.history.file import Bounds as Bounds
from harness.history.file import Clock as Clock
from harness.history.file import HistoryFileError as HistoryFileError
from harness.history.file import HistoryWriter as HistoryWriter
from harness.history.file import read_events as read_events
from harness.history.file import write_events as write_events
from harness.history.history import History as History
from harness.history.history import JobHistory as JobHistory
from harness.history.timelines import explain as explain
from harness.history.timelines import timeline as timeline
