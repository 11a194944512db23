"""Kills what the harness started once the harness is gone, however it went, SIGKILL included.

Run as a program of its own by `Processes`: it reads `+PGID` and `-PGID` lines from its standard input and, at end of
file or when its parent has changed, kills the process groups that are still listed. A pipe is used and not
PR_SET_PDEATHSIG because the latter fires when the *thread* that forked ends, and leaves grandchildren alive.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal


def groups_left() -> set[int]:
    """Follow the list until the harness is gone; answer the groups it left behind."""
    parent = os.getppid()
    listed: set[int] = set()
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], 0.5)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            (listed.add if line[:1] == b"+" else listed.discard)(int(line[1:]))
    return listed


def main() -> None:
    """Outlive the terminal, then clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for group in groups_left():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
