"""Figures as inline SVG: themed by the page's style sheet, readable without scripts."""

from __future__ import annotations

from reports.plots.chart import draw_chart
from reports.plots.distribution import draw_distribution
from reports.plots.life import draw_life

__all__ = ["draw_chart", "draw_distribution", "draw_life"]
