"""Our load as a plug-in of Locust: `install(locust.events)` adds its options, its page, its latencies, its result.

Works in every mode Locust has: with the web page, headless, and distributed over processes or machines. Here is what
the load does at each of Locust's events, in its one process, its master or its workers.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import gevent
import msgspec
from flask import Response, request
from locust import LoadTestShape, runners
from locust.runners import MasterRunner, WorkerRunner

from harness.history import Clock, HistoryWriter
from harness.load.aggregation import Aggregation, Report, report_of
from harness.machine_time import Deadline, MachineLog
from loadtests.load import Load
from loadtests.options import LoadOptions, add_arguments, read_options

START: Final = "hubgate_start"
"""Master to workers: when the load begins, and who takes which part of it."""
REPORT: Final = "hubgate_report"
"""Worker to master: its last report of a test."""
LEAD_S: Final = 1.0
"""From the moment the last user was started to the first second of the plan: users connect meanwhile."""
MISSED_BEATS: Final = 30
"""Of a generator, one a second, until the master takes it for gone. Locust's own three are missed where others have the
machine for a while, and with the last generator the load would end in the midst of its plan.
"""
REPORT_S: Final = 30
"""How long the master waits at most for its generators to say which users they have. The plan is divided among those
that have some: after Locust's own one second a busy machine had begun it with none.
"""
LIVE: Final = "live.jsonl"
REPORTED: Final = "hubgate"
SPAWN_RATE: Final = 50.0
"""Users that are started in a second, where a plan says how many there are."""

log = logging.getLogger(__name__)


def install(events: Any) -> None:
    """Add the plug-in: call it with `locust.events` in a locustfile, once."""
    runners.HEARTBEAT_LIVENESS = MISSED_BEATS  # Locust has no option for it
    os.environ.setdefault("LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP", str(REPORT_S))
    events.init_command_line_parser.add_listener(add_arguments)
    events.init.add_listener(_on_init)


def _on_init(environment: Any, **_: Any) -> None:
    try:
        options = read_options(environment.parsed_options)
    except ValueError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is all there is to know
        sys.exit(2)
    environment.hubgate_plugin = LocustPlugin(environment, options)


class LocustPlugin:
    """The load within one Locust environment."""

    def __init__(self, environment: Any, options: LoadOptions) -> None:
        self.environment = environment
        self.options = options
        self.clock = Clock().seconds
        self.load = self._new_load()
        self.aggregation = Aggregation(self.load.recorder.window_s)
        self._live: Any = None
        self._parts = 1
        events = environment.events
        events.test_start.add_listener(self._on_test_start)
        events.spawning_complete.add_listener(self._on_spawning_complete)
        events.test_stop.add_listener(self._on_test_stop)
        self._is_worker = isinstance(environment.runner, WorkerRunner)
        if self._is_worker:
            environment.runner.register_message(START, self._on_start)
            events.report_to_master.add_listener(self._on_report_to_master)
            return
        events.worker_report.add_listener(self._on_worker_report)
        if isinstance(environment.runner, MasterRunner):
            environment.runner.register_message(REPORT, self._on_last_report)
        self._set_mix()
        if options.shaped:
            environment.shape_class = PlanShape(self)
            environment.shape_class.runner = environment.runner
        if environment.web_ui:
            add_tab(environment.web_ui, self._gathered)

    @property
    def finished(self) -> bool:
        """Whether all processes have sent all that was planned and seen all of it end."""
        self._gather(whole=False)
        return self.aggregation.finished(self._parts)

    @property
    def users_by_locust(self) -> int:
        """Locust's own number of users, for a mix that does not say it."""
        return int(getattr(self.environment.parsed_options, "num_users", None) or 10)

    def _new_load(self) -> Load:
        self.environment.hubgate_load = Load(
            self.environment,
            plan=self.options.plan,
            job=self.options.job,
            population=self.options.population,
            token=self.options.token,
            clock=self.clock,
        )
        load: Load = self.environment.hubgate_load
        return load

    def _set_mix(self) -> None:
        """Exactly the users that were asked for, where any were; else Locust's weights."""
        if not self.options.users:
            return
        present = {one.__name__ for one in self.environment.user_classes}
        if missing := set(self.options.users) - present:
            log.error("there are no users of %s in this locustfile", ", ".join(sorted(missing)))
            sys.exit(2)
        wanted = [one for one in self.environment.user_classes if one.__name__ in self.options.users]
        for user_class in wanted:
            user_class.fixed_count = self.options.users[user_class.__name__]
        self.environment.user_classes = wanted

    # events of a test

    def _on_test_start(self, **_: Any) -> None:
        self.options = read_options(self.environment.parsed_options)
        self.load = self._new_load()
        self.aggregation = Aggregation(self.load.recorder.window_s)
        if self.options.out:
            self.options.out.mkdir(parents=True, exist_ok=True)
            if not isinstance(self.environment.runner, MasterRunner):
                name = self.environment.runner.client_id if self._is_worker else "local"
                self.load.history = HistoryWriter(self.options.out / f"history-{name}.jsonl", about="clients of a load")
        if not self._is_worker:
            if self.options.out:
                (self.options.out / LIVE).unlink(missing_ok=True)
            self._live = gevent.spawn(self._report_live)

    def _on_spawning_complete(self, **_: Any) -> None:
        """All users are there: let the plan begin. (Later calls are changes of the number of users.)"""
        runner = self.environment.runner
        if self._is_worker or self.load.start_at is not None:
            return
        start_at = self.clock() + LEAD_S
        self.load.start(start_at)
        if isinstance(runner, MasterRunner):
            order = [client for client, node in runner.clients.items() if node.user_count]
            self._parts = len(order)
            for part, client in enumerate(order):
                message = {"start_at": start_at, "part": part, "parts": len(order)}
                runner.send_message(START, message, client_id=client)

    def _on_start(self, msg: Any, **_: Any) -> None:
        self.load.start(msg.data["start_at"], msg.data["part"], msg.data["parts"])

    def _on_test_stop(self, **_: Any) -> None:
        """The users have stopped and asked after their last jobs."""
        if self.load.history:
            self.load.history.close()
        if self._is_worker:
            report = msgspec.json.encode(report_of(self.load))
            self.environment.runner.send_message(REPORT, {REPORTED: report})
            return
        if self._live:
            self._live.kill()
        self._gather()
        if self.options.out:
            self._write_live()
            self._write_result()

    # gathering

    def _gather(self, *, whole: bool = True) -> None:
        """A single process reports to itself; a master is reported to."""
        if not isinstance(self.environment.runner, MasterRunner):
            self.aggregation.take("local", report_of(self.load, whole=whole))

    def _gathered(self) -> Aggregation:
        self._gather()
        return self.aggregation

    def _on_report_to_master(self, data: dict[str, Any], **_: Any) -> None:
        data[REPORTED] = msgspec.json.encode(report_of(self.load))

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if REPORTED in data:
            self.aggregation.take(client_id, msgspec.json.decode(data[REPORTED], type=Report))

    def _on_last_report(self, msg: Any, **_: Any) -> None:
        self._on_worker_report(msg.node_id, msg.data)

    def _report_live(self) -> None:
        while True:
            gevent.sleep(1.0)
            self._gather(whole=False)
            self._write_live()

    def _write_live(self) -> None:
        if self.options.out and self.load.start_at is not None:
            line = self.aggregation.live(self.load.second, self.environment.runner.user_count)
            with (self.options.out / LIVE).open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    def _write_result(self) -> None:
        runner = self.environment.runner
        users = runner.final_user_classes_count or runner.target_user_classes_count
        result = self.aggregation.result(
            self.load.plan,
            host=self.environment.host or "",
            users={name: count for name, count in users.items() if count},
            started_at=self.load.start_at or self.clock(),
            seconds=max(0.0, self.load.second),
        )
        if self.options.out:
            (self.options.out / "swarm.json").write_bytes(msgspec.json.encode(result))


class PlanShape(LoadTestShape):
    """Stops the test when the plan is through and no job is under way, or when the drain time is over."""

    abstract = True  # so that Locust does not take it for a shape of the locustfile that imports it

    def __init__(self, plugin: LocustPlugin) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped in Locust
        self._plugin = plugin
        self._drained: Deadline | None = None

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate, or None when it is over."""
        options, load = self._plugin.options, self._plugin.load
        users = sum(options.users.values()) or self._plugin.users_by_locust
        if load.second < options.plan.duration_s:
            self._drained = None
            return users, SPAWN_RATE
        self._drained = self._drained or Deadline(options.drain_s, MachineLog(options.machine))
        return None if self._drained.is_over or self._plugin.finished else (users, SPAWN_RATE)


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
