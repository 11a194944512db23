"""Print whether a process outlives a time in which Redis lets nobody in. Arguments: Redis's URL, worker or api."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import redis

kind = sys.argv[2]
options = {"worker": ["--connector", "simulation", "--id", "probe"], "api": ["--port", "0"]}[kind]
command = [sys.executable, "-P", "-m", f"new_stack.{kind}", "--redis", sys.argv[1], *options]
process = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True)
assert process.stderr is not None
with redis.Redis.from_url(sys.argv[1]) as client:
    for line in process.stderr:
        if f'"{kind}_ready"' in line:
            client.config_set("maxclients", 1)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        elif '"redis_away"' in line or '"events_unavailable"' in line or '"background_died"' in line:
            break
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    lives = process.poll() is None
    client.config_set("maxclients", 1000)
process.terminate()
sys.stdout.write(json.dumps(lives))
