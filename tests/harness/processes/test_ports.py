from __future__ import annotations

import socket
import subprocess
import sys

from harness.processes import free_port, ports
from harness.processes.ports import RANGE_FILE, is_free


def test_a_port_in_use_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_a_free_port_is_none_that_a_connection_may_get_for_its_near_end() -> None:
    lowest = int(RANGE_FILE.read_text().split()[0])
    assert all(free_port() < lowest for _ in range(50))


def test_no_port_is_given_twice_though_nobody_listens_there_yet() -> None:
    drawn = [free_port() for _ in range(500)]
    assert len(set(drawn)) == len(drawn)


def test_what_a_process_that_runs_has_given_no_other_gives() -> None:
    """Between the answer and the listening of a server that starts there may be seconds."""
    begin = next(ports._PLACES)
    program = (
        "import itertools, sys; from harness.processes import ports;"
        f"ports._PLACES = itertools.count({begin}); print(*[ports.free_port() for _ in range(20)], flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        theirs = {int(port) for port in other.stdout.readline().split()}
        assert len(theirs) == 20
        assert theirs.isdisjoint(free_port() for _ in range(20))
        other.stdin.close()


def test_a_process_that_has_given_very_many_leaves_others_the_rest() -> None:
    program = (
        "from harness.processes import free_port; print([free_port() for _ in range(1000)][0], flush=True);input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin
        assert other.stdout
        first = int(other.stdout.readline())
        here = "import itertools; from harness.processes import ports;"
        here += f"ports._PLACES = itertools.count({first} - ports.LOWEST); print(ports.free_port())"
        found = subprocess.run([sys.executable, "-c", here], capture_output=True, check=True)
        assert int(found.stdout) != first
        other.stdin.close()
