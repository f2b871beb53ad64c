"""Logs on standard error: readable on a terminal, one JSON object a line everywhere else.

Events carry names and values (`log.info("bar_closed", symbol="BTCUSDT", age_ms=41)`), a UTC time
and a level. What other libraries log through the standard `logging` takes the same way out, so that
one stream can be read by one program. Importing this costs a tenth of a second (structlog): do it
when the first thing is about to be logged, not at start-up.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from tercel.domain.settings import redacted

TALKATIVE = (
    "aiohttp", "alembic", "asyncio", "ccxt", "matplotlib", "numba", "PIL", "redis",
    "sqlalchemy", "urllib3",
)  # fmt: skip
"""Libraries whose debug and info lines would bury ours: only their warnings pass."""

Event = MutableMapping[str, Any]


def configure_logs(
    level: str = "info",
    format: str = "auto",  # noqa: A002 (as the setting is called)
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Send everything logged from now on to `stream` (default: standard error).

    `level` is debug, info, warning or error; `format` is auto, human or json, auto being human on a
    terminal. Colours only on a terminal, and not where NO_COLOR is set. Calling it again replaces
    what the call before set up.
    """
    stream = sys.stderr if stream is None else stream
    environ = os.environ if environ is None else environ
    is_terminal = stream.isatty()
    human = format == "human" or (format == "auto" and is_terminal)
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(human=human, colors=is_terminal and not environ.get("NO_COLOR")),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def warn_on_standard_error() -> None:
    """For a command that answers on standard output: warnings alone, and on standard error.

    The stream is asked for with each line, and a processor drops what is less than a warning, so
    that whoever replaces standard error or captures events still finds them.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _only_warnings,
            hide_secrets,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *_renderers(human=True, colors=False),
        ],
        logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _only_warnings(_logger: Any, method: str, event: Event) -> Event:
    if logging.getLevelNamesMapping().get(method.upper(), logging.ERROR) < logging.WARNING:
        raise structlog.DropEvent
    return event


def hide_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """Nothing under a name that ends in key, secret, token or password is ever logged."""
    hidden: Event = redacted(dict(event))
    return hidden


def _renderers(*, human: bool, colors: bool) -> list[structlog.typing.Processor]:
    """What turns an event into a line."""
    if human:
        return [
            structlog.dev.ConsoleRenderer(
                colors=colors,
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [
        structlog.processors.format_exc_info,
        _as_json_object,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    ]


def _as_json_object(_logger: Any, _method: str, event: Event) -> Event:
    """Time, level and event first, since people read lines too; what JSON cannot say is null."""
    first = [name for name in ("time", "level", "event", "logger") if name in event]
    names = dict.fromkeys([*first, *event])
    return {name: None if _is_not_finite(event[name]) else event[name] for name in names}


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
