"""A process of the stack from its arguments to its exit status: the API's and the worker's alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import uvloop

from new_stack.queue.errors import QueueError
from new_stack.settings import SettingsError

USAGE: Final = 2
COULD_NOT_RUN: Final = 3

Start = Callable[[Sequence[str], Mapping[str, str]], Coroutine[Any, Any, int]]
"""The work of a process, from its arguments and its environment. Raises SettingsError where they are wrong."""


def run_process(start: Start, *hindrances: type[Exception], says: str = "") -> int:
    """Run it; answers its exit status: its own, 2 for wrong settings, 3 where it could not run.

    It cannot for an error of the queue or for one of the `hindrances`; each error is told in one sentence, behind what
    `says` whose it is.
    """
    failures: tuple[type[Exception], ...] = (QueueError, *hindrances)
    try:
        return uvloop.run(start(sys.argv[1:], os.environ))
    except SettingsError as error:
        sys.stderr.write(f"{says}{error}\n")
        return USAGE
    except failures as error:
        sys.stderr.write(f"{says}{error.detail if isinstance(error, QueueError) else error}\n")
        return COULD_NOT_RUN
