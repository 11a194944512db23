"""The connector for ComfyUI: a workflow is queued over HTTP, followed over a WebSocket, and read from the history.

The payload is a workflow in the API format, or carries one under `workflow` or `prompt`. The result names the files
that the workflow made and where to fetch them: pictures do not belong in Redis.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from new_stack.worker.connectors import JobContext, JobFailed
from new_stack.worker.connectors.http import HttpConnector, HttpSettings, RequestRefused, run_remote


class ComfyUISettings(HttpSettings, frozen=True, kw_only=True):
    """`url` is the server's, without a path: http://127.0.0.1:8188."""

    url: str = "http://127.0.0.1:8188"
    timeout_s: float = 30
    poll_s: float = 5
    """How often the history is asked when the WebSocket says nothing, or is gone."""
    poll_failures: int = 5
    """How many of these questions in a row may fail before the server counts as gone."""


class ComfyUIConnector(HttpConnector):
    """Runs workflows. Each job has a WebSocket of its own: the server sends a client its own progress only."""

    Settings = ComfyUISettings

    def __init__(self, settings: ComfyUISettings) -> None:
        super().__init__(settings)
        self._url = settings.url.rstrip("/")

    async def run(self, job: JobContext) -> Any:
        """Queue the workflow, follow it, and return what it made."""
        workflow = workflow_in(job.payload)
        client_id = uuid.uuid4().hex
        socket = await self._listen(client_id)

        async def follow(prompt_id: str) -> Any:
            await self._follow(socket, WorkflowProgress(prompt_id, workflow), job)
            return await self._result(prompt_id)

        try:
            return await run_remote(self._queue_prompt(workflow, client_id, job), follow, self._stop)
        finally:
            if socket is not None:
                await socket.close()

    async def _listen(self, client_id: str) -> aiohttp.ClientWebSocketResponse | None:
        """The socket on which the server reports progress; None where it cannot be had: the history is asked then."""
        url = f"{self._url}/ws?{urlencode({'clientId': client_id})}"
        try:
            return await self.open_websocket(url, ping_s=self.settings.poll_s * 2, max_message_bytes=0)
        except JobFailed:
            return None

    async def _queue_prompt(self, workflow: dict[str, Any], client_id: str, job: JobContext) -> str:
        body = {"prompt": workflow, "client_id": client_id}
        try:
            answer = await self.call("POST", f"{self._url}/prompt", body=body, job=job)
        except RequestRefused as refused:
            raise JobFailed(validation_error(refused), retryable=refused.retryable) from refused
        prompt_id = answer.json().get("prompt_id")
        if not isinstance(prompt_id, str):
            raise JobFailed("the server took the workflow but gave no prompt_id")
        return prompt_id

    async def _follow(
        self, socket: aiohttp.ClientWebSocketResponse | None, progress: WorkflowProgress, job: JobContext
    ) -> None:
        """Report progress until the workflow is over; ask for it where the socket stays silent or broke."""
        failures = 0
        while not progress.over:
            message = await _next_message(socket, self.settings.poll_s)
            if message is not None:
                if progress.update(message):
                    job.report(progress.percent, progress.node)
                continue
            if socket is not None and socket.closed:
                socket = None
            try:
                progress.over = await self._is_over(progress.prompt_id)
                failures = 0
            except JobFailed:
                failures += 1
                if failures >= self.settings.poll_failures:
                    raise

    async def _is_over(self, prompt_id: str) -> bool:
        """Whether the history has the prompt. Raises JobFailed where the server knows nothing of it any more."""
        if await self._history(prompt_id) is not None:
            return True
        if prompt_id in await self._queued("queue_running") + await self._queued("queue_pending"):
            return False
        if await self._history(prompt_id) is not None:
            return True
        raise JobFailed("the server has forgotten the workflow: it was restarted, or its queue was cleared")

    async def _history(self, prompt_id: str) -> dict[str, Any] | None:
        answer = await self.call("GET", f"{self._url}/history/{prompt_id}")
        entry = answer.json().get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def _queued(self, which: str) -> list[str]:
        rows = (await self.call("GET", f"{self._url}/queue")).json().get(which, [])
        return [row[1] for row in rows if isinstance(row, list) and len(row) > 1]

    async def _result(self, prompt_id: str) -> dict[str, Any]:
        entry = await self._history(prompt_id)
        if entry is None:
            raise JobFailed("the workflow ended but the server's history does not have it")
        status = entry.get("status") or {}
        if status.get("status_str") == "error" or status.get("completed") is False:
            raise JobFailed(error_in(status.get("messages") or []))
        outputs = entry.get("outputs") or {}
        return {"prompt_id": prompt_id, "outputs": outputs, "files": self._files(outputs)}

    def _files(self, outputs: dict[str, Any]) -> list[dict[str, str]]:
        """Every file among the outputs, with the address that it can be fetched from."""
        files = []
        made = ((node, kind, items) for node, kinds in outputs.items() for kind, items in kinds.items())
        for node, kind, items in made:
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and "filename" in item:
                    place = {key: str(item.get(key, "")) for key in ("filename", "subfolder", "type")}
                    files.append(place | {"node": node, "kind": kind, "url": f"{self._url}/view?{urlencode(place)}"})
        return files

    async def _stop(self, prompt_id: str) -> None:
        """Off the queue; and where it is the one that runs, and only then, interrupt it."""
        await self.notify("POST", f"{self._url}/queue", body={"delete": [prompt_id]})
        try:
            running = await self._queued("queue_running")
        except JobFailed:
            return
        if prompt_id in running:
            await self.notify("POST", f"{self._url}/interrupt", body={"prompt_id": prompt_id})


class WorkflowProgress:
    """How far a workflow is, from the server's messages."""

    def __init__(self, prompt_id: str, workflow: dict[str, Any]) -> None:
        self.prompt_id = prompt_id
        self.over = False
        self.percent = 0.0
        self.node: str | None = None
        self._nodes = max(1, len(workflow))
        self._done: set[str] = set()
        self._running: str | None = None

    def update(self, message: dict[str, Any]) -> bool:
        """Take in one message; returns whether the percent rose. Raises JobFailed where the workflow failed."""
        data = message.get("data")
        if not isinstance(data, dict) or data.get("prompt_id", self.prompt_id) != self.prompt_id:
            return False
        match message.get("type"):
            case "execution_cached":
                self._done.update(map(str, data.get("nodes") or ()))
                return self._advance(0)
            case "executing":
                return self._enter(data.get("node"))
            case "progress":
                most = data.get("max") or 1
                return self._advance(min(1.0, (data.get("value") or 0) / most))
            case "execution_success":
                self.over = True
            case "execution_error":
                raise JobFailed(error_of(data))
            case "execution_interrupted":
                raise JobFailed("the workflow was interrupted on the server")
        return False

    def _enter(self, node: str | None) -> bool:
        if self._running is not None:
            self._done.add(self._running)
        self._running = None if node is None else str(node)
        self.over = self.over or node is None
        self.node = f"node {node}" if node is not None else self.node
        return self._advance(0)

    def _advance(self, part: float) -> bool:
        percent = round(min(100.0, (len(self._done) + part) / self._nodes * 100), 1)
        if percent <= self.percent:
            return False
        self.percent = percent
        return True


def workflow_in(payload: dict[str, Any]) -> dict[str, Any]:
    """The workflow that a payload is or carries. Raises JobFailed."""
    workflow = payload.get("workflow", payload.get("prompt", payload))
    if not isinstance(workflow, dict) or not workflow or not all(isinstance(node, dict) for node in workflow.values()):
        raise JobFailed("the payload holds no workflow in ComfyUI's API format", retryable=False)
    return workflow


def validation_error(refused: RequestRefused) -> str:
    """What the server finds wrong with a workflow, in one line."""
    try:
        said = refused.answer.json()
        error = said["error"]
        line = f"{error['message']}: {error['details']}" if error.get("details") else str(error["message"])
        nodes = [f"node {node}: {problem['errors'][0]['message']}" for node, problem in said["node_errors"].items()]
    except (JobFailed, KeyError, TypeError, IndexError, AttributeError):
        return refused.error
    return "; ".join([line, *nodes])


def error_of(data: dict[str, Any]) -> str:
    """An execution error as a sentence."""
    kind, text = data.get("exception_type"), str(data.get("exception_message") or "no reason given").strip()
    where = f"node {data.get('node_id')} ({data.get('node_type')})"
    return f"{where}: {kind}: {text}" if kind else f"{where}: {text}"


def error_in(messages: list[Any]) -> str:
    """The error among a history entry's messages, as a sentence."""
    for row in messages:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[1], dict):
            if row[0] == "execution_error":
                return error_of(row[1])
            if row[0] == "execution_interrupted":
                return "the workflow was interrupted on the server"
    return "the workflow failed and the server does not say why"


async def _next_message(socket: aiohttp.ClientWebSocketResponse | None, within_s: float) -> dict[str, Any] | None:
    """The next message with a meaning; None where there was none in time. Pictures (binary frames) are passed over."""
    if socket is None or socket.closed:
        await asyncio.sleep(within_s)
        return None
    try:
        async with asyncio.timeout(within_s):
            while True:
                frame = await socket.receive()
                if frame.type is aiohttp.WSMsgType.TEXT:
                    return msgspec.json.decode(frame.data, type=dict[str, Any])
                if frame.type is not aiohttp.WSMsgType.BINARY:
                    return None
    except (TimeoutError, msgspec.MsgspecError):
        return None
