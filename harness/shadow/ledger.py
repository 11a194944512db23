"""Compares, counts by cause, and writes down what it finds as it finds it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.cassettes import INCOMING, Event
from harness.cassettes.replay.matrix import row_of
from harness.parity import parity_of
from harness.parity.deviations import Deviations
from harness.parity.findings import folded
from harness.results import Cell, CellVerdict, Column, Finding
from harness.shadow.timing import alike, marked

FILE_NAME: Final = "findings.jsonl"
SCENARIO: Final = "shadow"
"""As what a declared difference names live traffic."""
EXAMPLES: Final = 3
"""Of each cause that are written down whole."""
TELL_EVERY_S: Final = 10.0


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun"):
    """The follower has begun, or has begun again."""

    at: dt.datetime
    primary: str
    candidate: str
    sample: float


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found", omit_defaults=True):
    """One comparison with a difference that nobody declared. `example` is the whole of it, where one is new."""

    at: dt.datetime
    client: str
    causes: list[tuple[str, str]]
    """Of each difference what it is counted by, and its sentence."""
    example: Cell | None = None


class Counts(msgspec.Struct, kw_only=True, tag="counts", omit_defaults=True):
    """What was compared, and what was not, since the last such line."""

    at: dt.datetime | None = None
    compared: dict[str, int] = {}
    """Comparisons by their verdicts."""
    jobs: int = 0
    frames: int = 0
    declared: dict[str, int] = {}
    noise: int = 0
    not_compared: dict[str, int] = {}
    """What should have been compared, by the reason why it was not."""
    left_out: dict[str, int] = {}
    """What is not to be compared, by the reason."""


Line = Begun | Found | Counts
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class Tallied(msgspec.Struct):
    """One cause so far."""

    sentence: str
    times: int = 0
    clients: set[str] = msgspec.field(default_factory=set)
    first: dt.datetime | None = None
    last: dt.datetime | None = None


MOST_CLIENTS: Final = 1_000
"""Whose names are kept for one cause."""


class Sums:
    """All lines, added up."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("compared", "declared", "not_compared", "left_out")
        }
        self.jobs = self.frames = self.noise = 0
        self.causes: dict[str, Tallied] = {}

    def add(self, line: Line) -> None:
        """One more line."""
        if isinstance(line, Counts):
            for name, counter in self.counts.items():
                counter.update(getattr(line, name))
            self.jobs, self.frames, self.noise = (
                self.jobs + line.jobs,
                self.frames + line.frames,
                self.noise + line.noise,
            )
        elif isinstance(line, Found):
            for cause, sentence in line.causes:
                one = self.causes.setdefault(cause, Tallied(sentence, first=line.at))
                one.times, one.last = one.times + 1, line.at
                if len(one.clients) < MOST_CLIENTS:
                    one.clients.add(line.client)


class Ledger:
    """One file of lines, and their sums."""

    def __init__(self, folder: Path, deviations: Deviations) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE_NAME).open("ab")
        self._deviations = deviations
        self._since = Counts()
        self._examples: Counter[str] = Counter()
        self.sums: Final = Sums()

    def begin(self, primary: str, candidate: str, sample: float) -> None:
        """Write down what is compared."""
        self._write(Begun(at=_now(), primary=primary, candidate=candidate, sample=sample))

    def compare(self, client: str, expected: Sequence[Event], observed: Sequence[Event], *, is_job: bool) -> None:
        """Hold one side against the other, and write down what differs."""
        expected, observed = [alike(event) for event in expected], [alike(event) for event in observed]
        parity = parity_of(expected, observed)
        findings = self._deviations.declare(
            marked(parity, expected, observed), SCENARIO, _now().date(), frames=parity.frames, jobs=parity.jobs
        )
        findings = folded(findings, parity.frames)
        cell = Cell.judged(
            Column.STACK_WEBSOCKET,
            findings=findings,
            rows=[row_of(expected, observed, left, right) for left, right in parity.rows],
            expected_name="hub",
            observed_name="stack",
        )
        self._count(cell, findings, sum(isinstance(event, INCOMING) for event in expected), is_job=is_job)
        if cell.causes:
            self._found(client, cell)

    def not_compared(self, reason: str, number: int = 1) -> None:
        """Something should have been compared and was not."""
        _add(self._since.not_compared, reason, number)

    def left_out(self, reason: str, number: int = 1) -> None:
        """Something is not to be compared."""
        _add(self._since.left_out, reason, number)

    def passed_by(self, counts: Mapping[str, int]) -> None:
        """The proxy has not shown these at all."""
        for reason, number in counts.items():
            self.left_out(reason, number)

    def tell_counts(self) -> None:
        """Write down what was counted since the last time."""
        counts, self._since = self._since, Counts()
        if counts != self._since:
            counts.at = _now()
            self._write(counts)

    def close(self) -> None:
        """Write down the rest."""
        self.tell_counts()
        self._file.close()

    def _count(self, cell: Cell, findings: Sequence[Finding], frames: int, *, is_job: bool) -> None:
        _add(self._since.compared, cell.verdict.value)
        self._since.frames += frames
        self._since.jobs += is_job and cell.verdict is not CellVerdict.INCONCLUSIVE
        self._since.noise += sum(finding.noise for finding in findings)
        for finding in findings:
            if finding.declared:
                _add(self._since.declared, finding.declared.name)

    def _found(self, client: str, cell: Cell) -> None:
        causes = [(cause_of(finding), finding.sentence) for finding in cell.causes]
        is_new = any(self._examples[cause] < EXAMPLES for cause, _ in causes)
        self._examples.update(cause for cause, _ in causes)
        self._write(Found(at=_now(), client=client, causes=causes, example=cell if is_new else None))

    def _write(self, line: Line) -> None:
        self.sums.add(line)
        self._file.write(_encoder.encode(line) + b"\n")
        self._file.flush()


def cause_of(finding: Finding) -> str:
    """What differences that are alike are counted by, as a report counts them."""
    return f"{finding.role} {finding.kind.value} {finding.message_type} {finding.field}".rstrip()


def _add(counts: dict[str, int], name: str, number: int = 1) -> None:
    if number:
        counts[name] = counts.get(name, 0) + number


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
