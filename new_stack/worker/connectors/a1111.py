"""The connector for the API of AUTOMATIC1111's web UI (and those that kept it): txt2img with polled progress.

The payload is the request of `POST /sdapi/v1/txt2img`. The server works on one request at a time and its progress and
interrupt are the server's, not a request's: so one job at a time goes to it, whatever the worker's concurrency.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from new_stack.worker.connectors import JobContext, JobFailed
from new_stack.worker.connectors.http import HttpConnector, HttpSettings


class A1111Settings(HttpSettings, frozen=True, kw_only=True):
    """`url` is the server's, without a path: http://127.0.0.1:7860."""

    url: str = "http://127.0.0.1:7860"
    timeout_s: float = 1_800
    progress_ms: float = 500
    """How often the progress is asked for."""
    folder: str = ""
    """Where pictures are written; the result then names the files instead of carrying them as base64."""


class A1111Connector(HttpConnector):
    """Runs txt2img requests."""

    Settings = A1111Settings

    def __init__(self, settings: A1111Settings) -> None:
        super().__init__(settings)
        self._api = f"{settings.url.rstrip('/')}/sdapi/v1"
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Open the session, and make the folder for pictures."""
        if self.settings.folder:
            await asyncio.to_thread(Path(self.settings.folder).mkdir, parents=True, exist_ok=True)
        await super().open()

    async def run(self, job: JobContext) -> Any:
        """One request; its progress is polled meanwhile."""
        async with self._one_at_a_time:
            request = asyncio.ensure_future(self.call("POST", f"{self._api}/txt2img", body=job.payload, job=job))
            try:
                await self._follow(request, job)
                answer = (await request).json()
            except asyncio.CancelledError:
                await self.notify("POST", f"{self._api}/interrupt")
                raise
            finally:
                request.cancel()
                with suppress(asyncio.CancelledError, JobFailed):
                    await request
        if not isinstance(answer, dict) or not isinstance(answer.get("images"), list):
            raise JobFailed("the server's answer has no images")
        return await self._result(answer, job)

    async def _follow(self, request: asyncio.Future[Any], job: JobContext) -> None:
        """Report progress until the request is answered. A poll that fails is passed over: the request decides."""
        furthest = 0.0
        while not (await asyncio.wait([request], timeout=self.settings.progress_ms / 1000))[0]:
            with suppress(JobFailed):
                answer = await self.call(
                    "GET", f"{self._api}/progress?skip_current_image=true", timeout_s=self.settings.connect_timeout_s
                )
                part = answer.json().get("progress")
                percent = round(min(1.0, max(0.0, float(part or 0))) * 100, 1)
                if percent > furthest and not request.done():
                    furthest = percent
                    await job.progress(percent)

    async def _result(self, answer: dict[str, Any], job: JobContext) -> dict[str, Any]:
        info = answer.get("info")
        if isinstance(info, str):
            with suppress(msgspec.DecodeError):
                info = msgspec.json.decode(info)
        result: dict[str, Any] = {"info": info, "parameters": answer.get("parameters")}
        if not self.settings.folder:
            return result | {"images": answer["images"]}
        return result | {"files": await asyncio.to_thread(self._write, answer["images"], job)}

    def _write(self, images: list[str], job: JobContext) -> list[str]:
        files = []
        for number, image in enumerate(images):
            file = Path(self.settings.folder) / f"{quote(job.job_id, safe='')}-{number}.png"
            try:
                file.write_bytes(base64.b64decode(image.rpartition(",")[2], validate=True))
            except (binascii.Error, AttributeError) as error:
                raise JobFailed(f"picture {number} of the server's answer is not base64: {error}") from error
            files.append(str(file))
        return files
