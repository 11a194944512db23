"""`python -m new_stack.api`: serve until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from new_stack.api.settings import ApiSettings
from new_stack.queue import QueueSettings
from new_stack.queue.errors import QueueError
from new_stack.settings import SettingsError

USAGE, COULD_NOT_RUN = 2, 3


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Parse, serve, and answer the exit status: 0 stopped, 2 wrong usage, 3 could not run."""
    options = vars(_parser().parse_args(arguments))
    try:
        return _run(_settings(options, os.environ if environment is None else environment))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except (QueueError, OSError) as error:
        sys.stderr.write(f"{error.detail if isinstance(error, QueueError) else error}\n")
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m new_stack.api", description="Serve the API of the job stack.")
    parser.add_argument("--host", help="address to listen on (API_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any (API_PORT, 8000)")
    parser.add_argument("--redis", metavar="URL", help="where Redis is (REDIS_URL, redis://127.0.0.1:6379/0)")
    parser.add_argument("--prefix", help="put before every key (HUBGATE_PREFIX)")
    parser.add_argument(
        "--token-file",
        metavar="PATH",
        help="file with the token that every caller has to show (HUBGATE_TOKEN_FILE, or WEBSOCKET_AUTH_TOKEN itself)",
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        metavar="ORIGIN",
        help="origin whose pages may use the API, beside its own (CORS_ORIGINS)",
    )
    return parser


def _settings(options: Mapping[str, Any], environment: Mapping[str, str]) -> ApiSettings:
    queue = QueueSettings.from_environment(environment)
    changes = {"redis_url": options["redis"], "prefix": options["prefix"]}
    queue = msgspec.structs.replace(queue, **{name: value for name, value in changes.items() if value is not None})
    origins = options["cors_origin"]
    given = {
        "host": options["host"],
        "port": options["port"],
        "token_file": options["token_file"],
        "cors_origins": None if origins is None else tuple(origins),
        "queue": queue,
    }
    return ApiSettings.from_environment(environment, given)


def _run(settings: ApiSettings) -> int:
    from new_stack.api.server import serve  # noqa: PLC0415 - a wrong option is told before 30 MB are imported

    try:
        import uvloop  # noqa: PLC0415 - where it is present
    except ImportError:
        return asyncio.run(serve(settings))
    return uvloop.run(serve(settings))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
