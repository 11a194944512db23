import asyncio
import os
import sys
from pathlib import Path

from harness.processes import Launch, MemorySampler, Processes, log_says, memory_of

BIG = "x = b'x' * 50_000_000; print('here', flush=True); import time; time.sleep(60)"


def test_memory_is_told_proportionally_and_a_big_one_weighs_more(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        big = processes.start(Launch(name="big", command=(sys.executable, "-c", BIG), probe=log_says("here")))
        memory = big.memory()
        assert memory is not None
        assert 50_000_000 < memory.pss <= memory.rss < 150_000_000
        big.kill()
        assert big.memory() is None


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert memory_of(2**22 + 1) is None
    assert memory_of(os.getpid()) is not None


async def test_the_sampler_follows_processes_that_come_and_go(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes, MemorySampler(processes.pids, every_s=0.02) as sampler:
        launch = Launch(name="p", command=(sys.executable, "-c", BIG), probe=log_says("here"))
        process = await processes.astart(launch)
        while not any(sample.by_name.get("p") for sample in sampler.samples):
            await asyncio.sleep(0.01)
        process.kill()
        last = sampler.sample()
    assert "p" not in last.by_name
    assert max(memory.pss for sample in sampler.samples for memory in sample.by_name.values()) > 0
