"""Writes down, once a second, what the machine did: how much of it the run had, and how much others.

Run as a program of its own by `MachineWatch`: `machine_watcher.py ROOT FILE`. It runs beside the run, at its priority,
and shares no interpreter with it. The processes of the run are `ROOT`, all below it, and all in a session that one
below it began, whoever their parents are: what the run started is no excuse for it. Children that have ended are in
their parents' sums. It ends at the end of its standard input.

A line has `at`, in seconds since the epoch; how many seconds `late` it is; and in seconds since some moment the
processor time `used` by all and by the hypervisor for others, that was `idle`, and that was `own`, and how long the
run's processes `waited` for a processor that others had, or one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import sys
import time

EVERY_S = 1.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def machine() -> tuple[float, float]:
    """Processor time that all processes had, with what the hypervisor gave to others; and that nobody wanted."""
    _, user, nice, system, idle, waiting, _, _, stolen, *_ = read("/proc/stat").partition(b"\n")[0].split()
    return (int(user) + int(nice) + int(system) + int(stolen)) * TICK_S, (int(idle) + int(waiting)) * TICK_S


class Run:
    """The process at the root, all below it, and all in the sessions that were begun there."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._outside = os.getsid(root)
        self._sessions: set[int] = set()
        self._orphans: dict[int, int] = {}
        self._gone = 0
        self._waits: dict[int, float] = {}
        self.own = 0.0
        self.waited = 0.0

    def look(self) -> None:
        """Bring the sums up to now."""
        parents: dict[int, int] = {}
        sessions: dict[int, int] = {}
        spent: dict[int, int] = {}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):  # noqa: PTH208
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
                parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
                spent[pid] = sum(map(int, fields[11:15]))
        below = {pid for pid in parents if self._is_below(pid, parents)}
        self._sessions |= {sessions[pid] for pid in below} - {self._outside}
        orphans = {pid: spent[pid] for pid in parents if sessions[pid] in self._sessions and pid not in below}
        self._gone += sum(had for pid, had in self._orphans.items() if pid not in parents)
        self._orphans = orphans
        mine = [*below, *orphans]
        self.own = (sum(spent[pid] for pid in mine) + self._gone) * TICK_S
        waits: dict[int, float] = {}
        for pid in mine:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                waits[pid] = int(read(f"/proc/{pid}/schedstat").split()[1]) / 1e9
        self.waited += sum(max(0.0, now - self._waits.get(pid, 0.0)) for pid, now in waits.items())
        self._waits = waits

    def _is_below(self, pid: int, parents: dict[int, int]) -> bool:
        seen = set()
        while pid != self._root:
            if pid in seen or pid not in parents:
                return False
            seen.add(pid)
            pid = parents[pid]
        return True


def read(path: str) -> bytes:
    """A small file of the kernel's."""
    with open(path, "rb") as file:  # noqa: PTH123 - a program of few imports
        return file.read()


def main() -> None:
    """A line a second until nobody writes to the standard input any more."""
    run, path = Run(int(sys.argv[1])), sys.argv[2]
    offset = time.time() - time.monotonic()  # as the clocks of histories: it never jumps
    due = time.monotonic()
    with open(path, "a", buffering=1, encoding="ascii") as out:  # noqa: PTH123
        fcntl.flock(out, fcntl.LOCK_EX)  # it goes with this process, however that ends
        ended = False
        while not ended:
            now = time.monotonic()
            used, idle = machine()
            run.look()
            line = {"at": offset + now, "late": max(0.0, now - due), "used": used, "idle": idle}
            out.write(json.dumps(line | {"own": run.own, "waited": run.waited}) + "\n")
            due = now + EVERY_S
            ended = bool(select.select([0], [], [], EVERY_S)[0])


if __name__ == "__main__":
    main()
