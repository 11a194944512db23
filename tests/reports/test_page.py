from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import reports
from harness.results import (
    Cell,
    CellVerdict,
    Column,
    Finding,
    FindingKind,
    Link,
    LinkTo,
    Parts,
    Row,
    Run,
    ScenarioRow,
    TranscriptEvent,
    conclude,
)
from reports.labels import anchor, relative
from reports.page import page
from tests.reports.samples import SAMPLES, about, fails, full, passes

THREE_MB = 3_000_000
TEMPLATES = Path(reports.__file__).parent / "templates"
SCRIPT = "</script><script>document.title='stolen'</script><img src=x onerror=alert(1)>"


class Outline(HTMLParser):
    """What a page is made of, as far as its tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.addresses += [str(found[name]) for name in ("href", "src", "action") if found.get(name)]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


@pytest.fixture(params=SAMPLES, scope="module")
def outline(request: pytest.FixtureRequest) -> Outline:
    return Outline(page(SAMPLES[request.param]()))


def hostile(message: object, *, text: str | None = None) -> Run:
    rows = [Row(actor=SCRIPT, expected=TranscriptEvent(at=0, event="receive", message=message, text=text),
                observed=TranscriptEvent(at=0, event=SCRIPT, message=message, text=text))]  # fmt: skip
    finding = Finding(kind=FindingKind.CHANGED, actor=SCRIPT, sentence=SCRIPT, field=SCRIPT, expected=SCRIPT,
                      observed=message, row=0)  # fmt: skip
    cell = Cell.judged(
        Column.STACK_WEBSOCKET, findings=[finding], rows=rows, expected_name=SCRIPT, observed_name=SCRIPT
    )
    link = Link(to=LinkTo.FILE, ref="javascript:alert(1)", label=SCRIPT)
    criterion = msgspec.structs.replace(fails().criteria[0], title=SCRIPT, explanation=SCRIPT, links=(link,))
    return conclude(
        about("quick", 1), Parts(criteria=[criterion], matrix=[ScenarioRow(name=SCRIPT, about=SCRIPT, cells=(cell,))])
    )


def test_every_link_within_the_page_leads_somewhere(outline: Outline) -> None:
    inside = [address[1:] for address in outline.addresses if address.startswith("#")]
    assert inside
    assert set(inside) <= set(outline.ids)


def test_no_id_is_used_twice(outline: Outline) -> None:
    assert len(outline.ids) == len(set(outline.ids))


def test_the_page_asks_nothing_of_anybody_else(outline: Outline) -> None:
    assert [address for address in outline.addresses if not address.startswith(("#", "./"))] == []
    style = (TEMPLATES / "page.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_headings_go_down_one_level_at_a_time(outline: Outline) -> None:
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)


def test_every_picture_is_told_to_those_who_cannot_see_it(outline: Outline) -> None:
    pictures = [found for tag, found in outline.tags if tag == "svg"]
    assert all(found.get("role") == "img" or found.get("aria-hidden") == "true" for found in pictures)


@pytest.mark.parametrize("lost", [0, 1, 2000])
def test_a_full_gate_is_under_three_megabytes(lost: int) -> None:
    assert len(page(full(lost)).encode()) < THREE_MB


def test_where_there_is_no_room_the_same_transcripts_go_first_and_that_is_said() -> None:
    run = fails()
    whole, limit = page(run), 110_000
    assert len(whole.encode()) > limit
    text = page(run, limit)
    assert len(text.encode()) <= limit
    assert "Left out to keep this page small" in text
    assert "Left out to keep this page small" not in whole
    assert "job_submitted" in text.split('id="cell-happy-path__stack-websocket"')[1].split("</details>")[0]


def test_a_script_in_a_frame_stays_text() -> None:
    text = page(hostile({"type": SCRIPT, SCRIPT: SCRIPT, "deep": {SCRIPT: [SCRIPT]}}))
    tags = [tag for tag, _ in Outline(text).tags]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert "onerror" not in {name for _, found in Outline(text).tags for name in found}
    assert "javascript:" not in Outline(text).addresses


@pytest.mark.parametrize("kind", ["field", "fields", "text", "list", "sentence"])
def test_a_large_frame_is_cut_and_says_so(kind: str) -> None:
    huge = "x" * 5_000_000
    run = {
        "field": lambda: hostile({"type": "complete_job", "image": huge}),
        "fields": lambda: hostile({"type": "t"} | {f"k{n}": "y" * 1000 for n in range(150)}),
        "text": lambda: hostile(None, text=huge),
        "list": lambda: hostile([huge]),
        "sentence": lambda: msgspec.structs.replace(fails(), problems=(huge,)),
    }[kind]()
    text = page(run)
    assert len(text.encode()) < 300_000
    assert "characters left out" in text


def test_two_scenarios_never_share_an_address() -> None:
    names = ["a/b", "a_b", "a b", "a__b", "a:b", "a_2f_b", "A/B"]
    assert len({anchor("cell", name) for name in names}) == len(names)


@pytest.mark.parametrize("path", ["/etc/passwd", "../run", "a/../../b", "javascript:x", "http://x/y", "C:\\x"])
def test_a_file_outside_the_runs_folder_is_not_linked(path: str) -> None:
    assert relative(path) == "#"


def test_a_file_in_the_runs_folder_is_linked_whatever_its_name() -> None:
    assert relative("logs/worker 1#ü.log") == "./logs/worker%201%23%C3%BC.log"


def test_the_first_words_are_the_verdict_and_its_reasons() -> None:
    body = re.sub("<[^>]*>", "", page(fails()).split('<main id="main">')[1])
    first = " ".join(body.split())[:600]
    assert first.startswith("✗ fail The stack cannot replace the hub yet: 2 of 2 criteria fail.")
    assert "p99 of claims = 31.7 ms, must be under 20 ms." in first


def test_a_run_that_passes_has_no_reasons_to_give() -> None:
    assert 'class="reasons"' not in page(passes())


def test_a_scenario_that_does_not_apply_has_no_transcript_to_open() -> None:
    run = full()
    quiet = [row.name for row in run.matrix if (cell := row.cell(Column.STACK_SSE)) and
             cell.verdict is CellVerdict.NOT_APPLICABLE]  # fmt: skip
    assert quiet
    text = page(run)
    assert all(anchor("cell", f"{name}/stack-sse") not in text for name in quiet)


def colours(theme: str) -> dict[str, str]:
    found = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6})", theme))
    return {
        name: value if len(value) == 7 else "#" + "".join(c * 2 for c in value[1:]) for name, value in found.items()
    }


def luminance(colour: str) -> float:
    def part(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (part(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(theme: int) -> None:
    of = colours((TEMPLATES / "page.css").read_text().split(":root {")[theme + 1].split("}")[0])
    tones = ("good", "bad", "unsure", "declared", "none")
    pairs = [(text, ground) for text in ("ink", "dim", "link", *tones) for ground in ("panel", "page")]
    pairs += [(tone, f"{tone}-soft") for tone in tones] + [("ink", f"{tone}-soft") for tone in tones]
    pairs += [("dim", f"{tone}-soft") for tone in tones]
    poor = {pair: round(contrast(of[pair[0]], of[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_stand_out_from_what_is_behind_them(theme: int) -> None:
    of = colours((TEMPLATES / "page.css").read_text().split(":root {")[theme + 1].split("}")[0])
    assert min(contrast(of[f"s{number}"], of["panel"]) for number in range(6)) >= 3


def test_the_contrast_rule_sees_grey_on_grey() -> None:
    assert contrast("#777777", "#888888") < 4.5 < contrast("#000000", "#ffffff")


def test_the_first_screen_tells_what_changed_since_the_baseline() -> None:
    made = re.sub(r"<[^>]+>", "", page(full()).split('id="criteria"')[0])
    assert "Since v0.1: 1 worse, 2 the same." in made
    assert made.index("p99 of progress 18.9 ms, 35 % more than v0.1") < made.index(
        "p99 of claims 9.1 ms, 8 % more than v0.1"
    )
    assert "Since" not in page(passes()).split('id="criteria"')[0]


def test_what_a_failure_rests_on_is_linked_from_its_reason() -> None:
    made = full(1)
    broken = msgspec.structs.replace(made.criteria[3], explanation=f"{made.timelines[0].trouble.partition(': ')[2]}.")
    run = msgspec.structs.replace(made, criteria=(broken,))
    assert f'href="#{anchor("timeline", made.timelines[0].id)}"' in page(run).split('id="criteria"')[0]


def test_each_job_in_trouble_has_a_row() -> None:
    text = page(full(2000))
    assert "1,960 more" in text
    outline = Outline(text)
    assert sum(one.startswith("timeline-") for one in outline.ids) == 2000
