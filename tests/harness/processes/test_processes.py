import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.processes import (
    EnvironmentFailure,
    Launch,
    NotReady,
    ProcessDied,
    Processes,
    free_port,
    http_ok,
    log_says,
    services,
)

SLEEPER = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)",
)
PARENT = (
    sys.executable,
    "-c",
    (
        "import subprocess,sys,time; c=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']);"
        "print('child', c.pid, flush=True); time.sleep(60)"
    ),
)


def gone(pid: int, within_s: float = 5) -> bool:
    limit = time.monotonic() + within_s
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_process_is_ready_when_its_probe_says_so_and_gone_after_the_context(tmp_path: Path) -> None:
    port = free_port()
    server = Launch(
        name="server",
        command=(sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"),
        probe=http_ok("127.0.0.1", port, "/"),
        port=port,
    )
    with Processes(tmp_path) as processes:
        process = processes.start(server)
        assert http_ok("127.0.0.1", port, "/")(process)
        assert processes.pids() == {"server": process.pid}
        pid = process.pid
    assert gone(pid)
    assert "GET /" in (tmp_path / "server.log").read_text()


def test_an_early_exit_is_noticed_at_once_with_the_last_lines_of_the_log(tmp_path: Path) -> None:
    dying = Launch(
        name="dying",
        command=(sys.executable, "-c", "print('first'); print('the port is in use'); raise SystemExit(3)"),
        probe=log_says("never"),
        ready_s=60,
    )
    began = time.monotonic()
    with Processes(tmp_path) as processes, pytest.raises(ProcessDied, match="the port is in use") as caught:
        processes.start(dying)
    assert time.monotonic() - began < 20
    assert caught.value.returncode == 3


def test_a_process_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        with pytest.raises(NotReady, match="slow was not ready within"):
            processes.start(Launch(name="slow", command=SLEEPER, probe=log_says("ready"), ready_s=0.3))
        assert not processes["slow"].alive


def test_a_program_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(EnvironmentFailure, match="ghost cannot be started"):
        processes.start(Launch(name="ghost", command=("no-such-program-here",)))


def test_one_deaf_to_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start(Launch(name="deaf", command=DEAF, probe=log_says("here")))
        assert process.stop(grace_s=0.2) == -signal.SIGKILL


def test_a_stopped_process_still_hears_that_it_should_end(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start(Launch(name="frozen", command=SLEEPER, probe=log_says("here")))
        process.signal(signal.SIGSTOP)
        assert process.stop(grace_s=5) == -signal.SIGTERM


def test_a_death_that_nobody_ordered_is_told_by_check_and_an_ordered_one_is_not(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        victim = processes.start(Launch(name="victim", command=SLEEPER, probe=log_says("here")))
        ordered = processes.start(Launch(name="ordered", command=SLEEPER, probe=log_says("here")))
        ordered.kill()
        processes.check()
        os.kill(victim.pid, signal.SIGKILL)
        assert gone(victim.pid)
        with pytest.raises(ProcessDied, match="victim was killed by signal 9"):
            processes.check()


@pytest.mark.parametrize("what", ["kill", "terminate", "spawn"])
def test_a_death_that_nobody_ordered_is_not_excused_by_what_is_done_to_the_process_afterwards(
    tmp_path: Path, what: str
) -> None:
    with Processes(tmp_path) as processes:
        victim = processes.start(Launch(name="victim", command=SLEEPER, probe=log_says("here")))
        os.kill(victim.pid, signal.SIGKILL)
        assert gone(victim.pid)
        getattr(victim, what)()
        with pytest.raises(ProcessDied, match="victim was killed by signal 9 on its own"):
            processes.check()
        assert len(victim.own_exits) == 1


def test_the_successor_of_a_process_that_died_carries_its_death(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        launch = Launch(name="victim", command=SLEEPER, probe=log_says("here"))
        first = processes.start(launch)
        os.kill(first.pid, signal.SIGKILL)
        assert gone(first.pid)
        processes.start(launch)
        assert [error.name for error in processes.died()] == ["victim"]


def test_restart_continues_the_log_and_waits_for_the_new_readiness(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start(Launch(name="again", command=SLEEPER, probe=log_says("here")))
        first = process.pid
        process.kill()
        process.restart()
        assert process.pid != first
        assert process.log.read_text() == "here\nhere\n"
        assert process.log_text() == "here\n"


def test_grandchildren_go_too(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start(Launch(name="parent", command=PARENT, probe=log_says("child")))
        child = int(process.log_text().split()[1])
    assert gone(child)


def harness_that_ends(how: str, folder: Path) -> str:
    return (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from harness.processes import Launch, Processes, log_says\n"
        f"processes = Processes(Path({str(folder)!r}))\n"
        f"p = processes.start(Launch(name='parent', command={PARENT!r}, probe=log_says('child')))\n"
        f"{how}\n"
    )


@pytest.mark.parametrize(
    "how",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
        "raise ValueError('the harness has a bug')",
        "os._exit(0)",
    ],
)
def test_nothing_outlives_the_harness_however_it_ends(how: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run(
        [sys.executable, "-c", harness_that_ends(how, tmp_path)],
        env=environment,
        timeout=60,
        capture_output=True,
        check=False,
    )
    child = int((tmp_path / "parent.log").read_text().split()[1])
    assert gone(child)


async def test_several_start_at_once_and_the_first_failure_is_told(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        launches = [Launch(name=f"p{n}", command=SLEEPER, probe=log_says("here")) for n in range(3)]
        started = await processes.astart_all(launches)
        assert [process.name for process in started] == ["p0", "p1", "p2"]
        bad = Launch(name="bad", command=(sys.executable, "-c", "raise SystemExit(2)"), probe=log_says("x"))
        endless = Launch(name="endless", command=SLEEPER, probe=log_says("never"))
        with pytest.raises(ProcessDied, match="bad ended with status 2"):
            await asyncio.wait_for(processes.astart_all([endless, bad]), 20)
        assert not processes["endless"].alive


def test_children_do_not_inherit_what_steers_the_users_own_stack(tmp_path: Path) -> None:
    show = (sys.executable, "-c", "import os; print(sorted(os.environ)); print('end', flush=True); input()")
    with Processes(tmp_path, environment={"PATH": "/usr/bin", "REDIS_URL": "redis://live"}) as processes:
        processes.start(Launch(name="show", command=show, probe=None))
        limit = time.monotonic() + 10
        while "end" not in processes["show"].log_text() and time.monotonic() < limit:
            time.sleep(0.02)
        assert "REDIS_URL" not in processes["show"].log_text()
        assert "PATH" in processes["show"].log_text()


def test_an_overlay_comes_before_the_tree(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    (overlay / "seeded").mkdir(parents=True)
    (overlay / "seeded" / "__main__.py").write_text(
        "print('from the overlay', flush=True)\nimport time; time.sleep(60)"
    )
    launch = services.module_launch("seeded", [], name="seeded", probe=log_says("from the overlay"), overlay=overlay)
    with Processes(tmp_path / "run") as processes:
        assert processes.start(launch).alive
