"""`BlockingClient`: what `HybridClient` does, for programs without an event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from new_stack.client.client import HybridClient, Options
from new_stack.client.types import Gap, JobEvent

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _blocking(
    method: Callable[Concatenate[HybridClient, Parameters], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[BlockingClient, Parameters], Result]:
    """The blocking twin of a method, with the same parameters and errors."""

    def call(self: BlockingClient, /, *args: Parameters.args, **options: Parameters.kwargs) -> Result:
        return self.run(method(self.client, *args, **options))

    functools.update_wrapper(call, method)
    return call


class BlockingClient:
    """The same client for programs without an event loop: `with BlockingClient(url) as client`.

    Takes the options of HybridClient. May be used from several threads at once; what it raises is the same.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self.client = HybridClient(url, **options)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hubgate client", daemon=True)

    def __enter__(self) -> Self:
        """Start the loop that does the work, in a thread of its own."""
        self._thread.start()
        self.run(self.client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and end the thread."""
        self.run(self.client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()

    @property
    def transport(self) -> str | None:
        """As HybridClient.transport."""
        return self.client.transport

    submit = _blocking(HybridClient.submit)
    status = _blocking(HybridClient.status)
    cancel = _blocking(HybridClient.cancel)
    retry = _blocking(HybridClient.retry)
    jobs = _blocking(HybridClient.jobs)
    wait = _blocking(HybridClient.wait)
    gather = _blocking(HybridClient.gather)
    submit_many = _blocking(HybridClient.submit_many)

    def result(self, job_id: str, kind: Any = Any, *, timeout_s: float | None = None) -> Any:
        """As HybridClient.result."""
        return self.run(self.client.result(job_id, kind, timeout_s=timeout_s))

    def follow(self, job_id: str, *, after: str | None = None) -> Iterator[JobEvent | Gap]:
        """As HybridClient.follow."""
        events = self.client.follow(job_id, after=after)

        async def following() -> JobEvent | Gap | None:
            return await anext(events, None)

        try:
            while (event := self.run(following())) is not None:
                yield event
        finally:
            self.run(events.aclose())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the client's loop and wait for its result."""
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError("use the client as `with BlockingClient(…) as client`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
