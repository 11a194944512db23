"""The queue, the workers and the connections, in figures."""

from __future__ import annotations

from aiohttp import web

from new_stack.api import views
from new_stack.api.routes.answers import answer
from new_stack.api.services import SERVICES


async def stats(request: web.Request) -> web.Response:
    """GET /api/stats."""
    services = request.app[SERVICES]
    snapshot = await services.snapshots.take()
    alive = [worker for worker in snapshot.workers if worker.alive]
    return answer(
        views.StatsView(
            queue=snapshot.counts,
            workers=views.WorkerCounts(
                total=len(snapshot.workers),
                alive=len(alive),
                busy=sum(1 for worker in alive if worker.report.running),
            ),
            connections=views.ConnectionCounts(
                sse=services.connections.sse,
                client=services.connections.count("client"),
                monitor=services.connections.count("monitor"),
            ),
        )
    )


async def workers(request: web.Request) -> web.Response:
    """GET /api/workers."""
    snapshot = await request.app[SERVICES].snapshots.take()
    return answer(views.WorkersView(workers=[views.worker_view(worker) for worker in snapshot.workers]))
