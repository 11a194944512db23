"""Seeded defects: each applies to the stack as it is, still imports and loads, and is wrong where it says it is."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import redis

from harness import defects
from harness.criteria.definition import discover
from harness.defects import Defect, DefectDoesNotApply, Replacement
from harness.defects.defect import source_of_stack
from harness.errors import CouldNotRun
from harness.history import CHECKERS
from harness.processes import Processes, Valkey, start_valkey

from .probes.imports import import_all

ALL = defects.all()
BY_NAME = {defect.name: defect for defect in ALL}


def run_in(overlay: Path, probe: str, *arguments: str) -> str:
    """What a program of `probes/` prints when the overlay's stack comes first on its path."""
    program = str(Path(__file__).parent / "probes" / f"{probe}.py")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(overlay), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(overlay: Path, modules: list[str]) -> int | None:
    """The exit status of a process that imports these modules of the overlay; it has the libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["aiohttp.web", "hiredis", "msgspec", "prometheus_client", "redis.asyncio.sentinel"])
    process = context.Process(target=import_all, args=(str(overlay), modules))
    process.start()
    process.join(60)
    return process.exitcode


@cache
def sound(probe: str) -> str:
    """What it prints of the stack as it is."""
    return run_in(source_of_stack().parent, probe)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Processes(tmp_path_factory.mktemp("valkey")) as processes:
        yield start_valkey(processes)


def test_there_are_enough_and_each_says_what_it_is() -> None:
    assert len(ALL) >= 90
    assert len(BY_NAME) == len(ALL)
    for defect in ALL:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", defect.name)
        assert defect.mistake.endswith(".")
        assert set(defect.caught_by) <= set(discover())
        assert defect.caught_by
        assert set(defect.checks) <= set(CHECKERS)
        assert defect.reasons
        assert min(len(reason) for reason in defect.reasons) > 3, "a word that stands everywhere is no reason"


@pytest.mark.parametrize("defect", ALL, ids=lambda defect: defect.name)
def test_a_defect_applies_and_the_stack_still_imports_and_loads(defect: Defect, tmp_path: Path, valkey: Valkey) -> None:
    overlay = defects.apply(defect, tmp_path / "overlay")
    assert overlay == tmp_path / "overlay"
    files = [replacement.file.removesuffix(".py") for replacement in defect.replacements if ".py" in replacement.file]
    if files:
        modules = [f"new_stack.{file.removesuffix('/__init__').replace('/', '.')}" for file in files]
        assert imported(overlay, modules) == 0
    if any(replacement.file.endswith(".lua") for replacement in defect.replacements):
        library = run_in(overlay, "lua")
        assert library != sound("lua")
        with redis.Redis(port=valkey.port) as client:
            assert client.function_load(library, replace=True) == b"hubgate"


def test_only_what_the_defect_names_is_changed(tmp_path: Path) -> None:
    defect = BY_NAME["sigterm-fails-the-job"]
    copy = defects.apply(defect, tmp_path) / "new_stack"
    source = source_of_stack()
    changed = {
        str(file.relative_to(source))
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
        if (copy / file.relative_to(source)).read_bytes() != file.read_bytes()
    }
    assert changed == {"worker/attempt.py"}


@pytest.mark.parametrize(
    ("old", "says"), [("text that is nowhere", "stands 0 times"), ("import", "times in"), ("", "times in")]
)
def test_a_defect_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path, old: str, says: str) -> None:
    replacement = Replacement(file="queue/queue.py", old=old or "\n", new="")
    defect = Defect(name="misfit", mistake="None.", caught_by=("claims",), replacements=(replacement,))
    with pytest.raises(DefectDoesNotApply, match=says):
        defects.apply(defect, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_told() -> None:
    replacement = Replacement(file="queue/gone.py", old="x", new="y")
    defect = Defect(name="misfit", mistake="None.", caught_by=("claims",), replacements=(replacement,))
    with pytest.raises(DefectDoesNotApply, match="has no file"):
        defects.apply(defect, Path("unused"))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CouldNotRun, match="no-reaper"):
        defects.named("no-reaperr")


# the smallest level that shows it: frames and events, made by the changed modules themselves
SEEN: dict[str, tuple[str, str | None]] = {
    "answer-job-submitted": ("accepted", "type"),
    "completion-under-another-name": ("completed", "type"),
    "missing-field": ("accepted", "notified_workers"),
    "null-left-out": ("accepted", "estimated_start"),
    "number-as-text": ("progress", "progress"),
    "time-as-text": ("progress", "timestamp"),
    "failed-attempts-untold": ("attempt_failed", None),
    "claim-untold": ("claimed", None),
    "monitor-without-client-id": ("monitor", "client_id"),
}


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_legacy_frame_is_wrong_where_the_defect_says(name: str, tmp_path: Path) -> None:
    frame, field = SEEN[name]
    right = json.loads(sound("frames"))
    wrong = json.loads(run_in(defects.apply(BY_NAME[name], tmp_path), "frames"))
    assert right[frame] is not None
    if field is None:
        assert wrong[frame] is None
    else:
        assert right[frame][field] != wrong[frame].get(field, "absent")


STREAM_SEEN = {
    "no-history-for-late-subscribers": "late",
    "resume-skips-one": "resumed",
    "resume-repeats-one": "resumed",
    "event-without-id": "frame",
    "told-once-per-subscription": "delivered",
    "progress-coalesced": "delivered",
    "progress-reordered": "delivered",
    "completion-before-last-progress": "delivered",
    "second-subscriber-starved": "delivered",
    "token-unread": "token",
}


@pytest.mark.parametrize("name", sorted(STREAM_SEEN))
def test_a_stream_is_wrong_where_the_defect_says(name: str, tmp_path: Path) -> None:
    right = json.loads(sound("streams"))
    wrong = json.loads(run_in(defects.apply(BY_NAME[name], tmp_path), "streams"))
    assert {key for key in right if right[key] != wrong[key]} == {STREAM_SEEN[name]}


# the same for the functions in Redis, called by the sound library's own client
QUEUE_SEEN = {
    "last-in-first-out": "order",
    "priority-ignored": "order",
    "score-is-a-clock": "order",
    "requeued-at-the-back": "released",
    "position-off-by-one": "position",
    "nobody-is-woken": "woken",
    "claimed-by-many": "order",
    "submitted-again-runs-again": "again",
    "no-reaper": "reaped",
    "fence-left-open": "fence",
    "retried-without-limit": "second fail",
    "retry-counted-twice": "fail",
    "retried-where-it-failed": "same worker",
    "retried-at-once": "at once",
    "every-failure-is-final": "fail kind",
    "error-text-lost": "error",
    "late-completion-overwrites-cancel": "late completion",
    "cancelled-job-runs-on": "late progress",
    "cancel-means-failed": "cancelled",
    "payload-left-behind": "payload",
    "nobody-is-notified": "progress",
    "progress-dropped": "progress",
    "progress-duplicated": "progress",
}


@pytest.fixture(scope="module")
def sound_life(valkey: Valkey) -> dict[str, object]:
    return life_of(source_of_stack().parent, valkey)


def life_of(overlay: Path, valkey: Valkey) -> dict[str, object]:
    """A short life of a queue whose functions are the overlay's, asked by the sound client."""
    with redis.Redis(port=valkey.port) as client:
        client.flushall()
        client.function_load(run_in(overlay, "lua"), replace=True)
    told: dict[str, object] = json.loads(run_in(source_of_stack().parent, "queue_life", valkey.url))
    return told


@pytest.mark.parametrize("name", sorted(QUEUE_SEEN))
def test_the_queue_is_wrong_where_the_defect_says(
    name: str, tmp_path: Path, valkey: Valkey, sound_life: dict[str, object]
) -> None:
    wrong = life_of(defects.apply(BY_NAME[name], tmp_path), valkey)
    assert sound_life[QUEUE_SEEN[name]] != wrong.get(QUEUE_SEEN[name], "never came to it")


@pytest.mark.parametrize("kind", ["worker", "api"])
def test_a_process_that_exits_for_redis_does_so(kind: str, tmp_path: Path, valkey: Valkey) -> None:
    overlay = defects.apply(BY_NAME[f"{kind}-exits-for-redis"], tmp_path)
    assert json.loads(run_in(source_of_stack().parent, "outage", valkey.url, kind))
    assert not json.loads(run_in(overlay, "outage", valkey.url, kind))


def test_a_defect_that_names_a_scenario_names_one_that_is_there() -> None:
    scenarios = Path(importlib.import_module("scenarios").__file__ or "").parent
    tests = {name for file in scenarios.glob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    named = {(defect.name, reason) for defect in ALL for reason in defect.findings if reason.startswith("test_")}
    assert named
    assert [one for one in named if not any(test.startswith(one[1]) for test in tests)] == []


def test_each_defect_is_shown_somewhere() -> None:
    """At its smallest level here, by the checkers on a whole run (`test_caught.py`), or by a finding that it names."""
    shown = {*SEEN, *STREAM_SEEN, *QUEUE_SEEN, "worker-exits-for-redis", "api-exits-for-redis"} | {
        defect.name for defect in ALL if defect.checks or defect.findings
    }
    assert set(BY_NAME) == shown
