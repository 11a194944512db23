"""What a run found, as data: the one thing that the gate fills and every report is made from (docs/reports.md)."""

from __future__ import annotations

from harness.results.conclusion import conclude
from harness.results.criteria import (
    Comparison,
    Criterion,
    Evidence,
    Link,
    LinkTo,
    Measurement,
    Statement,
    Threshold,
    at_most,
    below,
    count,
)
from harness.results.figures import Chart, Distribution, Limit, Line, Mark, Percentile, Point, Series, percentiles_for
from harness.results.jobs import Count, Tally, Timeline, TimelineEntry
from harness.results.matrix import Cell, CellVerdict, Column, DeclaredBy, Finding, FindingKind, Frame, Row, ScenarioRow
from harness.results.run import SCHEMA, About, LogFile, Machine, Run, Target
from harness.results.storage import UnreadableRun, decode, load, save
from harness.results.trials import DefectRow, Detection, FaultOutcome, FaultRow, Standing, detection
from harness.results.verdict import Verdict, combine

__all__ = [
    "SCHEMA",
    "About",
    "Cell",
    "CellVerdict",
    "Chart",
    "Column",
    "Comparison",
    "Count",
    "Criterion",
    "DeclaredBy",
    "DefectRow",
    "Detection",
    "Distribution",
    "Evidence",
    "FaultOutcome",
    "FaultRow",
    "Finding",
    "FindingKind",
    "Frame",
    "Limit",
    "Line",
    "Link",
    "LinkTo",
    "LogFile",
    "Machine",
    "Mark",
    "Measurement",
    "Percentile",
    "Point",
    "Row",
    "Run",
    "ScenarioRow",
    "Series",
    "Standing",
    "Statement",
    "Tally",
    "Target",
    "Threshold",
    "Timeline",
    "TimelineEntry",
    "UnreadableRun",
    "Verdict",
    "at_most",
    "below",
    "combine",
    "conclude",
    "count",
    "decode",
    "detection",
    "load",
    "percentiles_for",
    "save",
]
