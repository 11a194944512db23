"""What a run stands on: a Redis, the processes under judgement, their logs and their memory.

    with Processes(run_folder) as processes:
        valkey = start_valkey(processes)
        api = processes.start(services.api(redis_url=valkey.url))
        worker = processes.start(services.worker("worker-1", redis_url=valkey.url))
        worker.kill(); worker.restart()

Everything has an `a…` twin for asyncio (`astart`, `astart_all`, `arestart`, `async with Processes(...)`).
"""

from harness.errors import EnvironmentFailure, NotReady, ProcessDied, RedisUnusable
from harness.processes import services
from harness.processes.memory import Memory, MemorySample, MemorySampler, memory_of
from harness.processes.ports import free_port
from harness.processes.probes import Probe, http_ok, log_says, redis_pong
from harness.processes.processes import Launch, OwnExit, Process, Processes
from harness.processes.redis import (
    DockerRedis,
    ExternalRedis,
    RedisServer,
    Valkey,
    check_redis,
    connect,
    empty,
    open_redis,
    start_docker_redis,
    start_valkey,
)
from harness.processes.sentinel import RedisGroup, start_redis_group

__all__ = [
    "DockerRedis",
    "EnvironmentFailure",
    "ExternalRedis",
    "Launch",
    "Memory",
    "MemorySample",
    "MemorySampler",
    "NotReady",
    "OwnExit",
    "Probe",
    "Process",
    "ProcessDied",
    "Processes",
    "RedisGroup",
    "RedisServer",
    "RedisUnusable",
    "Valkey",
    "check_redis",
    "connect",
    "empty",
    "free_port",
    "http_ok",
    "log_says",
    "memory_of",
    "open_redis",
    "redis_pong",
    "services",
    "start_docker_redis",
    "start_redis_group",
    "start_valkey",
]
