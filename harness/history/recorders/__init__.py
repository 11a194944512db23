"""Recorders: what each party sees on its wire, written down as history."""

from harness.history.recorders.clients import LegacyTranslator, sse_delivery, transcript_events
from harness.history.recorders.hub import HubRecorder, from_frame
from harness.history.recorders.legacy_client import LegacyClient
from harness.history.recorders.redis_log import RedisRecorder
from harness.history.recorders.stack import StackRecorder, from_event
from harness.history.recorders.stack_client import StackClient
from harness.history.recorders.survey import WorkerWatch, survey

__all__ = [
    "HubRecorder",
    "LegacyClient",
    "LegacyTranslator",
    "RedisRecorder",
    "StackClient",
    "StackRecorder",
    "WorkerWatch",
    "from_event",
    "from_frame",
    "sse_delivery",
    "survey",
    "transcript_events",
]
