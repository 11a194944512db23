"""The views, looked at and used in a real browser over a stack that has run thousands of jobs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cassettes import Receive, load
from harness.clients import LegacyClient, Monitor
from harness.processes import Processes, start_valkey
from harness.targets import Deployment, Setup
from harness.testing import until
from tests.browser import Tab

from .conftest import SERVICES, Stack, order
from .driving import CHIPS, MAIN, agree, as_shown, click, clipboard, enter, ids, loaded, shows, visit
from .workers import ends_in

pytestmark = [
    pytest.mark.xdist_group("dashboard"),
    pytest.mark.timeout(300),
]  # one stack, whose jobs the first waits for

TIMES = "\N{MULTIPLICATION SIGN}"
HELD = {
    "id": "held",
    "service_required": "image",
    "payload": {"simulate": [{"progress": 37.5, "message": "sampling"}, {"log": "waits"}, {"hang": True}]},
}


def test_the_figures_are_those_of_the_execution_journal(tab: Tab, stack: Stack) -> None:
    """What the workers wrote down beside the queue, the API's figures and the page's are the same."""
    stack.settled()
    ran = ends_in(stack.journal)
    completed, failed = (sum(ends[end] for ends in ran.values()) for end in ("completed", "failed"))
    cancelled = len(stack.cancelled)
    assert completed + failed + cancelled == stack.submitted
    assert failed == len(stack.failing)
    figures = {"completed": completed, "failed": failed, "cancelled": cancelled}
    queue = stack.get("/api/stats")["queue"]
    assert {name: queue[name] for name in figures} == figures
    for length in ("1h", "24h", "7d"):
        history = stack.history(length)
        assert sum(totals["submitted"] for totals in history.values()) == stack.submitted
        assert sum(totals["cancelled"] for totals in history.values()) == cancelled
        assert {name: {end: history[name][end] for end in ("completed", "failed")} for name in ran} == {
            name: {end: ends[end] for end in ("completed", "failed")} for name, ends in ran.items()
        }
    visit(tab, stack, "/jobs")
    chips = f"[...document.querySelectorAll('{CHIPS}')].map(e => e.innerText.split(/\\s+/).join(' '))"
    for name, number in figures.items():
        tab.wait(f"{chips}.includes('{name} {as_shown(number)}')")
    visit(tab, stack)
    tile = "[...document.querySelectorAll('.tile')].find(e => e.querySelector('dt').innerText === '{}').innerText"
    tab.wait(f"{tile.format('Failed')}.split('\\n')[1] === '{failed}'")
    assert f"1 hour: {as_shown(completed)} jobs" in tab.tell(tile.format("Completed per minute"))
    for service in SERVICES:
        assert service in tab.tell("document.querySelector('[aria-label=Services] table').innerText")


def test_the_oldest_of_thousands_is_found_and_opened_and_back_leads_to_the_search(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs")
    assert "job-00000" not in ids(tab)
    enter(tab, "#job-search", "job-00000")
    tab.wait("document.querySelector('long-list .id')?.innerText === 'job-00000'")
    click(tab, "job-00000", "long-list")
    shows(tab, "Payload")
    assert tab.tell("document.querySelector('h1').innerText") == "Job job-00000"
    assert tab.tell("document.activeElement.tagName") == "H1"
    tab.tell("history.back()")
    tab.wait("document.querySelector('#job-search')?.value === 'job-00000'")
    loaded(tab)
    assert ids(tab)[0] == "job-00000"


def test_filters_narrow_all_jobs_and_each_can_be_taken_off(tab: Tab, stack: Stack) -> None:
    tab.look(1400, 8_000)  # all of them in sight
    visit(tab, stack, "/jobs?client=shop-1&service=caption&state=failed")
    wanted = {name for name in stack.failing if int(name[-5:]) % 4 == 1 and int(name[-5:]) % 3 == 1}
    shows(tab, f"{len(wanted)} jobs shown")
    assert set(ids(tab)) == wanted
    click(tab, "service: caption ✕")
    more = {name for name in stack.failing if int(name[-5:]) % 4 == 1}
    shows(tab, f"{len(more)} jobs shown")
    assert tab.tell("new URLSearchParams(location.search).get('service')") is None
    tab.tell("history.back()")
    shows(tab, f"{len(wanted)} jobs shown")


def test_a_long_list_keeps_few_rows_in_the_document_and_reads_on_to_its_end(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs")
    oldest = "[...document.querySelectorAll('long-list .id')].some(e => e.innerText === 'job-00000')"
    tab.wait(f"(scrollTo(0, document.body.scrollHeight), {oldest})")
    shows(tab, "That is all.")
    assert tab.tell("document.querySelectorAll('long-list .row').length") < 80
    assert f"{as_shown(stack.submitted)} jobs shown" in tab.tell(MAIN)


def test_a_job_says_how_each_attempt_went_and_what_it_was_given(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, f"/jobs/{stack.failing[0]}")
    tab.wait("document.querySelectorAll('.gantt li').length === 2")
    attempts = tab.tell("[...document.querySelectorAll('.gantt li')].map(e => e.innerText.replace(/\\s+/g, ' '))")
    assert all("waited" in text and "ran" in text and "failed" in text for text in attempts)
    assert tab.tell("document.querySelectorAll('.error').length") == 2
    assert tab.tell("document.querySelectorAll('.log li').length") == 2
    visit(tab, stack, "/jobs/job-00001")
    assert '"seed": 12345678901234567890' in tab.tell(MAIN)
    assert '"scale": 1.0' in tab.tell(MAIN)
    click(tab, "as they came")
    shows(tab, '{"prompt":"cat 1","scale":1.0,')


def test_what_a_connector_raised_is_shown_with_its_traceback_for_each_attempt(tab: Tab, stack: Stack) -> None:
    broken = {"id": "divided", "service_required": "image", "max_retries": 1, "payload": {"divide_by": 0}}
    stack.submit(broken | {"retry_policy": {"backoff_base_ms": 10}})
    stack.settled()
    visit(tab, stack, "/jobs/divided")
    tab.wait("document.querySelectorAll('.error pre').length === 2")
    assert (
        tab.tell("[...document.querySelectorAll('.error h3 code')].map(e => e.innerText)") == ["ZeroDivisionError"] * 2
    )
    for text in tab.tell("[...document.querySelectorAll('.error pre')].map(e => e.textContent)"):
        assert "return 1 / divisor" in text
        assert "ZeroDivisionError: division by zero" in text
    assert tab.tell("document.querySelector('.error pre').checkVisibility()")
    stack.post("/api/jobs/bulk", {"action": "drop", "filter": {"q": "divided"}, "dry_run": False})
    stack.submitted -= 1


def test_a_running_job_is_watched_and_cancelled(tab: Tab, stack: Stack) -> None:
    stack.submit(HELD)
    visit(tab, stack, "/jobs")
    tab.wait("document.querySelector('long-list .row').innerText.includes('38 %')")
    click(tab, "held", "long-list")
    shows(tab, "sampling")
    shows(tab, "waits")
    shows(tab, "runs for")
    click(tab, "Cancel")
    assert "Cancel held?" in agree(tab)
    tab.wait("document.querySelector('.facts .pill').innerText === 'cancelled'")
    stack.cancelled.append("held")


def test_a_job_is_submitted_again_with_changes(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs/job-00002")
    click(tab, "Submit again with changes")
    tab.wait("!!document.querySelector('form.again')")
    enter(tab, "[name=payload]", "{no")
    click(tab, "Submit")
    assert "no JSON" in tab.tell("document.querySelector('[name=payload]').validationMessage")
    enter(tab, "[name=payload]", '{"simulate": [{"result": 20000000000000000001}]}')
    enter(tab, "[name=id]", "again-2")
    click(tab, "Submit")
    tab.wait("location.pathname === '/dashboard/jobs/again-2'")
    shows(tab, "20000000000000000001")
    stack.submitted += 1


def test_a_job_is_copied_as_a_command_and_as_a_program_that_submit_it(tab: Tab, stack: Stack) -> None:
    quoted = order("quoted", 3) | {
        "payload": {"text": 'it\'s "so" \\ new\nline', "yes": True, "none": None},
        "customer_id": "c1",
        "own": [1.0],
    }
    stack.submit(quoted)
    stack.settled()
    visit(tab, stack, "/jobs/quoted")
    for name, run in (("Copy as curl", ["bash", "-c"]), ("Copy as Python", [sys.executable, "-c"])):
        click(tab, name)
        tab.wait(f"document.querySelector('.toast').innerText.includes('{name.removeprefix('Copy as ')}')")
        subprocess.run([*run, clipboard(tab)], check=True, capture_output=True, timeout=60)
        stack.submitted += 1
        stack.settled()
        newest = stack.get(f"/api/jobs/{stack.get('/api/jobs', limit=1)['jobs'][0]['job_id']}")
        assert newest["payload"] == quoted["payload"]
        assert newest["extra"] == {"customer_id": "c1", "own": [1.0]}
        assert newest["priority"] == quoted["priority"]


def test_where_the_browser_gives_no_clipboard_the_command_is_shown_to_be_copied(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs/job-00001")
    tab.tell("Object.defineProperty(navigator, 'clipboard', { value: undefined }), 0")
    click(tab, "Copy as curl")
    tab.wait("!!document.querySelector('dialog[open] textarea')")
    assert tab.tell("getSelection().toString() || document.activeElement.value").startswith("curl -s ")


def test_a_job_is_exported_as_a_cassette(tab: Tab, stack: Stack, tmp_path: Path) -> None:
    visit(tab, stack, f"/jobs/{stack.failing[0]}")
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    click(tab, "Export as a cassette")
    path = tmp_path / f"{stack.failing[0]}.jsonl"
    asyncio.run(until(path.exists))
    cassette = load(path)
    assert cassette.name == stack.failing[0]
    assert list(cassette.roles) == ["client-a", "worker-1", "worker-2"]
    told = [event.content["type"] for event in cassette.events if isinstance(event, Receive)]
    assert told.count("fail_job") == 2
    with Processes(tmp_path / "played") as processes:
        target = Deployment.start(processes, Setup(), start_valkey(processes)).target
        command = [sys.executable, "-m", "hubgate", "replay", str(path)]
        command += ["--candidate", target.http_url, "--redis", target.redis_url]
        played = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (played.returncode, "same" in played.stdout) == (0, True), played.stdout + played.stderr


def test_a_group_of_failures_is_retried_once_it_is_known_what_that_means(tab: Tab, stack: Stack) -> None:
    group = [name for name in stack.failing if int(name[-5:]) % 2 and int(name[-5:]) % 3 == 1]
    visit(tab, stack, "/failures")
    shows(tab, f"{len(stack.failing)} jobs failed for 6 reasons")
    wanted = "e => e.innerText.includes('caption') && e.innerText.includes('HTTP')"
    card = f"[...document.querySelectorAll('.group')].find({wanted})"
    assert tab.tell(f"{card}.querySelector('h2').innerText.split(' ')[0]") == str(len(group))
    tab.tell(f"{card}.querySelector('button').click()")
    asked = agree(tab)
    assert f"Retry {len(group)} failed jobs?" in asked
    assert sum(name in asked for name in group) == 5
    tab.wait(f"document.querySelector('.toast').innerText.startsWith('{len(group)} jobs of {len(group)} run again')")
    stack.settled()
    assert all(stack.get(f"/api/jobs/{name}")["attempt"] > 2 for name in group)


def test_it_is_said_that_no_worker_serves_what_waits(tab: Tab, stack: Stack) -> None:
    stack.submit(*({"id": f"film-{n}", "service_required": "film"} for n in range(12)))
    visit(tab, stack)
    shows(tab, "12 jobs wait for 'film': no worker serves it")
    click(tab, "Show them")
    shows(tab, "12 jobs shown")
    tab.wait("document.querySelector('long-list').innerText.includes(\"no worker serves 'film'\")")
    click(tab, "film-3", "long-list")
    shows(tab, "no live worker can take it")
    for number in range(12):
        stack.post(f"/api/jobs/film-{number}/cancel", {})
        stack.cancelled.append(f"film-{number}")


def test_it_is_said_what_workers_lack_where_no_one_meets_what_jobs_ask_for(tab: Tab, stack: Stack) -> None:
    wanted = {"service_required": "image", "requirements": {"hardware": {"gpu_memory_gb": 80}}}
    stack.submit(*(wanted | {"id": f"large-{n}"} for n in range(3)))
    visit(tab, stack)
    shows(tab, "3 jobs wait for 'image': no worker that serves it can do what they ask for")
    assert re.search(r"large-\d on worker-\d: \w[^)]*GPU memory\)", tab.tell(MAIN))
    shows(tab, "jobs ask for more than its workers have")
    click(tab, "See one of them")
    shows(tab, "Who can take it")
    shows(tab, "no live worker can take it")
    assert tab.tell(MAIN).count("GPU memory") >= 3
    visit(tab, stack, "/jobs?state=pending&service=image")
    shows(tab, "3 jobs shown")
    notes = "[...document.querySelectorAll('long-list .c-note')]"
    tab.wait(f"{notes}.every(e => e.innerText.includes('can do what the job asks for'))")
    for number in range(3):
        stack.post(f"/api/jobs/large-{number}/cancel", {})
        stack.cancelled.append(f"large-{number}")
    visit(tab, stack)
    tab.wait(f"!{MAIN}.includes('what they ask for')")


def test_a_service_is_paused_and_goes_on(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/services")
    row = "[...document.querySelectorAll('tbody tr')].find(e => e.innerText.includes('upscale'))"
    tab.tell(f"{row}.querySelector('button').click()")
    assert "Pause upscale?" in agree(tab)
    tab.wait(f"{row}.innerText.includes('paused for')")
    stack.submit({"id": "braked", "service_required": "upscale"})
    tab.wait(f"{row}.querySelectorAll('td')[0].innerText === '1'")
    assert stack.get("/api/jobs/braked")["status"] == "pending"
    tab.tell(f"{row}.querySelector('button').click()")
    stack.settled()
    tab.wait(f"!{row}.innerText.includes('paused for')")


def test_a_service_that_only_had_jobs_is_served_by_workers_that_take_every_service(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/services")
    history = {"series": [{"service": "gone", "total": {}}]}
    known = {"services": [{"service": "draw", "workers": 1}], "workers": {"every_service": 3}}
    module = "import('/dashboard/static/views/services.js')"
    asked = (
        f"{module}.then(m => m.withTotals({json.dumps(known)}, {json.dumps(history)}).map(s => [s.service, s.workers]))"
    )
    assert tab.tell(asked) == [["draw", 1], ["gone", 3]]


def test_a_worker_is_drained_and_claims_again(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/workers")
    row = "[...document.querySelectorAll('tbody tr')].find(e => e.innerText.includes('worker-2'))"
    assert tab.tell(f"{row}.innerText").count("0.1.0") == 1
    tab.tell(f"{row}.querySelector('button').click()")
    assert "Drain worker-2?" in agree(tab)
    tab.wait(f"{row}.innerText.includes('drained')")
    tab.tell(f"{row}.querySelector('button').click()")
    tab.wait(f"{row}.querySelector('.pill').innerText === 'idle'")


async def talk(stack: Stack) -> None:
    """Two old clients and a monitor, as they were before the migration."""
    url = stack.deployment.target.ws_url
    async with (
        LegacyClient(url, "old-shop") as client,
        LegacyClient(url, "old-till") as other,
        Monitor(url, "old-wall"),
    ):
        for _ in range(3):
            await client.submit({"simulate": []}, service="image")
        await other.status(await other.submit({"simulate": []}, service="image"))


def test_the_migration_views_numbers_are_those_of_the_api(tab: Tab, stack: Stack) -> None:
    asyncio.run(talk(stack))
    stack.submitted += 4
    usage = stack.get("/api/usage", limit=1000)
    clients = {client["client"]: client for client in usage["clients"]}
    assert clients["old-shop"]["ways"][0]["messages"]["submit_job"]["count"] == 3
    visit(tab, stack, "/migration")
    rows = {
        (client["client"], f"{way['protocol']}, {way['dialect']}"): sorted(
            f"{name} {as_shown(use['count'])}{TIMES}" for name, use in way["messages"].items()
        )
        for client in usage["clients"]
        for way in client["ways"]
        if way["legacy"]
    }
    assert set(rows) >= {(name, "websocket, hub") for name in ("old-shop", "old-till", "old-wall")}
    messages = f"[...row.querySelectorAll('li')].map(e => e.innerText.split('{TIMES}')[0] + '{TIMES}').sort()"
    told = "row.querySelector('th').firstChild.nextSibling?.innerText, row.querySelector('td').innerText"
    told = f"[...document.querySelectorAll('[role=region] tbody tr')].map(row => [{told}, {messages}])"
    assert {(client, way): messages for client, way, messages in tab.tell(told)} == rows
    legacy, modern = (sum(day["submissions"].get(side, 0) for day in usage["days"]) for side in ("legacy", "modern"))
    sentence = (
        f"of {as_shown(legacy + modern)} submissions were modern (HTTP), {as_shown(legacy)} came by the hub's protocols"
    )
    assert sentence in tab.tell(MAIN)
    only = sum(not any(way["legacy"] for way in client["ways"]) for client in clients.values())
    assert f"{only} client{'s' * (only != 1)} used HTTP and SSE only." in tab.tell(MAIN)


@pytest.mark.parametrize("modifier", [2, 4], ids=["ctrl", "command"])
def test_the_palette_goes_anywhere_by_the_keyboard(tab: Tab, stack: Stack, modifier: int) -> None:
    visit(tab, stack)
    key = {"key": "k", "code": "KeyK", "windowsVirtualKeyCode": 75, "modifiers": modifier}
    tab.call("Input.dispatchKeyEvent", type="keyDown", **key)
    tab.wait("!!document.querySelector('dialog.palette[open]')")
    tab.call("Input.insertText", text="job-00042")
    tab.wait("document.querySelector('#palette-list li').innerText.startsWith('job-00042')")
    tab.press("Enter", 13)
    tab.wait("location.pathname === '/dashboard/jobs/job-00042'")
    tab.wait("document.querySelector('dialog') === null")


def test_a_job_that_was_never_there_is_said_to_be_none(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/jobs/nobody")
    shows(tab, "There is no job nobody")
    tab.complaints.clear()  # the browser's own word for a 404


def test_a_view_that_is_none_says_so(tab: Tab, stack: Stack) -> None:
    visit(tab, stack, "/nothing")
    shows(tab, "There is no such page.")
