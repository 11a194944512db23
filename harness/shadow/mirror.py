"""One client's connection, played on the candidate as its frames come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from harness.cassettes import Close, Closed, Drop, Open, Receive, Role, Send
from harness.cassettes.record.recorder import frame_fields
from harness.cassettes.tokens import Exchange
from harness.clients.sessions import ANOTHER_QUESTION
from harness.clients.transport import ABNORMAL, HandshakeRefused, Socket, Unreachable, open_websocket
from harness.protocols import hub
from harness.shadow.topic import Topic
from harness.shadow.traffic import Ended, Left, Opened, Received, Sent
from harness.shadow.world import World

TRY_AGAIN_MS: Final = 5_000.0
"""How often a candidate that was away is tried on a connection that goes on."""
SOON_S: Final = 2.0
"""In which the hub closes a connection, too, that the candidate has closed."""
MOST_REMEMBERED: Final = 10_000
ACCEPTED: Final = frozenset({"job_accepted", "job_submitted"})
UNREACHABLE: Final = "the candidate could not be reached"
CONNECTION_LOST: Final = "the candidate ended the connection"
NOT_ANSWERED: Final = "the candidate left a submission without an answer"
TOO_MUCH: Final = "more was under way than is kept"
CROSSED: Final = "jobs whose end and whose cancel crossed on one side"
OTHERS_JOBS: Final = "messages about jobs that are not followed"


class _Submission:
    """A job that the client submits, until both sides have answered."""

    def __init__(self, topic: Topic, chosen: str | None) -> None:
        self.topic, self.chosen = topic, chosen
        self.answered = asyncio.Event()
        """By the candidate."""


class Mirror:
    """A connection to the candidate in place of one to the hub."""

    def __init__(self, opened: Opened, world: World) -> None:
        self._world, self._opened, self.client = world, opened, opened.client
        path = world.redaction().path(opened.path)
        self._open = Open(at=opened.at, actor=self.client, role=Role.CLIENT, path=path)
        self._socket = Socket(self._on_data, self._on_closed, name=self.client)
        self._live: dict[Topic, None] = {}
        self._cancelled: dict[str, None] = {}
        self._rest = self._topic()
        self._by_hub_id: dict[str, Topic] = {}
        self._by_candidate_id: dict[str, Topic] = {}
        self._others: dict[str, None] = {}
        """Jobs that the candidate knows nothing of, or that were lost on the way."""
        self._unanswered: deque[_Submission | None] = deque()
        """What the hub has yet to answer, in the client's order: submissions, and None for what is about no job."""
        self._submitting = asyncio.Lock()
        self._awaiting: _Submission | None = None
        self._is_away = self._greeted_before = False
        """Whether nothing is followed at present, and whether it was so before."""
        self._try_again_at = 0.0
        self._leaving: Left | None = None
        self._ended: Ended | None = None
        self._over = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = self._go(self._connect())

    # what client and hub do
    def take(self, message: Sent | Received | Left | Ended) -> None:
        """What the client or the hub has done."""
        match message:
            case Sent():
                self._sent(message)
            case Received():
                self._received(message)
            case Left():
                self._leaving = message
            case Ended():
                self._ended = message
                self._over.set()
                for topic in self._live:
                    topic.is_over = True

    def _sent(self, message: Sent) -> None:
        """The client has sent a frame."""
        if not self._is_following(message.at):
            return
        content = hub.parsed(message.data) or {}
        job_id = content.get("job_id")
        topic: Topic | None = self._rest
        if content.get("type") == "submit_job":
            chosen = str(content["message_id"]) if content.get("message_id") else None
            topic = self._by_hub_id.get(chosen or "") or self._topic()
            self._unanswered.append(submission := _Submission(topic, chosen))
            self._go(self._submit(submission, message.data, self._rest, self._rest.told))
        else:
            if isinstance(job_id, str):
                topic = self._topic_of(job_id)
            if topic is None:
                self._leave_out(str(job_id))
                return
            if topic is self._rest:
                self._unanswered.append(None)
            self._go(self._say(topic, message.data, after=topic.told))
        event = Send(at=message.at, actor=self.client, **frame_fields(message.data))
        topic.hub_told(event, self._world.took(message.data))

    def _received(self, message: Received) -> None:
        """The hub has sent a frame."""
        if self._is_away:
            return
        content = hub.parsed(message.data) or {}
        topic = self._topic_told_by_hub(content)
        if topic is None:
            self._leave_out(str(content.get("job_id")))
            return
        event = Receive(at=message.at, actor=self.client, **frame_fields(message.data))
        topic.hub_told(event, self._world.took(message.data))

    def sweep(self, now_ms: float) -> bool:
        """Compare what can be compared. Answers whether there is nothing left to do."""
        if self._world.is_full:
            self.give_up(TOO_MUCH)
        if self._is_away or self._finishing is not None:
            return self._over.is_set() and (self._finishing is None or self._finishing.done())
        patience_ms = self._world.settings.patience_s * 1000
        for topic in list(self._live):
            if self._over.is_set() and topic is self._rest:
                continue
            if topic.is_due(now_ms, patience_ms):
                question = topic.ask_again() if topic.is_behind() and not topic.is_late(now_ms, patience_ms) else None
                if question is None:
                    self._compare(topic)
                else:
                    self._go(self._ask_again(topic, question))
        if self._over.is_set() and len(self._live) == 1:
            self._finishing = self._go(self._finish())
        return False

    def give_up(self, reason: str) -> None:
        """Follow this connection no longer, or not until its client says something to a candidate that is there."""
        if self._is_away:
            return
        self._is_away = True
        self._try_again_at = self._world.now_ms() + TRY_AGAIN_MS
        for job_id in self._by_hub_id:
            _remember(job_id, self._others)
        for topic in list(self._live):
            self._world.ledger.not_compared(reason, not topic.is_empty)
            self._remove(topic)
        self._unanswered.clear()
        self._awaiting = None
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self._world.later(self._socket.drop())

    # whose a frame is
    def _topic(self, hub_id: str | None = None) -> Topic:
        redaction = self._world.redaction()
        redaction.path(self._opened.path)  # a token in it is a secret wherever else it stands
        topic = Topic(redaction, self._world.now_ms(), hub_id, is_cancelled=hub_id in self._cancelled)
        self._live[topic] = None
        return topic

    def _topic_of(self, job_id: str) -> Topic | None:
        """What is said of a job of the hub's, None where it is not followed."""
        topic = self._by_hub_id.get(job_id)
        if topic is None and job_id in self._world.jobs and job_id not in self._others:
            topic = self._by_hub_id[job_id] = self._topic(job_id)
        return topic

    def _topic_told_by_hub(self, content: dict[str, Any]) -> Topic | None:
        job_id, error = content.get("job_id"), hub.error_of(content)
        if content.get("type") in ACCEPTED and isinstance(job_id, str):
            return self._accepted(job_id)
        if isinstance(job_id, str) and (topic := self._topic_of(job_id)) is not None:
            return topic
        if isinstance(job_id, str) and (job_id in self._others or hub.event_of(content) is not None):
            return None
        if error is not None and ANOTHER_QUESTION.match(error):
            if _named_in(error, self._others):
                return None
            return self._by_hub_id.get(_named_in(error, self._by_hub_id), self._rest)
        answered = self._unanswered[0] if self._unanswered else None
        if self._unanswered and (error is not None or answered is None):
            self._unanswered.popleft()
        return answered.topic if error is not None and answered is not None else self._rest

    def _accepted(self, job_id: str) -> Topic | None:
        for submission in self._unanswered:
            if submission is not None and submission.chosen in {None, job_id}:
                while self._unanswered.popleft() is not submission:
                    pass  # the hub answers in order: what stands before has no answer
                topic = submission.topic
                topic.hub_id, self._by_hub_id[job_id] = job_id, topic
                self._world.jobs.expect(job_id)
                if topic.candidate_id is not None:
                    self._world.jobs.bind(job_id, topic.candidate_id)
                return topic
        return None

    def _topic_told_by_candidate(self, content: dict[str, Any]) -> Topic | None:
        job_id, error, awaiting = content.get("job_id"), hub.error_of(content), self._awaiting
        accepted = content.get("type") in ACCEPTED and isinstance(job_id, str)
        if awaiting is not None and (accepted or (error is not None and not ANOTHER_QUESTION.match(error))):
            self._awaiting = None
            awaiting.answered.set()
            if accepted:
                self._bind(awaiting.topic, str(job_id))
            return awaiting.topic
        if not isinstance(job_id, str):
            return self._by_candidate_id.get(_named_in(error or "", self._by_candidate_id), self._rest)
        if job_id not in self._by_candidate_id and (hub_id := self._world.jobs.hub_id_of(job_id)) is not None:
            topic = None if self._over.is_set() else self._topic_of(hub_id)  # what comes later nobody would be told
            if topic is not None:
                self._bind(topic, job_id)
            return topic
        is_others = hub.event_of(content) is not None
        return self._by_candidate_id.get(job_id) or (None if is_others else self._rest)

    def _bind(self, topic: Topic, candidate_id: str) -> None:
        topic.candidate_id, self._by_candidate_id[candidate_id] = candidate_id, topic
        if topic.hub_id is not None:
            self._world.jobs.bind(topic.hub_id, candidate_id)

    def _leave_out(self, job_id: str) -> None:
        self._world.ledger.left_out(OTHERS_JOBS)
        _remember(job_id, self._others)

    # what is done on the candidate
    def _is_following(self, now_ms: float) -> bool:
        """Whether it does. Where the candidate was away, it is tried again; jobs that were lost stay lost."""
        if self._is_away and now_ms >= self._try_again_at and not self._over.is_set():
            self._is_away, self._greeted_before = False, True
            self._rest = self._topic()
            self._submitting = asyncio.Lock()
            self._connected = self._go(self._connect())
        return not self._is_away

    async def _connect(self) -> None:
        path, headers = self._world.with_token(self._opened.path, self._opened.headers)
        try:
            await self._socket.open(self._world.ws_url + path, headers=headers)
        except HandshakeRefused as refusal:
            self._on_closed(ABNORMAL, refusal.reason)
        except Unreachable:
            self.give_up(UNREACHABLE)

    async def _submit(self, submission: _Submission, data: str | bytes, rest: Topic, after: int) -> None:
        """One after the other, and after what was answered before: an answer does not say what it answers."""
        topic = submission.topic
        async with topic.saying, self._submitting:
            await rest.caught_up(after, self._world.settings.patience_s)
            self._awaiting = submission
            await self._send(topic, data)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(submission.answered.wait(), self._world.settings.patience_s)
        if not submission.answered.is_set():
            self._compare(topic)
            self.give_up(NOT_ANSWERED)

    async def _say(self, topic: Topic, data: str | bytes, *, after: int) -> None:
        """Once the candidate has told as much as the hub had when the client said it."""
        patience_s = self._world.settings.patience_s
        async with topic.saying, contextlib.nullcontext() if topic.hub_id is not None else self._submitting:
            if topic.hub_id is not None and topic.candidate_id is None:
                theirs = await self._world.jobs.candidate_id_of(topic.hub_id, patience_s)
                if theirs is None:
                    return
                self._bind(topic, theirs)
            await topic.caught_up(after, patience_s)
            await self._send(topic, data)

    async def _ask_again(self, topic: Topic, question: str | bytes) -> None:
        async with topic.saying:
            await self._send(topic, question)

    async def _send(self, topic: Topic, data: str | bytes) -> None:
        await self._connected
        content = hub.parsed(data)
        asks = content is not None and content.get("type") == "request_job_status"
        topic.last_ask = data if asks else topic.last_ask
        topic.candidate_told(Send(at=self._world.now_ms(), actor=self.client, **frame_fields(data)))
        if content is not None and topic.hub_id and topic.candidate_id and topic.hub_id != topic.candidate_id:
            data = json.dumps(Exchange({topic.hub_id: topic.candidate_id}).applied(content), ensure_ascii=False)
        await self._socket.send(data)

    async def _finish(self) -> None:
        """The connection has ended on the hub, and all jobs are compared: end it here in the same way."""
        patience_s, left, ended, rest = self._world.settings.patience_s, self._leaving, self._ended, self._rest
        await rest.caught_up(rest.told, patience_s)
        if left is not None:
            for tell in (rest.hub_told, rest.candidate_told):
                at, actor = self._world.now_ms(), self.client
                tell(Close(at=at, actor=actor, code=left.code) if left.orderly else Drop(at=at, actor=actor))
        if ended is not None:
            end = Closed(at=self._world.now_ms(), actor=self.client, code=ended.code, reason=ended.reason)
            rest.hub_told(end)
        if left is not None and left.orderly:
            await self._socket.close(left.code)
        elif left is None:
            await rest.caught_up(rest.told, patience_s)
        await self._socket.drop()
        self._compare(rest)

    def _compare(self, topic: Topic) -> None:
        if topic.is_cancelled and topic.hub_id is not None:
            _remember(topic.hub_id, self._cancelled)
        if topic.has_crossed():
            self._world.ledger.left_out(CROSSED)
        elif not topic.is_empty:
            expected, observed = topic.transcripts(self._open)
            self._world.ledger.compare(self.client, expected, observed, is_job=topic.hub_id is not None)
        self._remove(topic)
        if topic is self._rest:
            self._rest = self._topic()

    def _remove(self, topic: Topic) -> None:
        self._world.gave_back(topic.size)
        self._live.pop(topic, None)
        for table, job_id in ((self._by_hub_id, topic.hub_id), (self._by_candidate_id, topic.candidate_id)):
            if job_id is not None and table.get(job_id) is topic:
                del table[job_id]

    # what the candidate does
    def _on_data(self, data: str | bytes) -> None:
        content = hub.parsed(data) or {}
        if self._is_away or (self._greeted_before and content.get("type") == "connection_established"):
            return
        topic = self._topic_told_by_candidate(content)
        if topic is not None:
            event = Receive(at=self._world.now_ms(), actor=self.client, **frame_fields(data))
            topic.candidate_told(event, self._world.took(data))

    def _on_closed(self, code: int, reason: str) -> None:
        if self._is_away:
            return
        self._rest.candidate_told(Closed(at=self._world.now_ms(), actor=self.client, code=code, reason=reason))
        if not self._over.is_set():
            self._go(self._was_closed(code))

    async def _was_closed(self, code: int) -> None:
        """By a candidate that is there: then clients would notice, unless the hub does the same."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), SOON_S)
            return
        if code != ABNORMAL or await self._is_there():
            self._compare(self._rest)
        self.give_up(CONNECTION_LOST)

    async def _is_there(self) -> bool:
        path, headers = self._world.with_token(self._opened.path, self._opened.headers)
        try:
            await (await open_websocket(self._world.ws_url + path, headers=headers, timeout_s=SOON_S)).close()
        except HandshakeRefused:
            return True
        except Unreachable:
            return False
        return True

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.give_up(self._world.failed(error))


def _remember(job_id: str, among: dict[str, None]) -> None:
    among[job_id] = None
    if len(among) > MOST_REMEMBERED:
        del among[next(iter(among))]


def _named_in(text: str, job_ids: Iterable[str]) -> str:
    """The job that a text names, empty where it names none of these."""
    return next((job_id for job_id in job_ids if job_id in text), "")
