"""The report's own vocabulary: glyphs, names of columns, and addresses within the page."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from harness.results import CellVerdict, Column, Detection, Link, LinkTo, Standing, Verdict

GLYPH: Final[dict[str, str]] = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?",
    CellVerdict.SAME: "✓",
    CellVerdict.DECLARED: "≈",
    CellVerdict.DIFFERENT: "✗",
    CellVerdict.NOT_APPLICABLE: "—",
    Standing.WORSE: "✗",
    Standing.SAME: "✓",
    Standing.BETTER: "▲",
    Standing.ALONE: "—",
    Detection.CAUGHT: "✓",
    Detection.ELSEWHERE: "✗",
    Detection.MISSED: "✗",
    Detection.NOT_RUN: "—",
}
"""A sign beside every coloured word: colour alone tells some readers nothing. (`inconclusive` is one word for all.)"""

TONE: Final[dict[str, str]] = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.INCONCLUSIVE: "unsure",
    CellVerdict.SAME: "good",
    CellVerdict.DECLARED: "declared",
    CellVerdict.DIFFERENT: "bad",
    CellVerdict.NOT_APPLICABLE: "none",
    Standing.WORSE: "bad",
    Standing.SAME: "good",
    Standing.BETTER: "good",
    Standing.ALONE: "none",
    Detection.CAUGHT: "good",
    Detection.ELSEWHERE: "bad",
    Detection.MISSED: "bad",
    Detection.NOT_RUN: "none",
}

COLUMN: Final = {
    Column.HUB: "Hub",
    Column.HUB_AGAIN: "Hub again",
    Column.STACK_WEBSOCKET: "Stack by WebSocket",
    Column.STACK_SSE: "Stack by SSE",
}

COLUMN_ABOUT: Final = {
    Column.HUB: "the hub against the recording",
    Column.HUB_AGAIN: "the hub against itself: what differs is noise",
    Column.STACK_WEBSOCKET: "the stack against the hub, for old clients",
    Column.STACK_SSE: "the stack against the hub, for new clients",
}


def anchor(kind: str, ref: str) -> str:
    """The id in the page of what a link points to; distinct refs keep distinct ids."""
    plain = re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_" if found[0] != "/" else "__", ref)
    return f"{kind}-{plain}"


def address(link: Link) -> str:
    """Where a link leads: a place in the page, or a file beside it."""
    if link.to is not LinkTo.FILE:
        return f"#{anchor(link.to, link.ref)}"
    return relative(link.ref)


def relative(path: str) -> str:
    """A file's address below the run's folder; what would lead elsewhere (a scheme, `..`) leads nowhere."""
    plain = path.replace("\\", "/")
    if plain.startswith("/") or ".." in plain.split("/") or ":" in plain:
        return "#"
    return "./" + re.sub(r"[^A-Za-z0-9_./-]", lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), plain)


def when(moment: datetime) -> str:
    """`24 November 2026, 20:31 UTC`."""
    return f"{moment.day} {moment:%B %Y, %H:%M %Z}".strip()


def lasted(seconds: float) -> str:
    """`42 s`, `13 min 33 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
