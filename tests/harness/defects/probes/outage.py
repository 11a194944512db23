"""Print whether a worker process outlives a time in which Redis lets nobody in. Argument: Redis's URL."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import redis

command = [sys.executable, "-P", "-m", "new_stack.worker", "--connector", "simulation", "--redis", sys.argv[1]]
worker = subprocess.Popen([*command, "--id", "probe"], env=os.environ, stderr=subprocess.PIPE, text=True)
assert worker.stderr is not None
with redis.Redis.from_url(sys.argv[1]) as client:
    for line in worker.stderr:
        if '"worker_ready"' in line:
            client.config_set("maxclients", 1)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        elif '"redis_away"' in line:
            break
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(2)
    lives = worker.poll() is None
    client.config_set("maxclients", 1000)
worker.terminate()
sys.stdout.write(json.dumps(lives))
