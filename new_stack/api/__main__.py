"""`python -m new_stack.api`: serve until told to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from new_stack.api.settings import ApiSettings
from new_stack.loop import run
from new_stack.queue import QueueSettings
from new_stack.queue.errors import QueueError
from new_stack.settings import SettingsError, read_options

USAGE, COULD_NOT_RUN = 2, 3

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


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Parse, serve, and answer the exit status: 0 stopped, 2 wrong usage, 3 could not run."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        settings = _settings(given, os.environ if environment is None else environment)
        from new_stack.api.server import serve  # noqa: PLC0415 - a wrong option is told before 30 MB are imported

        return run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except (QueueError, OSError) as error:
        sys.stderr.write(f"{error.detail if isinstance(error, QueueError) else error}\n")
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        return 0


def _settings(arguments: Sequence[str], environment: Mapping[str, str]) -> ApiSettings:
    about, kinds = "Serve the API of the job stack.", (ApiSettings, QueueSettings)
    given = read_options(arguments, OPTIONS, kinds, prog="hubgate api", description=about)
    return ApiSettings.from_environment(environment, given)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
