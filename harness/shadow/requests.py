"""One HTTP request, asked of the candidate as well."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import httpx
import msgspec

from harness.cassettes import Request, Response
from harness.cassettes.record.recorder import body_fields
from harness.cassettes.tokens import Exchange
from harness.shadow.mirror import OTHERS_JOBS, UNREACHABLE
from harness.shadow.timing import is_behind
from harness.shadow.traffic import Answered, Asked
from harness.shadow.world import World

ASK_AGAIN_S: Final = 0.5
LONGEST_S: Final = 600.0
"""For a request that waits for its job."""
NO_ANSWER: Final = "the candidate did not answer a request"
ACTOR: Final = "http"


class RequestMirror:
    """A request, from when it was made until both sides have answered."""

    def __init__(self, asked: Asked, world: World) -> None:
        self._asked, self._world = asked, world
        self._size = world.took(asked.body)
        self._answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._body = body_fields(asked.body)

    def answered(self, message: Answered) -> None:
        """The hub has answered."""
        answer = Response(at=message.at, actor=ACTOR, status=message.status, **body_fields(message.body))
        if self._is_submission(answer):
            self._world.jobs.expect(_job_id_in(answer))
        if not self._answered.done():
            self._answered.set_result(answer)

    async def run(self) -> None:
        """Ask, wait for both answers, and compare."""
        try:
            await self._run()
        except httpx.ConnectError:
            self._world.ledger.not_compared(UNREACHABLE)
        except (httpx.HTTPError, TimeoutError):
            self._world.ledger.not_compared(NO_ANSWER)
        finally:
            self._world.gave_back(self._size)

    async def _run(self) -> None:
        about = self._job_id()
        if about is not None and about not in self._world.jobs:
            self._world.ledger.left_out(OTHERS_JOBS)
            return
        patience_s = self._world.settings.patience_s
        exchange = Exchange()
        if about is not None:
            theirs = await self._world.jobs.candidate_id_of(about, patience_s)
            if theirs is None:
                raise TimeoutError
            exchange = Exchange({about: theirs})
        asking = asyncio.create_task(self._ask(exchange))
        try:
            ours = await asyncio.wait_for(self._answered, LONGEST_S)
            async with asyncio.timeout(patience_s):
                theirs_answer = await asking
        finally:
            asking.cancel()
        if self._asked.method == "GET":
            theirs_answer = await self._in_time(ours, theirs_answer, exchange)
        self._compare(ours, theirs_answer)

    async def _in_time(self, ours: Response, theirs: Response, exchange: Exchange) -> Response:
        """The candidate's answer once it shows as late a state of the job as the hub's, if it comes to that in time."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._world.settings.patience_s
        while is_behind(ours, theirs) and loop.time() < limit:
            await asyncio.sleep(ASK_AGAIN_S)
            theirs = await self._ask(exchange)
        return theirs

    async def _ask(self, exchange: Exchange) -> Response:
        asked = self._asked
        path, headers = self._world.with_token(asked.path, asked.headers)
        for ours, theirs in exchange.table.items():
            path = re.sub(rf"(?<=[/=]){re.escape(ours)}(?=[/?&]|$)", theirs, path)
        body = asked.body
        if exchange.table and "body" in self._body and body:
            body = msgspec.json.encode(exchange.applied(self._body["body"]))
        answer = await self._world.http.send_raw(asked.method, path, body or None, headers, timeout=LONGEST_S)
        fields: dict[str, Any] = {"text": answer.text} if answer.text else {"body": answer.body}
        return Response(at=self._world.now_ms(), actor=ACTOR, status=answer.status, **fields)

    def _compare(self, ours: Response, theirs: Response) -> None:
        hub_id, candidate_id = _job_id_in(ours), _job_id_in(theirs)
        submits = self._is_submission(ours)
        if submits and candidate_id:
            self._world.jobs.bind(hub_id, candidate_id)
        if hub_id and candidate_id and hub_id != candidate_id:
            theirs = msgspec.structs.replace(theirs, body=Exchange({candidate_id: hub_id}).applied(theirs.body))
        redaction = self._world.redaction()
        asked = Request(at=self._asked.at, actor=ACTOR, method=self._asked.method, path=self._asked.path, **self._body)
        first, second, question = (redaction.event(event) for event in (ours, theirs, asked))
        self._world.ledger.compare(self._asked.client, [question, first], [question, second], is_job=submits)

    def _is_submission(self, answer: Response) -> bool:
        """Whether the hub took a job by this request."""
        taken = self._asked.method == "POST" and answer.status < httpx.codes.BAD_REQUEST
        return taken and self._job_id() is None and bool(_job_id_in(answer))

    def _job_id(self) -> str | None:
        """The job that the request's path names."""
        found = re.search(r"/jobs/([^/?]+)", self._asked.path)
        return found[1] if found else None


def _job_id_in(response: Response) -> str:
    job_id = response.body.get("job_id") if isinstance(response.body, dict) else None
    return job_id if isinstance(job_id, str) else ""
