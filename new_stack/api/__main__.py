"""`python -m new_stack.api`: serve until told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from new_stack.api.settings import ApiSettings
from new_stack.process import run_process
from new_stack.queue import QueueSettings
from new_stack.settings import read_options

OPTIONS: Final = (
    ("--host", "host", "HOST", "address to listen on (API_HOST, 127.0.0.1)"),
    ("--port", "port", "PORT", "port to listen on, 0 for any (API_PORT, 8000)"),
    ("--redis", "redis_url", "URL", "where Redis is (REDIS_URL, redis://127.0.0.1:6379/0)"),
    ("--prefix", "prefix", "PREFIX", "put before every key (HUBGATE_PREFIX)"),
    (
        "--token-file",
        "token_file",
        "PATH",
        "file with the token that every caller has to show (HUBGATE_TOKEN_FILE, or WEBSOCKET_AUTH_TOKEN itself)",
    ),
    ("--cors-origin", "cors_origins", "ORIGIN", "origin whose pages may use the API, beside its own (CORS_ORIGINS)"),
)
"""Each option with the setting that it sets."""


def start(arguments: Sequence[str], environment: Mapping[str, str]) -> Coroutine[Any, Any, int]:
    """Serve until told to stop. Raises SettingsError."""
    about, kinds = "Serve the API of the job stack.", (ApiSettings, QueueSettings)
    given = read_options(arguments, OPTIONS, kinds, prog="hubgate api", description=about)
    settings = ApiSettings.from_environment(environment, given)
    from new_stack.api.server import serve  # noqa: PLC0415 - a wrong option is told before 30 MB are imported

    return serve(settings)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        sys.exit(run_process(start, OSError))
