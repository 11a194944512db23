"""The views on every width and on paper: nothing is cut, whatever the names are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from new_stack.queue import Queue, WorkerReport
from tests.browser import Tab

from .conftest import Stack
from .driving import ids, shows, visit

pytestmark = [
    pytest.mark.xdist_group("dashboard"),
    pytest.mark.timeout(300),
]  # one stack, whose jobs the first waits for

LONG_SERVICE = "video-upscale-and-interpolate-with-a-name-of-many-words"
LONG_WORKER = "gpu-i-0a1b2c3d4e5f60718.eu-central-1.compute.internal"
LONG_JOB = "order-2026-11-30-0000417-of-a-client-that-tells-much-3f1c2b9e-77aa-4b1e-9a53-0b6e4c2f9d11"
VIEWS = ["", "/jobs", "/jobs?state=pending", f"/jobs/{LONG_JOB}", "/jobs/job-00007"]
VIEWS += ["/failures", "/workers", "/services", "/migration"]
OVER = """(() => {
  const over = [];
  for (const one of document.querySelectorAll('thead')) {
    one.classList.toggle('clipped', getComputedStyle(one).position === 'absolute');
  }
  for (const one of document.querySelectorAll('header *, nav *, main *')) {
    if (one.closest('.unseen, pre, .track, time-chart, .clipped')) continue;
    if (getComputedStyle(one.parentElement).overflowX === 'hidden') continue;
    const edge = Math.min(innerWidth, one.closest('.scroll, .card')?.getBoundingClientRect().right ?? innerWidth);
    const { right, width } = one.getBoundingClientRect();
    if (width && right > edge + 1) over.push(one.outerHTML.slice(0, 120));
  }
  return over;
})()"""
"""What reaches beyond the window or the card that it stands in. Text that ends in an ellipsis does not; a table's head
that only a screen reader knows is not looked at."""


@pytest.fixture(scope="module")
def long_names(stack: Stack) -> Iterator[None]:
    """A worker, a service and a job whose names are long, and a service of which two things are to be told."""

    async def beat() -> None:
        queue = await Queue.connect(stack.queue_settings)
        services = (LONG_SERVICE + "-2", "image")
        await queue.heartbeat(WorkerReport(worker_id=LONG_WORKER, services=services, concurrency=4))
        await queue.close()

    asyncio.run(beat())
    stack.post(f"/api/services/{LONG_SERVICE}/pause", {})
    stack.submit({"id": LONG_JOB, "service_required": LONG_SERVICE, "client_id": "c" * 60, "payload": {"x": "y" * 500}})
    yield
    stack.post(f"/api/services/{LONG_SERVICE}/resume", {})
    stack.post(f"/api/jobs/{LONG_JOB}/cancel", {"reason": "z" * 200})
    stack.cancelled.append(LONG_JOB)


@pytest.mark.usefixtures("long_names")
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.partition("-of-")[0] or "overview")
def test_nothing_hangs_over_an_edge_from_small_to_wide_screens(tab: Tab, stack: Stack, view: str) -> None:
    over = {}
    for width in (320, 380, 800, 1_000, 1_200, 1_440):
        tab.look(width, 900)
        visit(tab, stack, view)
        over[width] = tab.tell(OVER)
        assert tab.tell("document.documentElement.scrollWidth") <= width
    assert {width: found for width, found in over.items() if found} == {}


PAPER = 718
"""The width of an A4 sheet between its margins, in px."""


@pytest.mark.usefixtures("long_names")
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.partition("-of-")[0] or "overview")
def test_a_printed_view_has_nothing_to_press_and_is_cut_nowhere(tab: Tab, stack: Stack, view: str) -> None:
    tab.look(PAPER, 1_000, dark=True, media="print")
    visit(tab, stack, view)
    tab.tell("dispatchEvent(new Event('beforeprint'))")
    assert tab.tell(OVER) == []
    pressed = "[...document.querySelectorAll('button, nav, input, select, .skip')].filter(e => e.checkVisibility())"
    assert tab.tell(f"{pressed}.map(e => e.outerHTML)") == []
    cut = "[...document.querySelectorAll('main *')].filter(e => !e.closest('time-chart, .unseen, .progress, .clipped'))"
    cut += ".filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'hidden')"
    assert tab.tell(f"{cut}.map(e => e.outerHTML.slice(0, 200))") == []
    assert f"{stack.base}/dashboard{view}, as of " in tab.tell("document.querySelector('header').innerText")
    assert tab.tell("getComputedStyle(document.documentElement).colorScheme") == "light"
    tab.tell("dispatchEvent(new Event('afterprint'))")
    assert tab.tell("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_a_printed_list_has_every_row_that_was_read(tab: Tab, stack: Stack) -> None:
    tab.look(1_400, 900, media="")
    visit(tab, stack, "/jobs")
    shows(tab, "100 jobs shown")
    seen = ids(tab)
    assert len(seen) < 60
    tab.tell(
        "addEventListener('beforeprint', () => window.printed = document.querySelectorAll('long-list .id').length)"
    )
    tab.call("Page.printToPDF")
    assert tab.tell("window.printed") == 100
    assert ids(tab) == seen


DRAWN = """(() => {
  window.drawn = [];
  const { prototype } = CanvasRenderingContext2D;
  const fill = prototype.fillText;
  prototype.fillText = function (text, x, y) {
    const { e } = this.getTransform();
    const width = this.measureText(text).width;
    const left = x + e - { left: 0, center: width / 2, right: width }[this.textAlign];
    drawn.push({ text, left, right: left + width, wide: this.canvas.width });
    fill.call(this, text, x, y);
  };
})()"""
"""Notes what is written on charts, and from where to where."""


@pytest.mark.parametrize("length_s", [3_600, 86_400, 7 * 86_400], ids=["1h", "24h", "7d"])
@pytest.mark.parametrize("width", [380, 1_400])
def test_no_label_of_a_chart_is_cut_and_times_are_round(tab: Tab, stack: Stack, width: int, length_s: int) -> None:
    """A line of waits of minutes, which ends at a whole day, where a label stands at the edge."""
    tab.look(width, 900)
    visit(tab, stack)
    tab.tell(DRAWN)
    at = [1_800_000_000 // 86_400 * 86_400 - length_s + length_s // 60 * step for step in range(61)]
    values = json.dumps([step * 11_000 for step in range(61)])
    tab.tell(
        "import('/dashboard/static/format.js').then(({ span }) => {"
        "  const chart = document.createElement('time-chart');"
        f"  const lines = [{{ label: 'p99', values: {values}, colour: '--accent' }}];"
        f"  chart.data = {{ title: 'test', at: {json.dumps(at)}, lines, format: span, now: Date.now }};"
        "  document.querySelector('.pair .card').append(chart); drawn.length = 0; })"
    )
    tab.wait("drawn.length > 5")
    labels = tab.tell("drawn")
    assert [one for one in labels if one["left"] < 0 or one["right"] > one["wide"]] == []
    times = [one["text"] for one in labels if " min" in one["text"]]
    assert len(times) > 1
    assert all(text.endswith("min") for text in times), "labels of times are round"
