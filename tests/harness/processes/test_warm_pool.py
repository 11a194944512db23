import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from harness.processes import Launch, ProcessDied, Processes, log_says, services
from harness.processes.services import python_path
from harness.processes.warm_pool import Forked, WarmStarts, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="only Linux hands orphans to another process than the first")
REFUSED = "HUBGATE_LEASE_MS must be a whole number, not 'soon'."


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path, warm=True) as running:
        yield running


def api(**settings: str) -> Launch:
    return services.api(redis_url="redis://127.0.0.1:1/0", environment=settings)


def test_a_forked_process_ends_as_one_that_was_started_by_itself(processes: Processes, tmp_path: Path) -> None:
    for warm in (True, False):
        with Processes(tmp_path / str(warm), warm=warm) as running, pytest.raises(ProcessDied) as died:
            running.start(api(HUBGATE_LEASE_MS="soon"))
        assert (died.value.returncode, REFUSED in str(died.value)) == (2, True)


def test_it_is_a_child_of_ours_in_a_group_of_its_own_and_is_killed_with_it(processes: Processes) -> None:
    launch = services.worker("waits", redis_url="redis://127.0.0.1:1/0")
    launch = structs.replace(launch, probe=log_says("redis_away"))
    process = processes.start(launch)
    assert process.alive
    process.signal(signal.SIGSTOP)
    assert process.alive
    process.kill()
    assert process.returncode == -signal.SIGKILL
    assert processes.start(launch).stop() == 0, "told to stop in order while it waits for Redis"


def test_a_hub_is_forked_and_answers(processes: Processes) -> None:
    hub = processes.start(services.hub())
    assert isinstance(hub._popen, Forked)
    assert hub.stop() == 0


def test_another_program_is_started_by_itself(processes: Processes) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    process = processes.start(Launch(name="sleeper", command=command))
    process.kill()
    assert isinstance(process._popen, subprocess.Popen)


def test_a_stack_that_cannot_be_imported_is_started_by_itself_and_says_so(processes: Processes, tmp_path: Path) -> None:
    package = tmp_path / "overlay" / "new_stack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('broken on purpose')\n")
    for _ in range(3):  # the process that should have imported it is gone by then, and what it was asked is not read
        with pytest.raises(ProcessDied, match="broken on purpose"):
            processes.start(services.api(redis_url="redis://127.0.0.1:1/0", overlay=tmp_path / "overlay"))


def test_it_has_the_time_zone_that_it_is_started_with(tmp_path: Path) -> None:
    (tmp_path / "tells_the_zone.py").write_text("import time\nprint(time.localtime(0)[3:5])\n")
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), python_path())), "TZ": "UTC"}
    starts = WarmStarts(environment)
    try:
        starts.run("new_stack.api", ["--help"], environment)
        for zone, said in (("NPT-5:45", "(5, 45)\n"), ("UTC", "(0, 0)\n")):
            assert starts.run("tells_the_zone", [], environment | {"TZ": zone}) == (0, said)
    finally:
        starts.close()


def test_a_run_to_the_end_tells_its_status_and_all_that_was_said() -> None:
    environment = {"PYTHONPATH": python_path()}
    starts = WarmStarts(environment)
    try:
        for _ in range(2):
            status, said = starts.run("new_stack.api", ["--port=65536"], environment)
            assert (status, said) == (2, "The port must be between 0 and 65535, not 65536.\n")
            assert starts.run("new_stack.api", ["--help"], environment)[0] == 0
    finally:
        starts.close()
