"""A page's commands, run as they stand in a shell: only addresses are others than on the page."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import click
import psutil

from hubgate.cli import cli

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(?:<!-- ([a-z -]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def parts(page: str) -> dict[str, str]:
    """The named blocks of a page below the repository: its commands, and what one then sees."""
    return {name: text for name, _, text in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if name}


def commands(page: str) -> dict[str, str]:
    """The blocks of shell commands by their names. Raises AssertionError for one without a name, which no test runs."""
    found = [
        (name, text) for name, kind, text in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if kind == "sh"
    ]
    assert all(name for name, _ in found), f"{page}: a block of commands has no name"
    return dict(found)


async def listens(port: int) -> bool:
    """Whether somebody listens there; a request would be recorded."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def command_of(line: str) -> tuple[click.Command, list[str]]:
    """What a `hubgate …` command line calls, and the words after it. Raises AssertionError where there is none."""
    _, *words = shlex.split(line, comments=True)
    command: click.Command = cli
    while isinstance(command, click.Group) and words and words[0][0].islower():
        found = command.get_command(click.Context(command), words.pop(0))
        assert found, line
        command = found
    return command, words


def like(line: str) -> re.Pattern[str]:
    """What a line of a page stands for: … is anything."""
    return re.compile(".*".join(re.escape(piece.strip()) for piece in line.strip().split("…")))


class Terminal:
    """Where a page's commands are typed: a folder, and the addresses that stand for those of the page."""

    def __init__(self, page: str, folder: Path, changes: Mapping[str, str]) -> None:
        self.parts = parts(page)
        self.folder = folder
        self._changes = dict(changes) | {"hubgate ": f"{sys.executable} -m hubgate "}

    def said(self, text: str) -> str:
        """A part of the page with this test's addresses."""
        for page, here in self._changes.items():
            text = text.replace(page, here)
        return text

    async def run(self, part: str, meanwhile: Awaitable[object] | None = None) -> str:
        """Run a part's commands and hold what they print against what the page says that one sees."""
        text = await self.type(self.parts[part], meanwhile)
        self.sees(part, text)
        return text

    async def type(self, script: str, meanwhile: Awaitable[object] | None = None, *, status: int = 0) -> str:
        """What commands printed. What runs when `meanwhile` is over gets a Ctrl-C then."""
        process = await self._shell(self.said(script))
        if meanwhile is not None:
            await meanwhile
            _interrupt(process.pid)
        async with asyncio.timeout(180):
            output, _ = await process.communicate()
        text = output.decode()
        assert process.returncode == status, f"{script}ended with {process.returncode}:\n{text}"
        return text

    def sees(self, part: str, text: str) -> None:
        """Hold what was printed against what the page says that one sees; … stands for anything."""
        for line in self.said(self.parts.get(f"sees {part}", "")).splitlines():
            assert like(line).search(text), f"{part}: nothing like {line!r} in\n{text}"

    @asynccontextmanager
    async def running(self, script: str) -> AsyncIterator[None]:
        """A second terminal, in which a command runs until it is ended."""
        process = await self._shell("exec " + self.said(script).replace("HUBGATE_", "env HUBGATE_"))
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(40):
                output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    async def _shell(self, script: str) -> asyncio.subprocess.Process:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        environment.pop("WEBSOCKET_AUTH_TOKEN", None)
        return await asyncio.create_subprocess_exec(
            *("bash", "-ec", script),
            cwd=self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def _interrupt(shell: int) -> None:
    """Ctrl-C in the command that a shell is running, by way of `timeout` or `make`."""
    shell_and_below = [psutil.Process(shell), *psutil.Process(shell).children(recursive=True)]
    for process in shell_and_below:
        if process.name() not in {"bash", "timeout", "make"} and "hubgate" in process.cmdline():
            process.send_signal(signal.SIGINT)
            return
    raise AssertionError("nothing of hubgate runs any more")
