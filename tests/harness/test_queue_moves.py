"""Books of moves: what stands in them is the same in each run, and an answer that is another one is seen."""

from __future__ import annotations

import time

import pytest

from harness.processes import Valkey
from harness.processes.services import python_path
from scenarios.queue_moves import Words, played, player

BOOK = """open {"lease_ms": 600000}
  "open"
submit_one {"id": "a", "priority": 2}
  {"created": true, "job": {"attempt": 0, "created_at": <-0 s>, "failures": 0, "id": "a", "max_retries": 3, PLACE}
2x claim {"worker": "w$i"}
  [{"attempt": 1, "expires_at": <+600 s>, "failures": 0, "job_id": "a", "max_retries": 3, "priority": 2, SERVICE}]
  []
end {"lease": "b/1"}
  refused KeyError: 'b/1'
end {"lease": "a/1", "worker": "w1"}
  refused LeaseLost: job a is no longer held by this worker: its lease ran out and it became pending again
redis ZSCORE leases a
  <+600 s>.0
keys lea*
  leases zset 1
""".replace(
    "PLACE",
    '"position": 1, "priority": 2, "service_required": "unknown", "state": "pending"}, "job_id": "a", "position": 1, '
    '"state": "pending"',
).replace("SERVICE", '"service_required": "unknown", "worker_id": "w0"')


def test_moments_and_ids_are_told_by_where_they_lie() -> None:
    words, now = Words(), int(time.time() * 1000)
    told = words.heard(f"[{now}, {now - 250_000}, {now + 150_000}, 5, 1234567890123456, {now}-0, {now}-1, {now}-0]")
    assert told == "[<-0 s>, <-200 s>, <+200 s>, 5, 1234567890123456, <e1>, <e2>, <e1>]"
    assert words.said("after $e2") == f"after {now}-1"
    assert abs(int(words.said("@-60")) - now + 60_000) < 5_000
    minute = int(words.said("@h-2m7"))
    assert minute % 60 == 7
    assert words.said("@h-2m7ms") == str(minute * 60_000)
    assert words.heard(str(minute * 60_000), by_minute=True) == "<h-2m7>"


def test_what_is_repeated_is_written_once() -> None:
    assert Words().said('[$[3: {"id": "j$i"}]$]') == '[{"id": "j0"}, {"id": "j1"}, {"id": "j2"}]'
    assert Words().said("ZREM key $[2: j$i]$ $(x*4)") == "ZREM key j0 j1 xxxx"


async def test_a_book_is_played_and_another_answer_is_seen(valkey: Valkey) -> None:
    async with player(valkey.url, "moves-1:", python_path()) as one:
        assert await played(BOOK, one, compare=True) == BOOK
    wrong = BOOK.replace("refused KeyError", "refused LeaseLost")
    async with player(valkey.url, "moves-2:", python_path()) as one:
        with pytest.raises(AssertionError, match="answered …refused KeyError"):
            await played(wrong, one, compare=True)
