"""Mistakes with events and progress: what is told, to whom, how often, and in which order."""

from __future__ import annotations

from typing import Final

from harness.defects.defect import Defect, edit

DEFECTS: Final = (
    Defect(
        name="nobody-is-notified",
        mistake="Progress is written to the job's own stream, and nobody is ever told (the notifications are off).",
        caught_by=("mixed-clients", "progress", "modern-clients", "nothing-lost"),
        checks=("steps",),
        replacements=(
            edit("queue/functions/shared/events.lua",
                 "  local id = redis.call('XADD', q.prefix .. 'events',",
                 "  if kind == 'progress' then\n"
                 "    redis.call('XADD', q.prefix .. 'progress:' .. job.id, 'MAXLEN', '~', q.progress_stream_length,\n"
                 "      '*', unpack(entry))\n"
                 "    return\n"
                 "  end\n"
                 "  local id = redis.call('XADD', q.prefix .. 'events',"),
        ),
    ),
    Defect(
        name="progress-dropped",
        mistake="To save writes, progress without a message is stored with the job and not told.",
        caught_by=("mixed-clients", "nothing-lost", "modern-clients", "progress"),
        checks=("steps",),
        replacements=(
            edit("queue/functions/progress.lua", "  emit(q, job, 'progress', said)\n",
                 "  if args[q.first + 5] ~= '' then emit(q, job, 'progress', said) end\n"),
        ),
    ),
    Defect(
        name="progress-duplicated",
        mistake="Every progress is published twice, by the old way and by the new one.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("steps",),
        replacements=(
            edit("queue/functions/progress.lua", "  emit(q, job, 'progress', said)\n",
                 "  emit(q, job, 'progress', said)\n  emit(q, job, 'progress', said)\n"),
        ),
    ),
    Defect(
        name="told-once-per-subscription",
        mistake="A client hears of its own job twice: once as the owner, once as a subscriber.",
        caught_by=("legacy-clients", "mixed-clients", "nothing-lost"),
        checks=("not_delivered",),
        replacements=(
            edit("api/fanout.py",
                 "            concerned = self._all\n",
                 "            concerned: list[Subscriber] | set[Subscriber] = list(self._all)\n"),
            edit("api/fanout.py", "                concerned = concerned | followers\n",
                 "                concerned = [*concerned, *followers]\n"),
            edit("api/fanout.py", "                concerned = concerned | owners\n",
                 "                concerned = [*concerned, *owners]\n"),
        ),
    ),
    Defect(
        name="progress-coalesced",
        mistake="Of the events that come together, a subscriber gets only the newest.",
        caught_by=("mixed-clients", "nothing-lost", "modern-clients"),
        checks=("not_delivered",),
        replacements=(
            edit("api/fanout.py", "        items = list(self._items)\n", "        items = list(self._items)[-1:]\n"),
        ),
    ),
    Defect(
        name="progress-reordered",
        mistake="The events that wait for a subscriber are handed to it newest first.",
        caught_by=("mixed-clients", "nothing-lost", "legacy-clients", "modern-clients"),
        checks=("not_delivered",),
        replacements=(
            edit("api/fanout.py", "        items = list(self._items)\n",
                 "        items = list(reversed(self._items))\n"),
        ),
    ),
    Defect(
        name="completion-before-last-progress",
        mistake="An ending is published at once and overtakes the progress that still waits.",
        caught_by=("mixed-clients", "nothing-lost", "legacy-clients", "modern-clients"),
        checks=("not_delivered",),
        replacements=(
            edit("api/fanout.py", "        self._items.append(item)\n",
                 "        urgent = isinstance(item, Published) and item.event.kind in ENDINGS\n"
                 "        (self._items.appendleft if urgent else self._items.append)(item)\n"),
            edit("api/fanout.py", "from new_stack.queue.events import Event\n",
                 "from new_stack.queue.events import ENDINGS, Event\n"),
        ),
    ),
    Defect(
        name="second-subscriber-starved",
        mistake="A job has one subscriber: whoever comes last takes it over.",
        caught_by=("mixed-clients", "nothing-lost", "progress"),
        checks=("not_delivered",),
        replacements=(
            edit("api/fanout.py", "        self._by_job[job_id].add(subscriber)\n",
                 "        self._by_job[job_id] = {subscriber}\n"),
        ),
    ),
    Defect(
        name="no-history-for-late-subscribers",
        mistake="Who subscribes late gets what happens from then on, and nothing of what was.",
        caught_by=("modern-clients", "mixed-clients", "nothing-lost"),
        checks=("not_delivered",),
        replacements=(
            edit("api/sse/cursor.py",
                 "    found = _place(history, cursor)\n",
                 "    if not cursor:\n        return Resume(events=())\n    found = _place(history, cursor)\n"),
        ),
    ),
    Defect(
        name="event-without-id",
        mistake="Events carry no id, so nobody can resume.",
        caught_by=("modern-clients",),
        replacements=(
            edit("api/sse/frames.py",
                 'return b"id: %b\\nevent: %b\\ndata: %b\\n\\n" % (event.id.encode(), event.kind.value.encode(), '
                 "_one_line(data))",
                 'return b"event: %b\\ndata: %b\\n\\n" % (event.kind.value.encode(), _one_line(data))'),
        ),
    ),
    Defect(
        name="resume-skips-one",
        mistake="A stream that is resumed begins after the event that comes next.",
        caught_by=("mixed-clients", "modern-clients"),
        checks=("not_delivered",),
        replacements=(
            edit("api/sse/cursor.py", "tuple(history[found + 1 :])", "tuple(history[found + 2 :])"),
        ),
    ),
    Defect(
        name="resume-repeats-one",
        mistake="A stream that is resumed begins with the event that the reader had last.",
        caught_by=("mixed-clients", "modern-clients"),
        checks=("not_delivered",),
        replacements=(edit("api/sse/cursor.py", "tuple(history[found + 1 :])", "tuple(history[found:])"),),
    ),
    Defect(
        name="unknown-job-is-silence",
        mistake="Who follows a job that does not exist gets an open stream and silence.",
        caught_by=("modern-clients",),
        replacements=(
            edit("api/routes/events.py",
                 "        if not history and await services.queue.job(job_id) is None:\n"
                 "            raise not_found(job_id)\n", ""),
            edit("api/routes/events.py", "from new_stack.api.problems import invalid, not_found\n",
                 "from new_stack.api.problems import invalid\n"),
        ),
    ),
    Defect(
        name="events-of-an-outage-are-lost",
        mistake="After Redis was away the server looks again every two seconds, and reads on from now without a word.",
        caught_by=("mixed-clients", "restarts"),
        checks=("not_delivered",),
        replacements=(
            edit("api/reader.py", "            failures += 1\n",
                 "            failures += 1\n            after = None\n"),
            edit("api/reader.py", "BACKOFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0)", "BACKOFF_SECONDS: Final = (2.0,)"),
        ),
    ),
    Defect(
        name="listing-cuts-before-it-filters",
        mistake="A listing takes the newest jobs first and filters them afterwards: a page hides what is older.",
        caught_by=("modern-clients",),
        replacements=(
            edit("queue/readers.py", "        for _ in range(INSPECT_ROUNDS):\n",
                 "        for _ in range(1):\n"),
            edit("queue/readers.py", "                INSPECT_LIMIT,\n", "                limit,\n"),
            edit("queue/readers.py", "cursor=below or None)", "cursor=None)"),
        ),
    ),
)  # fmt: skip
