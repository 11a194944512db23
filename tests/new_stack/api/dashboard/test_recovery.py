"""The page through what goes wrong: no token, an API that dies, a clock that is wrong, a flood of events."""

from __future__ import annotations

import asyncio

import pytest

from harness.processes import Processes, start_valkey
from harness.targets import Deployment, Setup
from new_stack.queue import NewJob, Queue, QueueSettings
from tests.browser import Tab, browser

from .conftest import CONNECTOR, Stack, order
from .driving import CHIPS, MAIN, click, enter, ids, shows, visit

pytestmark = pytest.mark.timeout(300)  # the first test waits for the stack's jobs

TOKEN = "s3cret-of-the-test"


async def submit_directly(stack: Stack, count: int) -> None:
    """Submit to the queue itself, while no API is there."""
    queue = await Queue.connect(QueueSettings(redis_url=stack.deployment.target.redis_url))
    for number in range(count):
        await queue.submit(NewJob(id=f"meanwhile-{number}", service_required="image"))
    await queue.close()


def test_the_page_recovers_from_a_killed_api_and_misses_nothing(tab: Tab, stack: Stack) -> None:
    api = stack.deployment.servers[0]
    visit(tab, stack, "/jobs")
    stack.submit(order("before-the-kill", 1))
    tab.wait("document.querySelector('long-list .row').innerText.includes('before-the-kill')")
    api.kill()
    tab.wait("document.querySelector('.link').dataset.state === 'lost'")
    assert "before-the-kill" in ids(tab)
    asyncio.run(submit_directly(stack, 60))
    stack.submitted += 60
    api.restart()
    tab.wait("document.querySelector('.link').dataset.state === 'live'")
    stack.settled()
    newest = [job["job_id"] for job in stack.get("/api/jobs", limit=61)["jobs"]]
    assert len([name for name in newest if name.startswith("meanwhile-")]) == 60
    tab.wait("document.querySelector('long-list .row').innerText.includes('meanwhile-59')")
    shown = ids(tab)
    assert shown == newest[: len(shown)]
    tab.wait("[...document.querySelectorAll('long-list .pill')].every(e => e.innerText === 'completed')")
    stack.submit(order("after-the-kill", 1))
    tab.wait("document.querySelector('long-list .row').innerText.includes('after-the-kill')")
    tab.complaints.clear()  # refused connections are what was asked for


def test_ages_are_the_servers_on_an_idle_system_whatever_the_readers_clock_says(tab: Tab, stack: Stack) -> None:
    stack.submit(order("aged", 1))
    stack.settled()
    wrong = "{ const true_now = Date.now; Date.now = () => true_now() - 3 * 3600_000; }"
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=wrong)["identifier"]
    try:
        visit(tab, stack, "/jobs?q=aged")
        tab.wait("/^(just now|\\d+\\.\\d s ago)$/.test(document.querySelector('long-list .c-age').innerText)")
        tab.wait("/^([2-9]|\\d\\d)(\\.\\d)? s ago$/.test(document.querySelector('long-list .c-age').innerText)")
    finally:
        tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_a_flood_of_events_leaves_the_page_time_and_is_shown_whole(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs")
    tab.call("Performance.enable", timeDomain="threadTicks")
    began = _busy(tab)
    stack.crowd(2_000, "flood")
    stack.settled()
    tab.wait("document.querySelector('long-list .row').innerText.includes('flood')")
    busy, wall = (after - before for after, before in zip(_busy(tab), began, strict=True))
    assert busy / wall < 0.5, f"the main thread was busy for {busy:.1f} of {wall:.1f} s"
    counts = stack.get("/api/stats")["queue"]
    chip = f"[...document.querySelectorAll('{CHIPS}')].find(e => e.innerText.startsWith('failed')).innerText"
    tab.wait(f"{chip}.split(/\\s+/)[1] === '{counts['failed']}'")


def _busy(tab: Tab) -> tuple[float, float]:
    """The processor time of the main thread, and the time of day, in seconds."""
    metrics = {one["name"]: one["value"] for one in tab.call("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"], tab.tell("performance.timeOrigin + performance.now()") / 1000


def test_a_wrong_token_says_so_and_the_right_one_is_kept_from_scripts(processes: Processes) -> None:
    guarded = Deployment.start(processes, Setup(name="guarded", token=TOKEN), start_valkey(processes, name="valkey-2"))
    guarded.start_workers([guarded.worker_launch("guarded-worker", connector=CONNECTOR)])
    try:
        with browser(guarded.target.http_url) as tab:
            tab.look(1400, 900)
            tab.open(f"{guarded.target.http_url}/dashboard/workers")
            tab.wait("!!document.querySelector('[name=token]')")
            enter(tab, "[name=token]", "wrong")
            click(tab, "Sign in")
            shows(tab, "This token is wrong.")
            enter(tab, "[name=token]", TOKEN)
            tab.press("Enter", 13)
            shows(tab, "guarded-worker")
            assert TOKEN not in tab.tell("location.href + document.cookie + JSON.stringify(localStorage)")
            click(tab, "Jobs", "nav")
            shows(tab, "There are no jobs yet.")
            click(tab, "Sign out", "header")
            tab.wait("!!document.querySelector('[name=token]')")
            assert "guarded-worker" not in tab.tell(MAIN)
    finally:
        guarded.stop()
