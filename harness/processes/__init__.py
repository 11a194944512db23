"""What a run stands on: a Redis, the processes under judgement, their logs and their memory.

    with Processes(run_folder) as processes:
        valkey = start_valkey(processes)
        api = processes.start(services.api(redis_url=valkey.url))
        worker = processes.start(services.worker("worker-1", redis_url=valkey.url))
        worker.kill(); worker.restart()

Everything has an `a…` twin for asyncio (`astart`, `astart_all`, `arestart`, `async with Processes(...)`).
"""

from harness.errors import EnvironmentFailure as EnvironmentFailure
from harness.errors import NotReady as NotReady
from harness.errors import ProcessDied as ProcessDied
from harness.errors import RedisUnusable as RedisUnusable
from harness.processes import services as services
from harness.processes.machine_watch import MachineWatch as MachineWatch
from harness.processes.memory import Memory as Memory
from harness.processes.memory import MemorySample as MemorySample
from harness.processes.memory import MemorySampler as MemorySampler
from harness.processes.memory import memory_of as memory_of
from harness.processes.ports import Probe as Probe
from harness.processes.ports import free_port as free_port
from harness.processes.ports import http_ok as http_ok
from harness.processes.ports import log_says as log_says
from harness.processes.ports import redis_pong as redis_pong
from harness.processes.processes import Launch as Launch
from harness.processes.processes import OwnExit as OwnExit
from harness.processes.processes import Process as Process
from harness.processes.processes import Processes as Processes
from harness.processes.redis import DockerRedis as DockerRedis
from harness.processes.redis import ExternalRedis as ExternalRedis
from harness.processes.redis import RedisServer as RedisServer
from harness.processes.redis import Valkey as Valkey
from harness.processes.redis import check_redis as check_redis
from harness.processes.redis import connect as connect
from harness.processes.redis import empty as empty
from harness.processes.redis import open_redis as open_redis
from harness.processes.redis import start_docker_redis as start_docker_redis
from harness.processes.redis import start_valkey as start_valkey
from harness.processes.sentinel import RedisGroup as RedisGroup
from harness.processes.sentinel import start_redis_group as start_redis_group
