"""docs/connectors.md says what is so: its example works as installed, its tables are the settings there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from new_stack.queue import NewJob, Queue
from new_stack.worker.connector_spec import BUILT_IN, find
from tests.new_stack.worker.conftest import ROOT, StartProcess, ended

PAGE = (ROOT / "docs/connectors.md").read_text()


def block(language: str) -> str:
    """The first block of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]


def installed(folder: Path) -> None:
    """The example as its package would be installed: a module, and metadata that name its entry point."""
    (folder / "counting.py").write_text(block("python"))
    metadata = folder / "counting-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    group, entry = (
        re.findall(r'entry-points\."(.+)"\]\n(.+) = "(.+)"', block("toml"))[0][0],
        block("toml").split("\n")[1],
    )
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")


def test_the_example_is_short() -> None:
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 30


async def test_the_example_runs_jobs_as_installed(tmp_path: Path, queue: Queue, start_process: StartProcess) -> None:
    installed(tmp_path)
    [command] = [line for line in PAGE.splitlines() if line.startswith("python -m new_stack.worker")]
    arguments = shlex.split(command.removeprefix("python -m new_stack.worker"))
    start_process(*arguments, PYTHONPATH=f"{ROOT}:{tmp_path}")
    good = await queue.submit(NewJob(service_required="counter", payload=msgspec.Raw(b'{"to": 4}')))
    bad = await queue.submit(NewJob(service_required="counter", payload=msgspec.Raw(b'{"to": 101}')))
    job = await ended(queue, good.job_id)
    assert (job.state, job.result, job.status_message) == ("completed", msgspec.Raw(b'{"counted":4}'), "counted to 4")
    steps = [event.progress for event in await queue.history(good.job_id) if event.kind == "progress"]
    assert steps == [25, 50, 75, 100]
    job = await ended(queue, bad.job_id)
    assert (job.state, job.error, job.attempt) == ("failed", "`to` must be from 1 to 100", 1)


async def test_an_unknown_setting_of_the_example_is_named(tmp_path: Path, start_process: StartProcess) -> None:
    installed(tmp_path)
    worker = start_process("--connector", "counter:colour=red", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert await worker.exit_status() == 2
    assert "connector counter: there is no setting 'colour'; there are: limit, pause_ms" in worker.said()


def documented(name: str) -> dict[str, str]:
    section = re.findall(rf"^### {name}\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| [^|]+ \|$", section, re.MULTILINE)
    return {setting: default.replace("\\|", "|") for setting, default in rows}


def shown(field: msgspec.structs.FieldInfo) -> str:
    default: Any = field.default
    if default is msgspec.NODEFAULT:
        return "needed"
    return "none" if default == "" else f"`{default}`"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_each_connectors_settings_are_on_the_page(name: str) -> None:
    fields = msgspec.structs.fields(find(name).Settings)
    assert documented(name) == {field.name: shown(field) for field in fields}
