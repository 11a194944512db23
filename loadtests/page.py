"""Our latencies on Locust's page: a tab with exact percentiles, and the same as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, Final

import msgspec
from flask import Response, request

from loadtests.aggregation import Aggregation

KEY: Final = "hubgate"
PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
COLUMNS: Final = {
    "name": "Latency",
    "transport": "Protocol",
    "count": "Count",
    **{key: f"p{percent:g} (ms)" for key, percent in PERCENTILES.items() if percent < 100},
    "max": "Max (ms)",
}


def rows(aggregation: Aggregation) -> list[dict[str, Any]]:
    """One row for each latency and protocol, exact to 0.1 %."""
    return [
        {
            "name": str(metric),
            "safe_name": str(metric),
            "transport": series.label,
            "count": series.count,
            **{key: series.at(percent) for key, percent in PERCENTILES.items()},
        }
        for metric, found in aggregation.latencies().items()
        for series in (found.overall, *found.by_transport.values())
    ]


def add_tab(web_ui: Any, aggregation: Callable[[], Aggregation]) -> None:
    """Extend the page the way that Locust documents for locustfiles."""
    web_ui.template_args["extended_tabs"] = [{"title": "Exact percentiles", "key": KEY}]
    web_ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS.items()]}
    ]
    web_ui.template_args["extended_csv_files"] = [{"href": "/hubgate/csv", "title": "Download exact percentiles CSV"}]

    @web_ui.app.after_request  # type: ignore[untyped-decorator] # Flask's app comes from an untyped attribute
    def add_latencies(response: Response) -> Response:
        if request.path == "/stats/requests" and isinstance(response.json, dict):
            latencies = [{"key": KEY, "data": rows(aggregation())}]
            response.set_data(msgspec.json.encode({**response.json, "extended_stats": latencies}))
        return response

    @web_ui.app.route("/hubgate/csv")  # type: ignore[untyped-decorator]
    def exact_percentiles() -> Response:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(COLUMNS), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows(aggregation()))
        return Response(text.getvalue(), mimetype="text/csv")
