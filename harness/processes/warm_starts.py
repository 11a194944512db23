"""Starts modules again and again, each in a child of a process that has imported them already: a program of its own.

    python -m harness.processes.warm_starts new_stack.api new_stack.worker legacy_hub_sim new_stack.api.server

It reads a line `{"module", "arguments", "environment"}` for each start and runs the module's `__main__` anew. With
`log` and `folder` it answers `{"pid"}` at once: the child then belongs to the nearest ancestor that takes in orphans.
Without them it answers `{"status", "said"}` once the child has ended.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import runpy
import sys
import tempfile
import time
from typing import Any, NoReturn


def main(modules: list[str]) -> None:
    """Serve until nobody asks any more."""
    for module in modules:
        package = importlib.util.find_spec(module)
        importlib.import_module(f"{module}.__main__" if package and package.submodule_search_locations else module)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = json.dumps({"pid": _begin(asked)} if "log" in asked else _run(asked))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one to its end."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            try:
                _start(asked, said.fileno())
            except SystemExit as end:  # to take the interpreter down in order is most of the cost of such a start
                sys.stdout.flush()
                os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return {"status": status, "said": said.read().decode(errors="replace")}


def _begin(asked: dict[str, Any]) -> int:
    """Start one as an orphan; its process id."""
    reads, writes = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child:
            os.write(writes, str(child).encode())
            os._exit(0)
        os.close(reads)
        os.close(writes)
        os.setsid()
        os.chdir(asked["folder"])
        _start(asked, os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    os.close(writes)
    os.waitpid(between, 0)
    pid = int(os.read(reads, 32))
    os.close(reads)
    return pid


def _start(asked: dict[str, Any], output: int) -> NoReturn:
    """Be that process: it ends as the interpreter does, whatever the module raises."""
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()  # the zone was read when the interpreter began
    sys.argv = [asked["module"], *asked["arguments"]]
    sys.modules.pop(f"{asked['module']}.__main__", None)
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
