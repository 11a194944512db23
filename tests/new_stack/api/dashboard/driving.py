"""What a person does on the page, in few words."""

from __future__ import annotations

import json
from typing import Any

from tests.browser import Tab

from .conftest import Stack

CHIPS = "[aria-label=State] .chip"
MAIN = "document.querySelector('main').innerText"


def visit(tab: Tab, stack: Stack, path: str = "") -> None:
    """Open a view and wait until its figures are there."""
    tab.open(f"{stack.base}/dashboard{path}")
    loaded(tab)


def loaded(tab: Tab) -> None:
    tab.wait("!!document.querySelector('main') && !document.querySelector('.empty[role=status]')")


def shows(tab: Tab, text: str) -> None:
    """Wait until the view says this."""
    tab.wait(f"document.querySelector('main')?.innerText.includes({json.dumps(text)})")


def click(tab: Tab, text: str, inside: str = "main") -> None:
    """Press the button or follow the link that says exactly this."""
    wanted = f"e => e.innerText.trim() === {json.dumps(text)}"
    found = f"[...document.querySelectorAll('{inside} button, {inside} a')].find({wanted})"
    tab.wait(f"!!({found})")
    tab.tell(f"{found}.click()")


def enter(tab: Tab, selector: str, text: str) -> None:
    """Type into a field, in place of what it held."""
    tab.tell(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
    tab.call("Input.insertText", text=text)


def ids(tab: Tab) -> list[str]:
    """The jobs in sight."""
    found: list[str] = tab.tell("[...document.querySelectorAll('long-list .id')].map(e => e.innerText)")
    return found


def agree(tab: Tab) -> str:
    """Read the question that is asked, and say yes."""
    tab.wait("!!document.querySelector('dialog[open] button.main')")
    said: str = tab.tell("document.querySelector('dialog[open]').innerText")
    tab.tell("document.querySelector('dialog[open] button.main').click()")
    return said


def clipboard(tab: Tab) -> Any:
    return tab.tell("navigator.clipboard.readText()")


def as_shown(number: int) -> str:
    """A count as the page writes it: whole up to 9,999, then with three figures."""
    return f"{number:,}" if number < 10_000 else f"{float(f'{number / 1000:.3g}'):g}k"
