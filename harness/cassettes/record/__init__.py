"""Records what passes between real clients, workers, monitors and a real server.

sessions = Sessions(Path("out/mine.jsonl"), per=Per.SESSION, today="2026-11-24")
async with Recorder("http://127.0.0.1:8001", sessions, port=9001, redaction=Redaction(paths=["$.payload.key"])):
    await until_the_user_has_enough()
print(sessions.written)
"""

from harness.cassettes.record.recorder import Recorder
from harness.cassettes.record.redaction import BadRule, Redaction
from harness.cassettes.record.sessions import Per, Sessions, by_job

__all__ = ["BadRule", "Per", "Recorder", "Redaction", "Sessions", "by_job"]
