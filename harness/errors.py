"""What keeps the harness from running; each with a sentence for the person at the terminal."""

from __future__ import annotations

from typing import Final


class CouldNotRun(Exception):  # noqa: N818 - the state is the name
    """The root: nothing was judged. The command line answers with exit status 3."""


class WrongUsage(CouldNotRun):
    """What was asked for cannot be meant: a file with a mistake in it, a name that nothing has. Exit status 2."""


class EnvironmentFailure(CouldNotRun):
    """The environment could not be put up, or a part of it died: the run says nothing about the software judged."""


BEFORE_READY: Final = "before it was ready"


class ProcessDied(EnvironmentFailure):
    """A process ended that nobody had stopped. `name` and `returncode` say which and how."""

    def __init__(self, name: str, returncode: int, when: str, tail: str) -> None:
        how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended with status {returncode}"
        shown = f"; the last lines of its log:\n{tail}" if tail else "; its log is empty"
        super().__init__(f"{name} {how} {when}{shown}")
        self.name = name
        self.returncode = returncode
        self.was_ready = when != BEFORE_READY


class NotReady(EnvironmentFailure):
    """A process lives but did not become ready in time."""


class RedisUnusable(EnvironmentFailure):
    """There is no Redis to work with: unreachable, too old, or no engine to start one in."""
