"""Figures as inline SVG: themed by the page's style sheet, readable without scripts."""

from __future__ import annotations

from reports.plots.figures import draw_chart, draw_distribution
from reports.plots.timeline import draw_timeline

__all__ = ["draw_chart", "draw_distribution", "draw_timeline"]
