from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from harness.processes import free_port
from tests.loadtests.servers import serving
from tests.loadtests.swarms import LOCUSTFILE


def fetched(url: str, data: bytes | None = None) -> str:
    with urllib.request.urlopen(url, data=data, timeout=5) as answer:
        return answer.read().decode()


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except OSError:
            pass
        assert time.monotonic() < limit, "not in time"
        time.sleep(0.1)


def test_the_web_page_shows_our_figures_beside_locusts() -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--class-picker"]
    command += ["--web-host", "127.0.0.1", "--web-port", str(port)]
    with serving() as (host, _):
        process = subprocess.Popen(command, cwd=LOCUSTFILE.parents[1], stderr=subprocess.PIPE, text=True)
        try:
            index = until(lambda: fetched(page))
            assert "Exact percentiles" in index
            assert "ModernSseUser" in index, "the class picker lists our users"
            form = f"user_count=4&spawn_rate=4&host={host}&rate=20&user_classes=ModernSseUser".encode()
            assert json.loads(fetched(f"{page}/swarm", form))["success"]

            def exact() -> dict[tuple[str, str], int]:
                stats = json.loads(fetched(f"{page}/stats/requests"))
                table = stats["extended_stats"][0]["data"]
                names = {row["name"] for row in stats["stats"]}
                if "submit to ended" not in names:
                    return {}
                return {(row["name"], row["transport"]): row["count"] for row in table}

            counts = until(lambda: (found := exact()).get(("submit to ended", "sse"), 0) > 20 and found)
            assert counts["submit to claimed", "all"] >= counts["submit to ended", "all"]
            rows = list(csv.DictReader(io.StringIO(fetched(f"{page}/hubgate/csv"))))
            assert {row["name"] for row in rows} >= {"submit to accepted", "progress to client"}
        finally:
            process.terminate()
            process.communicate(timeout=20)
