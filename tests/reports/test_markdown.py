from __future__ import annotations

import html
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.results import Run
from reports.markdown import LENGTH_LIMIT, plain, summary
from tests.reports.samples import SAMPLES, fails, full

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def rendered(run: Run) -> str:
    return str(MARKDOWN.render(summary(run)))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_summary_begins_with_the_verdict(name: str) -> None:
    run = SAMPLES[name]()
    assert f"hubgate: {run.verdict.value}" in summary(run).splitlines()[0]
    assert run.headline in html.unescape(rendered(run))


def test_every_criterion_is_a_line_of_the_table() -> None:
    run = full()
    rows = re.findall("<tr>\n<td>(.*?)</td>\n<td>(.*?)</td>", rendered(run))
    assert [html.unescape(title) for _, title in rows][: len(run.criteria)] == [c.title for c in run.criteria]


def test_an_undeclared_difference_is_named() -> None:
    assert "client-a was answered job_submitted where the hub answers job_accepted." in rendered(fails())


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=60))
def test_text_of_others_comes_out_as_that_text(text: str) -> None:
    made = MARKDOWN.renderInline(f"x {plain(text)}")
    assert "<" not in made
    assert html.unescape(made).replace("\u2060", "").strip() == f"x {' '.join(text.split())}".strip()


@pytest.mark.parametrize("text", ["@everyone look", "see #12", "https://example.org", "![x](y)", "<img src=x>", "a|b"])
def test_text_of_others_is_no_mention_reference_link_or_column(text: str) -> None:
    made = plain(text)
    assert not re.search(r"@\w|(?<!&)#\d|https?://|(?<!\\)[|<\[]", made)


def test_a_long_summary_is_cut_where_a_comment_ends_and_says_so() -> None:
    run = fails()
    many = tuple(msgspec.structs.replace(run.criteria[0], title=f"Criterion {n} " + "long " * 60) for n in range(400))
    text = summary(msgspec.structs.replace(run, criteria=many))
    assert len(text) < LENGTH_LIMIT + 200
    assert text.endswith("The rest is left out here: report.html has it all.\n")
    assert text.count("<details") == text.count("</details>")
