"""The page in a real browser: opened, read and pressed as its reader would. Skipped only where there is no chromium."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports import write
from reports.plots.svg import LEFT, RIGHT, WIDTH
from tests.browser import PATH, Tab, browser
from tests.reports.sample_transcripts import NAMES
from tests.reports.samples import fails, full, many_causes, many_lost
from tests.reports.test_page import SCRIPT, hostile

pytestmark = pytest.mark.skipif(PATH is None, reason="chromium is not installed: the report was not tried in a browser")

CELL = "cell-happy-path__stack-websocket"


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    runs = {
        "fails": fails(),
        "full": full(3),
        "causes": many_causes(),
        "lost": many_lost(),
        "hostile": hostile({"type": SCRIPT, "deep": {SCRIPT: [SCRIPT]}}),
    }
    return {name: write(run, folder / name).page.as_uri() for name, run in runs.items()}


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    with browser("file:") as tab:
        yield tab


@pytest.fixture
def tab(shared: Tab) -> Iterator[Tab]:
    shared.complaints.clear()
    shared.look(1280, 900)
    yield shared
    assert shared.complaints == []


def test_a_reader_follows_the_verdict_to_the_frame_that_differs(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["fails"])
    assert "cannot replace the hub yet" in tab.tell("document.querySelector('h1').innerText")
    tab.tell("[...document.querySelectorAll('.reasons a')].find(a => a.innerText == 'the frame that differs').click()")
    tab.wait("pane.open")
    assert tab.tell("document.getElementById('pane-title').innerText") == "happy-path · Stack by WebSocket"
    differing = "document.querySelector('#pane-body li.different')"
    assert tab.tell(f"{differing}.querySelector('.left mark').innerText") == "job_accepted"
    assert tab.tell(f"{differing}.querySelector('.right mark').innerText") == "job_submitted"
    assert "answered job_submitted" in tab.tell(f"{differing}.querySelector('.finding').innerText")
    box = f"(({{top, bottom}}) => top >= 0 && bottom <= innerHeight)({differing}.getBoundingClientRect())"
    assert tab.tell(box)


def test_a_cause_opens_its_row_and_back_closes_it(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["causes"])
    assert tab.tell("document.querySelectorAll('.cards article').length") == 5
    tab.tell("document.querySelectorAll('.cards article a')[1].click()")
    tab.wait("pane.open && document.querySelector('#pane-body li.at') !== null")
    card = "document.querySelectorAll('.cards article')[1]"
    assert tab.tell(f"document.querySelector('#pane-body li.at').id == {card}.querySelector('a').hash.slice(1)")
    sentence = tab.tell(f"{card}.querySelector('h3').innerText")
    assert sentence in tab.tell("document.querySelector('#pane-body li.at').innerText")
    tab.tell("history.back()")
    tab.wait("!pane.open")


def test_a_cause_is_copied_as_a_declaration_and_as_a_command(tab: Tab, addresses: dict[str, str]) -> None:
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    tab.call("Browser.grantPermissions", permissions=permissions)
    tab.open(addresses["fails"])
    tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # another test's window may have the focus
    for number, begins in enumerate(("[[deviation]]", "hubgate parity happy-path")):
        button = f"document.querySelectorAll('.cards button')[{number}]"
        tab.tell(f"{button}.click()")
        tab.wait(f"{button}.innerText == 'copied'")
        tab.wait(f"navigator.clipboard.readText().then(text => text.startsWith('{begins}'))")


@pytest.mark.parametrize("width", [390, 740, 800, 900, 1000, 1400])
def test_each_figure_has_room_for_its_words(tab: Tab, addresses: dict[str, str], width: int) -> None:
    tab.look(width, 844)
    tab.open(addresses["full"])
    tab.tell("document.querySelectorAll('.criteria details').forEach(one => one.open = true)")
    narrowest = "Math.min(...[...document.querySelectorAll('td[data-label=Figure]')].map(td => td.clientWidth))"
    assert tab.tell(narrowest) >= 110
    out = "[...document.querySelectorAll('.criteria td')].filter(td => td.scrollWidth > td.clientWidth + 1).length"
    assert tab.tell(out) == 0
    assert tab.tell("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["full", "causes"])
def test_a_run_is_printed_on_less_than_ten_pages(tab: Tab, addresses: dict[str, str], name: str) -> None:
    tab.open(addresses[name])
    tab.look(1280, 900, media="print")
    printed = base64.b64decode(tab.call("Page.printToPDF", printBackground=True)["data"])
    assert 1 < len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) < 10
    assert tab.tell("document.querySelectorAll('.example[open], tbody.bad details[open]').length") == 0


def test_what_failed_is_unfolded_in_print(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["fails"])
    tab.look(1280, 900, media="print")
    tab.tell("dispatchEvent(new Event('beforeprint'))")
    seen = (
        "[...document.querySelectorAll('#transcripts li')].filter(li => li.checkVisibility()).map(li => li.className)"
    )
    assert tab.tell(seen) == ["different"]
    assert tab.tell("document.querySelector('tbody.bad dl').checkVisibility()")
    tab.tell("dispatchEvent(new Event('afterprint'))")
    assert not tab.tell("document.querySelector('tbody.bad dl').checkVisibility()")


@pytest.mark.parametrize("name", ["fails", "causes", "full"])
def test_a_run_that_fails_is_short_until_one_asks_for_more(tab: Tab, addresses: dict[str, str], name: str) -> None:
    tab.look(1400, 900)
    tab.open(addresses[name])
    assert tab.tell("document.documentElement.scrollHeight") < 6 * 900


def test_what_is_folded_comes_when_one_asks_for_it(tab: Tab, addresses: dict[str, str]) -> None:
    tab.look(1400, 900)
    tab.open(addresses["full"])
    seen = "[...document.querySelectorAll('{}')].filter(one => one.checkVisibility()).length"
    promise = "#criterion-promise-1 tr"
    assert tab.tell(seen.format(promise)) == 1
    tab.tell("document.querySelector('#criterion-promise-1 summary').click()")
    assert tab.tell(seen.format(promise)) == 3
    assert tab.tell(seen.format("#scenarios tbody tr")) == 0
    tab.tell("document.getElementById('only-differing').click()")
    assert tab.tell(seen.format(".matrix tbody tr")) == len(NAMES)
    assert tab.tell(seen.format("figure")) == 2
    tab.open(f"{addresses['full']}#figure-memory")
    tab.wait("document.getElementById('figure-memory').checkVisibility()")


def test_a_figure_that_a_failure_leads_to_is_not_folded(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["fails"])
    linked = "[...document.querySelectorAll('tbody.bad .see a[href^=\"#figure\"]')].map(a => a.hash.slice(1))"
    assert tab.tell(linked)
    assert tab.tell(f"{linked}.every(id => document.getElementById(id).checkVisibility())")


def test_the_two_sides_stand_beside_each_other(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(f"{addresses['fails']}#{CELL}")
    tab.wait("pane.open")
    lefts, rights = (
        tab.tell(f"[...document.querySelectorAll('#pane-body li .{side}')].map(p => p.getBoundingClientRect().x)")
        for side in ("left", "right")
    )
    assert len(lefts) == len(rights) > 20
    assert max(lefts) + 300 < min(rights)


def test_the_keyboard_alone_is_enough(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["fails"])
    tab.tell(f"document.querySelector('td a[href=\"#{CELL}\"]').focus()")
    tab.press("Enter", 13)
    tab.wait("pane.open && document.activeElement.id == 'pane-title'")
    tab.press("ArrowRight", 39)
    tab.wait("document.getElementById('pane-title').innerText == 'happy-path · Stack by SSE'")
    tab.press("ArrowLeft", 37)
    tab.wait("document.getElementById('pane-title').innerText == 'happy-path · Stack by WebSocket'")
    tab.press("n", 78)
    assert tab.tell("document.querySelectorAll('#pane-body li.at').length") == 1
    tab.press("Escape", 27)
    tab.wait(f"!pane.open && document.activeElement.hash == '#{CELL}'")
    assert tab.tell("document.querySelectorAll('#transcripts .transcript').length") == 16


def test_only_differences_leaves_only_them(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(f"{addresses['fails']}#{CELL}")
    tab.wait("pane.open")
    seen = "[...document.querySelectorAll('#pane-body li')].filter(li => li.offsetParent).length"
    assert tab.tell(seen) > 20
    tab.tell("document.getElementById('only-differences').click()")
    assert tab.tell(seen) == 1


def test_the_matrix_can_be_narrowed_to_what_differs(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["full"])
    rows = "[...document.querySelectorAll('.matrix tbody tr')].filter(tr => tr.offsetParent)"
    seen = f"{rows}.map(tr => tr.cells[0].firstChild.data)"
    assert tab.tell(seen) == []
    tab.tell("document.getElementById('only-differing').click()")
    assert len(tab.tell(seen)) == len(NAMES)
    tab.open(addresses["fails"])
    assert tab.tell(seen) == ["happy-path"]


def test_recordings_and_tests_are_searched_and_chosen_together(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["full"])
    seen = "[...document.querySelectorAll('#scenarios tr[data-words]')].filter(tr => tr.checkVisibility()).length"
    search = "document.getElementById('scenario-search')"
    tab.tell(f"{search}.value = 'odd priority'; {search}.dispatchEvent(new Event('input'))")
    assert tab.tell(seen) == sum("odd-priority" in name for name in NAMES)
    tab.tell(f"{search}.value = ''; {search}.dispatchEvent(new Event('input'))")
    tab.tell("document.querySelector('[data-word=failed]').click()")
    assert tab.tell(seen) == 1
    assert "a_stranger_is_refused" in tab.tell("document.querySelector('#suites tbody').innerText")


def test_a_transcript_is_drawn_as_a_sequence_with_equal_steps_folded(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(f"{addresses['fails']}#{CELL}")
    tab.wait("pane.open")
    tab.tell("document.getElementById('as-diagram').click()")
    lanes = "[...document.querySelectorAll('.sequence .lanes b')].map(b => b.innerText)"
    assert tab.tell(lanes) == ["worker-a", "client-a", "server"]
    assert "job_accepted → job_submitted" in tab.tell("document.querySelector('.sequence .different').innerText")
    steps = "document.querySelectorAll('.sequence li:not(.lanes, .fold)').length"
    folded = tab.tell(steps)
    tab.tell("[...document.querySelectorAll('.sequence .fold button')].forEach(button => button.click())")
    assert tab.tell(steps) == tab.tell("document.querySelectorAll('#pane-body ol:not(.sequence) > li').length")
    assert tab.tell(steps) > 3 * folded
    tab.tell(
        "(s => {s.value = 'client-a'; s.dispatchEvent(new Event('change'))})(document.getElementById('one-actor'))"
    )
    assert tab.tell(lanes) == ["client-a", "server"]
    tab.tell("document.querySelector('.sequence .different button').click()")
    assert tab.tell("document.querySelector('#pane-body li.at').checkVisibility()")
    tab.tell("document.querySelector('[data-do=close]').click()")
    tab.wait("document.querySelectorAll('.sequence, #transcripts li[hidden]').length == 0")


def test_the_values_of_a_figure_are_told_where_the_pointer_is(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["full"])
    tab.tell("document.querySelector('#figures svg').scrollIntoView()")
    box = "(({x, y, width, height}) => [x + width * .6, y + height / 2])"
    x, y = tab.tell(f"{box}(document.querySelector('#figures svg').getBoundingClientRect())")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    told = tab.tell("document.getElementById('tip').textContent").splitlines()
    assert told[0] == "p99"
    assert re.fullmatch(r"new stack: 9\.3\d? ms", told[1])
    assert told[-1] == "limit for p99: 20 ms"
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert tab.tell("document.getElementById('tip').hidden")


def test_every_job_in_trouble_has_a_row_however_many_there_are(tab: Tab, addresses: dict[str, str]) -> None:
    page = Path(addresses["lost"].removeprefix("file://"))
    assert page.stat().st_size < 5_000_000
    tab.open(addresses["lost"])
    assert tab.tell("document.querySelectorAll('.jobs li').length") == 1_990
    assert tab.tell("document.querySelectorAll('details.life').length") == 10
    tab.open(f"{addresses['lost']}#timeline-lost-1999")
    tab.wait("document.getElementById('timeline-lost-1999').checkVisibility()")


def test_a_click_on_a_spike_leads_to_its_jobs_and_from_there_to_their_lives(
    tab: Tab, addresses: dict[str, str]
) -> None:
    tab.open(f"{addresses['full']}#figure-claimed-over-time")
    figure = "document.getElementById('figure-claimed-over-time')"
    tab.wait(f"{figure}.checkVisibility()")
    tab.tell(f"{figure}.scrollIntoView()")
    at_15_s = (LEFT + (WIDTH - LEFT - RIGHT) * 15 / 59) / WIDTH
    place = f"(({{x, y, width, height}}) => [x + width * {at_15_s}, y + height * .4])"
    x, y = tab.tell(f"{place}({figure}.querySelector('svg').getBoundingClientRect())")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert "click" in tab.tell("document.getElementById('tip').textContent")
    for kind in ("mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    tab.wait("document.activeElement.matches('.moments li.at')")
    assert tab.tell("document.activeElement.innerText.split(/\\s+/).slice(0, 2).join(' ')") == "15 s"
    assert tab.tell("document.activeElement.querySelectorAll('code').length") == 3
    row, around = (
        f"document.{one}.getBoundingClientRect()" for one in ("activeElement", "activeElement.parentElement")
    )
    assert tab.tell(f"{row}.top >= {around}.top && {row}.bottom <= {around}.bottom + 1 && {row}.bottom <= innerHeight")
    tab.tell("document.activeElement.querySelector('a').click()")
    tab.wait("document.getElementById('timeline-lost-0001').open")
    assert tab.tell("location.hash") == "#timeline-lost-0001"


def test_the_jobs_of_spikes_are_reached_by_the_keyboard_too(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["full"])
    for summary in ("#figures > .rest > summary", ".moments summary"):
        tab.tell(f"document.querySelector('{summary}').focus()")
        tab.press("Enter", 13)
        tab.wait("document.activeElement.parentElement.open")
    tab.wait("document.querySelector('.moments').open")
    assert tab.tell("document.querySelectorAll('.moments li').length") == 60


def test_a_link_to_a_job_in_trouble_opens_its_life(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(f"{addresses['full']}#timeline-lost-0003")
    tab.wait("document.getElementById('timeline-lost-0003').open")
    assert tab.tell("document.querySelectorAll('#timeline-lost-0003 svg circle').length") == 11


def test_a_script_in_a_frame_does_not_run(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["hostile"])
    tab.tell("document.querySelector('.matrix a').click()")
    tab.wait("pane.open")
    assert "stolen" in tab.tell("document.getElementById('pane-body').innerText")
    assert "stolen" not in tab.tell("document.title")
    assert tab.tell("document.images.length") == 0


@pytest.mark.parametrize(("width", "name"), [(390, "full"), (390, "fails"), (390, "hostile"), (1280, "full")])
def test_nothing_sticks_out_sideways(tab: Tab, addresses: dict[str, str], width: int, name: str) -> None:
    tab.look(width, 844)
    tab.open(addresses[name])
    assert tab.tell("document.documentElement.scrollWidth") <= width
    tab.tell("document.querySelector('.matrix a').click()")
    tab.wait("pane.open")
    assert tab.tell("document.getElementById('pane-body').scrollWidth") <= width


def test_dark_is_dark_and_paper_is_white(tab: Tab, addresses: dict[str, str]) -> None:
    tab.open(addresses["full"])
    ground = "getComputedStyle(document.body).backgroundColor"
    tab.look(1280, 900, dark=True)
    assert tab.tell(ground) == "rgb(18, 21, 24)"
    tab.look(1280, 900)
    assert tab.tell(ground) == "rgb(247, 247, 245)"
    tab.look(1280, 900, dark=True, media="print")
    assert tab.tell(ground) == "rgb(255, 255, 255)"
    assert tab.tell("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 33, 38)"
    assert tab.tell("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_without_scripts_a_cells_link_still_opens_its_transcript(tab: Tab, addresses: dict[str, str]) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(f"{addresses['full']}#cell-cancel-running__stack-sse")
        tab.wait("document.getElementById('cell-cancel-running__stack-sse').parentElement.open")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_without_scripts_a_cause_is_a_link_to_its_row(tab: Tab, addresses: dict[str, str]) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(addresses["causes"])
        row = tab.tell("document.querySelector('.cards a').hash")
        tab.open(f"{addresses['causes']}{row}")
        tab.wait(f"document.querySelector('{row}').checkVisibility()")
        assert not tab.tell("document.querySelector('.cards button').checkVisibility()")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_browser_tells_of_a_page_that_is_wrong(shared: Tab, tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text("<script>missing()</script><img src='http://127.0.0.1:9/x.png'>")
    shared.complaints.clear()
    shared.open(page.as_uri())
    shared.wait("document.readyState == 'complete'")
    assert any("missing" in complaint for complaint in shared.complaints)
    assert any("asked the network" in complaint for complaint in shared.complaints)
