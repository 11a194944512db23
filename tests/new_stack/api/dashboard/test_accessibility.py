"""Every view judged by axe-core, in light and dark, wide and small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Tab

from .conftest import Stack
from .driving import shows, visit

pytestmark = [
    pytest.mark.xdist_group("dashboard"),
    pytest.mark.timeout(300),
]  # one stack, whose jobs the first waits for

VIEWS = ["", "/jobs", "/jobs/job-00007", "/failures", "/workers", "/services", "/migration"]
RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }"


def violations(tab: Tab, npm: Path) -> list[str]:
    tab.tell((npm / "axe-core/axe.min.js").read_text() + ";true")
    told = "v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html + ' ' + (n.any[0]?.message ?? '')).slice(0, 3)"
    found: list[str] = tab.tell(f"axe.run(document, {RULES}).then(r => r.violations.map({told}))")
    return found


@pytest.mark.parametrize("width", [1400, 380], ids=["wide", "small"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_read_by_everybody(
    tab: Tab, stack: Stack, npm: Path, view: str, width: int, *, dark: bool
) -> None:
    tab.look(width, 900, dark=dark)
    visit(tab, stack, view)
    assert violations(tab, npm) == []


def test_a_question_and_the_palette_can_be_read_by_everybody(tab: Tab, stack: Stack, npm: Path) -> None:
    visit(tab, stack, "/workers")
    tab.tell("document.querySelector('tbody button').click()")
    tab.wait("!!document.querySelector('dialog[open]')")
    assert violations(tab, npm) == []
    tab.tell("document.querySelector('dialog').close('no'); document.querySelector('header .search').click()")
    tab.wait("!!document.querySelector('dialog.palette[open]')")
    assert violations(tab, npm) == []


def test_the_first_tab_leads_past_the_navigation_and_focus_is_seen(tab: Tab, stack: Stack) -> None:
    visit(tab, stack)
    tab.press("Tab", 9)
    assert tab.tell("document.activeElement.className") == "skip"
    assert tab.tell("document.activeElement.getBoundingClientRect().top") >= 0
    tab.press("Tab", 9)
    tab.press("Tab", 9)
    assert tab.tell("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shows(tab, "Services")
