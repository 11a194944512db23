"""What differs, by cause: the cards of the page's first screen, each with what one does about it."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from markupsafe import Markup

from harness.results import Cell, Column, Finding, FindingKind, Run, ScenarioRow, TranscriptEvent
from harness.results.formatting import listed, plural
from reports.frames import show_frame
from reports.labels import COLUMN

FIELDS_SHOWN: Final = 3
FRAME_LIMIT: Final = 500
"""Characters of a frame on a card; its transcript has the rest."""
VALID: Final = timedelta(days=90)
MOST_TIMES: Final = 10
"""As harness.parity.deviations has it; beyond it a difference is declared for each message."""
_WHOLE: Final = {FindingKind.MISSING: ("(sent)", "(not sent)"), FindingKind.EXTRA: ("(not sent)", "(sent)")}
_DULL: Final = {"timestamp", "created_at", "job_id", "worker_id", "client_id"}
_CUT: Final = re.compile(r" … [\d,]+ characters left out … ")


class Place(msgspec.Struct, frozen=True):
    """One difference, and where it was seen."""

    scenario: ScenarioRow
    cell: Cell
    finding: Finding

    @property
    def on_stack(self) -> bool:
        """Whether it is the stack that differs; else the hub is not as it was recorded, or not the same twice."""
        return self.cell.column not in {Column.HUB, Column.HUB_AGAIN}


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in one way, over all recordings. `first` is the example that is shown."""

    places: tuple[Place, ...]
    following: int
    """How many other differences follow from it."""
    declaration: str
    """For scenarios/deviations.toml; empty where the hub is at fault, which no declaration excuses."""
    replay: str
    """The command that plays these recordings again; empty for live traffic, which was not recorded."""

    @property
    def first(self) -> Place:
        """The example."""
        return self.places[0]

    @property
    def recordings(self) -> list[str]:
        """Where it was seen."""
        return list(dict.fromkeys(place.scenario.name for place in self.places))

    @property
    def counted(self) -> str:
        """`Stack by WebSocket, 24 times in 12 recordings: cancel-running, happy-path and 10 more; 3 more follow.`"""
        sides = listed([COLUMN[one] for one in Column if any(place.cell.column is one for place in self.places)])
        number = sum(place.finding.times for place in self.places)
        times = "once" if number == 1 else plural(number, "time")
        where = f"in {plural(len(self.recordings), 'recording')}: {listed(self.recordings, 3)}"
        more = f"; {self.following:,} more {'follows' if self.following == 1 else 'follow'} from it" * bool(
            self.following
        )
        return f"{sides}, {times} {where}{more}."

    @property
    def frames(self) -> list[tuple[str, Markup | None]]:
        """The example's frame on both sides, under the names of the sides."""
        cell, finding = self.first.cell, self.first.finding
        row = cell.rows[finding.row] if finding.row is not None and 0 <= finding.row < len(cell.rows) else None
        sides = (
            (cell.expected_name, row.expected if row else None),
            (cell.observed_name, row.observed if row else None),
        )
        field = finding.field if finding.kind is FindingKind.CHANGED else ""
        return [(name, None if frame is None else _brief(frame, field)) for name, frame in sides]


def causes(run: Run) -> list[Cause]:
    """The stack's before the hub's; those first that together tell of all recordings."""
    ways: dict[Hashable, list[Place]] = {}
    for place in _places(run):
        one = place.finding
        way = (place.on_stack, one.role, one.kind, one.message_type, one.field)
        ways.setdefault(way, []).append(place)
    ordered = sorted(ways.values(), key=lambda places: -len({place.scenario.name for place in places}))
    told: dict[bool, set[str]] = {True: set(), False: set()}
    ranked = []
    for places in ordered:
        names, on_stack = {place.scenario.name for place in places}, places[0].on_stack
        ranked.append((not on_stack, names <= told[on_stack], places))
        told[on_stack] |= names
    return [_cause(run, places) for _, _, places in sorted(ranked, key=lambda each: each[:2])]


def _places(run: Run) -> Iterator[Place]:
    for scenario in run.matrix:
        for cell in scenario.cells:
            yield from (Place(scenario, cell, finding) for finding in cell.causes)


def _cause(run: Run, places: Sequence[Place]) -> Cause:
    return Cause(
        places=tuple(places),
        following=sum(_following(place) for place in places),
        declaration=_declaration(run, places) if places[0].on_stack else "",
        replay=_replay(run, places),
    )


def _following(place: Place) -> int:
    findings = place.cell.findings
    own = next(at for at, finding in enumerate(findings) if finding is place.finding)
    return sum(finding.follows == own for finding in findings)


def _brief(frame: TranscriptEvent, field: str) -> Markup:
    """The frame's type, the field that differs, and some of the others; how many more there are."""
    message = frame.message
    marks = {field: "different"} if field else {}
    if frame.text is not None or not isinstance(message, dict):
        return show_frame(frame, marks, FRAME_LIMIT)
    shown, left = _reduced(message, field)
    more = Markup(" <em>and {}</em>").format(plural(left, "more field")) if left else Markup("")
    return show_frame(msgspec.structs.replace(frame, message=shown), marks, FRAME_LIMIT) + more


def _reduced(message: dict[str, Any], path: str) -> tuple[dict[str, Any], int]:
    """Its type, what lies on the path, and fields that tell most; and how many were left out."""
    name, *deeper = re.split(r"[.\[]", path, maxsplit=1)
    order = ["type", name, "status", "error"]
    ranked = sorted(message, key=lambda key: order.index(key) if key in order else len(order) + (key in _DULL))
    kept = {key: message[key] for key in ranked[:FIELDS_SHOWN]}
    left = len(message) - len(kept)
    if isinstance(inner := kept.get(name), dict):
        kept[name], more = _reduced(inner, "".join(deeper))
        left += more
    return kept, left


def _replay(run: Run, places: Sequence[Place]) -> str:
    """On the targets that the run was given, or on ones of our own."""
    if run.about.profile == "shadow":
        return ""
    names = list(dict.fromkeys(place.scenario.name for place in places))
    wanted = ("--candidate", "--redis", "--prefix") if places[0].on_stack else ("--legacy",)
    command = run.about.command
    given = [part for at, name in enumerate(command[:-1]) if name in wanted for part in (name, command[at + 1])]
    if wanted[0] not in given:
        return shlex.join(["hubgate", "parity", *names])
    return shlex.join(["hubgate", "replay", *(f"scenarios/cassettes/{name}.jsonl" for name in names), *given])


def _declaration(run: Run, places: Sequence[Place]) -> str:
    """One entry for each recording and pair of values; why, and who answers for it, are left to fill in."""
    expires = (run.about.started_at + VALID).date().isoformat()
    counted = Counter((place.scenario.name, place.cell.column is Column.STACK_SSE, _about(place)) for place in places)
    entries = []
    for number, ((scenario, facts, about), times) in enumerate(counted.items(), 1):
        one = places[0].finding
        words = [one.kind.value, one.message_type, *([one.field] if one.field else []), scenario, str(number)]
        lines = ["[[deviation]]", f"name = {_text(re.sub(r'[^a-z0-9]+', '-', '-'.join(words).lower()))}"]
        lines += [f"scenario = {_text(scenario)}", f"role = {_text(one.role)}", f"message = {_text(one.message_type)}"]
        lines += [about, *(['view = "facts"'] if facts else [])]
        if times > 1:
            lines.append(f"times = {times}" if times <= MOST_TIMES else 'each = "message"')
        entries.append("\n".join([*lines, 'reason = ""', 'owner = ""', f"expires = {expires}"]))
    return "\n\n".join(entries) + "\n"


def _about(place: Place) -> str:
    """The lines of a declaration that tell the difference itself."""
    one = place.finding
    if one.kind in _WHOLE:
        message = one.expected if one.observed is None else one.observed
        told = message if isinstance(message, dict) else {}
        name = "status" if isinstance(told.get("status"), str) else "type"
        where = f"\nwhere = {{ {name} = {_value(told[name])} }}" if name in told else ""
        hub, stack = _WHOLE[one.kind]
        return f"hub = {_text(hub)}\nstack = {_text(stack)}{where}"
    if one.kind is FindingKind.REORDERED:
        return 'field = "order"\nhub = "(order)"\nstack = "(order)"'
    return f"field = {_text(one.field)}\nhub = {_value(one.expected)}\nstack = {_value(one.observed)}"


def _value(value: Any) -> str:
    """A value as a declaration has it: what TOML lacks, and what was cut here, as a pattern."""
    if value is None:
        return _text("(null)")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    plain = isinstance(value, str) and value[:1] not in {"~", "="} and value != "(null)"
    if plain and not _CUT.search(text):
        return _text(text)
    return _text("~" + ".*".join(re.escape(part) for part in _CUT.split(text)))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
