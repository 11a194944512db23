"""A hub of ours under the same nemesis: real processes, its workers reached over a line that can be broken."""

from __future__ import annotations

import asyncio
from pathlib import Path

from harness.clients import LegacyClient
from harness.clients.recorders import recorded
from harness.faults import Drawn, Kind, Proxy, Reach
from harness.history import History, HistoryWriter, journal_event
from harness.history.strikes import begun_again_ms
from harness.processes import Processes, free_port
from harness.protocols import EventKind
from harness.targets import Crew, Deployment, Setup, Side
from harness.workers.journal import entries_in

DECK = (Kind.CUT, Kind.PARTITION, Kind.WORKERS_KILLED, Kind.API_TERMINATED, Kind.REDIS_FLUSHED)
SOON_S = 40


async def test_what_is_drawn_is_done_to_a_hub_and_its_workers_and_all_are_at_work_again(tmp_path: Path) -> None:
    port, writer = free_port(), HistoryWriter()
    async with Processes(tmp_path / "logs") as processes, Proxy("127.0.0.1", port, name="redis") as link:
        setup = Setup(side=Side.HUB, port=port, workers_url=f"ws://127.0.0.1:{link.port}", apart=True)
        hub = await Deployment.astart(processes, setup)
        journal = tmp_path / "journal"
        journal.mkdir()
        await hub.astart_workers(hub.crew_launches([Crew(services=("simulation",))], 2, journal))
        assert link.open_connections == 2
        reach = Reach(workers=hub.workers, servers=hub.servers, link=link, stopped_s=0.2)
        async with Drawn(reach, writer, seed=3, pause_s=0.1, deck=DECK) as nemesis:
            await nemesis.done()
        assert {kind for kinds in nemesis.struck for kind in kinds} == set(DECK) - {Kind.REDIS_FLUSHED}
        async with asyncio.timeout(SOON_S), LegacyClient(hub.target.ws_url, "c", **recorded(writer, "c")) as client:
            job_id = await client.submit({"simulate": [{"progress": 50}]})
            assert (await client.ended(job_id, timeout_s=SOON_S))["type"] == "complete_job"
    done_to = {event.worker_id for event in writer.events if event.kind is EventKind.KILLED}
    assert done_to <= {"hub-worker-1", "hub-worker-2"}
    assert done_to
    assert begun_again_ms(History([*writer.events, *map(journal_event, entries_in(journal))])) == []
