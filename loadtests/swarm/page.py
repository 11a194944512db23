"""Our figures on Locust's page: a tab with exact percentiles, and the same as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, Final

import msgspec
from flask import Response, request

from loadtests.swarm.assembly import Assembly

KEY: Final = "hubgate"
COLUMNS: Final = {
    "name": "Figure",
    "wire": "Protocol",
    "count": "Count",
    "p50": "p50 (ms)",
    "p90": "p90 (ms)",
    "p99": "p99 (ms)",
    "p999": "p99.9 (ms)",
    "max": "Max (ms)",
}


def rows(assembly: Assembly) -> list[dict[str, Any]]:
    """One row for each figure and protocol, exact to 0.1 %."""
    return [
        {
            "name": str(figure),
            "safe_name": str(figure),
            "wire": wire,
            "count": one.count,
            "p50": one.p50_ms,
            "p90": one.p90_ms,
            "p99": one.p99_ms,
            "p999": one.p999_ms,
            "max": one.max_ms,
        }
        for figure, found in assembly.figures().items()
        for wire, one in {"all": found.overall, **found.by_wire}.items()
    ]


def add_tab(web_ui: Any, assembly: Callable[[], Assembly]) -> None:
    """Extend the page the way that Locust documents for locustfiles."""
    web_ui.template_args["extended_tabs"] = [{"title": "Exact percentiles", "key": KEY}]
    web_ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS.items()]}
    ]
    web_ui.template_args["extended_csv_files"] = [{"href": "/hubgate/csv", "title": "Download exact percentiles CSV"}]

    @web_ui.app.after_request  # type: ignore[untyped-decorator] # Flask's app comes from an untyped attribute
    def add_figures(response: Response) -> Response:
        if request.path == "/stats/requests" and isinstance(response.json, dict):
            figures = [{"key": KEY, "data": rows(assembly())}]
            response.set_data(msgspec.json.encode({**response.json, "extended_stats": figures}))
        return response

    @web_ui.app.route("/hubgate/csv")  # type: ignore[untyped-decorator]
    def exact_percentiles() -> Response:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(COLUMNS), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows(assembly()))
        return Response(text.getvalue(), mimetype="text/csv")
