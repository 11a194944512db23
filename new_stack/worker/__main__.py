"""`python -m new_stack.worker`: run one worker until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from new_stack.queue import Queue
from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.queue.settings import QueueSettings, SettingsError
from new_stack.worker.connectors.catalogue import names, parse_list
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.roster import Roster
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.worker import Worker

USAGE: Final = 2
COULD_NOT_RUN: Final = 3


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run a worker; answers the process's exit status: 0 stopped in order, 1 with jobs left behind, 2 or 3 not run."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, environment or os.environ)
        roster = Roster.build(settings.connectors)
    except SettingsError as error:
        print(f"hubgate worker: {error}", file=sys.stderr)
        return USAGE
    try:
        return run(settings, roster)
    except (QueueError, SettingsError) as error:
        print(f"hubgate worker: {error}", file=sys.stderr)
        return COULD_NOT_RUN


