"""The nemesis that draws: by the seed alone, each kind in its turn, never two of one part at once; all is healed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path

import pytest

from harness.errors import EnvironmentFailure
from harness.faults import ClockAhead, Drawn, Kind, Nemesis, Proxy, Reach, Signal, draw
from harness.faults import nemesis as nemeses
from harness.faults.drawn import PARTS
from harness.history import HistoryWriter
from harness.processes import Launch, Process, Processes, connect, log_says, start_valkey
from harness.processes.services import python_path

READY = "print('ready', flush=True); import time; time.sleep(600)"
CLOCK = "import time; print('ready', time.time(), flush=True); time.sleep(600)"
KINDS = (
    *(Kind.WORKERS_KILLED, Kind.WORKERS_STOPPED, Kind.CUT),
    *(Kind.REDIS_KILLED, Kind.REDIS_FULL, Kind.API_KILLED),
)


class Nothing(Nemesis):
    async def inject(self) -> None: ...

    async def heal(self) -> None: ...


class Within(Reach):
    """Nothing is broken by any of the kinds that are within reach."""

    def faults(self, writer: HistoryWriter, seed: int) -> dict[Kind, Callable[[], Nemesis]]:
        return {kind: lambda: Nothing(writer, seed=seed) for kind in KINDS if kind not in self.spared}


async def struck(reach: Reach, seed: int) -> list[tuple[Kind, ...]]:
    async with Drawn(reach, HistoryWriter(), seed=seed, pause_s=0, deck=KINDS) as nemesis:
        await nemesis.done()
    return nemesis.struck


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with Processes(tmp_path) as started:
        yield started


def launch(name: str, program: str = READY) -> Launch:
    environment = {"PYTHONPATH": python_path()}
    command = (sys.executable, "-c", program)
    return Launch(name=name, command=command, environment=environment, probe=log_says("ready"))


def test_the_seed_decides_what_is_drawn() -> None:
    def drawn(seed: int) -> list[tuple[Kind, ...]]:
        return list(islice(draw(KINDS, seed), 12))

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(5)}) == 5


def test_one_to_three_are_drawn_at_once() -> None:
    assert {len(kinds) for kinds in islice(draw(KINDS, 3), 50)} == {1, 2, 3}


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_has_its_turn_and_no_part_is_broken_twice_at_once(seed: int) -> None:
    drawn = list(islice(draw(KINDS, seed), len(KINDS)))
    assert {kind for kinds in drawn for kind in kinds} == set(KINDS)
    for kinds in drawn:
        parts = [PARTS[kind] for kind in kinds]
        assert len(parts) == len(set(parts)) <= 3


@pytest.mark.parametrize("seed", range(5))
async def test_both_sides_of_one_seed_draw_the_same_but_for_what_means_nothing_to_one(seed: int) -> None:
    ours = await struck(Within(), seed)
    theirs = await struck(Within(spared=frozenset({Kind.REDIS_FULL})), seed)
    assert {kind for kinds in ours for kind in kinds} == set(KINDS)
    without = [tuple(kind for kind in kinds if kind is not Kind.REDIS_FULL) for kinds in ours]
    assert theirs == [kinds for kinds in without if kinds]


class Endless(Nothing):
    async def heal(self) -> None:
        await asyncio.Event().wait()


async def test_what_cannot_be_made_good_is_told_as_the_environments_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemeses, "HEAL_S", 0.05)
    with pytest.raises(EnvironmentFailure, match="Endless could not make good"):
        async with Endless(HistoryWriter(), seed=1):
            pass


def test_what_is_spared_is_out_of_reach() -> None:
    reach = Reach(link=Proxy("127.0.0.1", 1, name="redis"), spared=frozenset({Kind.CUT}))
    assert reach.faults(HistoryWriter(), 1).keys() == {Kind.PARTITION, Kind.SLOW_LINK, Kind.HALF_OPEN}


def test_every_kind_belongs_to_a_part() -> None:
    assert PARTS.keys() == set(Kind)


async def test_all_that_it_reaches_is_broken_and_everything_is_whole_at_the_end(processes: Processes) -> None:
    valkey = start_valkey(processes, appendonly=True)
    workers = await processes.astart_all([launch(f"worker-{number}") for number in range(3)])
    servers = await processes.astart_all([launch("api")])
    writer = HistoryWriter()
    async with Proxy("127.0.0.1", valkey.port, name="redis") as link:
        reach = Reach(workers=workers, servers=servers, valkey=valkey, link=link, stopped_s=0.3)
        async with Drawn(reach, writer, seed=5, pause_s=0.05) as nemesis:
            await nemesis.done()
        assert await asyncio.to_thread(connect(f"redis://127.0.0.1:{link.port}").ping)
    assert {kind for kinds in nemesis.struck for kind in kinds} == nemesis.kinds
    assert nemesis.kinds == set(Kind) - {Kind.FAILOVER, Kind.FAILOVER_ORDERED}
    assert all(process.alive for process in (*workers, *servers))
    assert processes.died() == []


def clock_of(process: Process) -> float:
    """What a process took the time for at its start."""
    return float(process.log_text().split()[1])


async def test_a_server_comes_back_with_its_clock_ahead_and_at_the_end_without(processes: Processes) -> None:
    (server,) = await processes.astart_all([launch("api", CLOCK)])
    assert abs(clock_of(server) - time.time()) < 60
    async with ClockAhead([server], HistoryWriter(), seed=1, how=Signal.TERMINATE, times=1, every_s=0.01) as ahead:
        await ahead.done()
        assert 3_500 < clock_of(server) - time.time() < 3_700
    server.kill()
    await server.arestart()
    assert abs(clock_of(server) - time.time()) < 60
