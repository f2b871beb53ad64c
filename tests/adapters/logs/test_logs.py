"""Where log lines go and what they look like. Their wording is nobody's business here."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from tercel.adapters.logs import configure_logs, warn_on_standard_error


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Put the process's logging back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Each line as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_time_level_event_and_values() -> None:
    stream = io.StringIO()
    configure_logs("info", "auto", stream)
    structlog.get_logger("tercel.data").info("bar_closed", symbol="BTCUSDT", age_ms=41)
    [line] = lines(stream)
    moment = datetime.fromisoformat(line.pop("time"))
    assert moment.tzinfo == UTC
    assert line == {
        "level": "info",
        "event": "bar_closed",
        "logger": "tercel.data",
        "symbol": "BTCUSDT",
        "age_ms": 41,
    }
    assert list(lines(stream)[0])[:3] == ["time", "level", "event"]


def test_a_terminal_gets_readable_lines() -> None:
    stream = Terminal()
    configure_logs("info", "auto", stream, {})
    structlog.get_logger().info("bar_closed", symbol="BTCUSDT")
    assert "bar_closed" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(
    ("stream", "environ"), [(Terminal(), {"NO_COLOR": "1"}), (io.StringIO(), {})]
)
def test_no_colours_where_they_are_not_wanted(stream: io.StringIO, environ: dict[str, str]) -> None:
    configure_logs("info", "human", stream, environ)
    structlog.get_logger().warning("spread_wide", bps=12)
    assert "spread_wide" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_json_can_be_asked_for_on_a_terminal() -> None:
    stream = Terminal()
    configure_logs("info", "json", stream)
    structlog.get_logger().info("started")
    assert lines(stream)[0]["event"] == "started"


def test_levels_filter() -> None:
    stream = io.StringIO()
    configure_logs("warning", "json", stream)
    logger = structlog.get_logger()
    for method in ("debug", "info", "warning", "error"):
        getattr(logger, method)("event")
    assert [line["level"] for line in lines(stream)] == ["warning", "error"]


def test_the_standard_library_takes_the_same_way_out() -> None:
    stream = io.StringIO()
    configure_logs("debug", "json", stream)
    logging.getLogger("some.library").info("connected to %s", "x", extra={"api_key": "abc"})
    logging.getLogger("matplotlib").debug("thousands of these")
    [line] = lines(stream)
    assert line["event"] == "connected to x"
    assert line["logger"] == "some.library"
    assert line["api_key"] == "(hidden)"


def test_secrets_never_reach_a_log() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.contextvars.bind_contextvars(bot_token="abc")  # noqa: S106 (a made-up one)
    structlog.get_logger().info("signed_in", account={"api_secret": "abc", "name": "main"})
    assert "abc" not in stream.getvalue()
    assert lines(stream)[0]["account"]["name"] == "main"


@pytest.mark.parametrize("form", ["json", "human"])
def test_an_exception_is_logged_with_its_traceback(form: str) -> None:
    stream = io.StringIO()
    configure_logs("info", form, stream)
    try:
        raise ValueError("broken")  # noqa: TRY301 (it is what is tested)
    except ValueError:
        structlog.get_logger().exception("task_failed")
    assert "Traceback" in stream.getvalue()
    assert "broken" in stream.getvalue()
    assert form == "human" or len(lines(stream)) == 1


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logs("info", "json", first)
    logger = structlog.get_logger()
    configure_logs("info", "json", second)
    logger.info("once")
    logging.getLogger("x").warning("twice")
    assert first.getvalue() == ""
    assert len(lines(second)) == 2


def test_unusual_values_do_not_break_a_line() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger().info("odd", value={1, 2}, nan=float("nan"), text="a\nb")
    [line] = lines(stream)
    assert line["nan"] is None
    assert line["text"] == "a\nb"


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    structlog.get_logger().info("started")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "started"


def test_a_command_that_answers_on_standard_output_keeps_it_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = structlog.get_logger("tercel.journal")
    warn_on_standard_error()
    log.info("journal_in_plain_tables")
    log.warning("state_not_durable", store="redis", api_key="abc")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "journal_in_plain_tables" not in printed.err
    assert "state_not_durable" in printed.err
    assert "abc" not in printed.err
    with structlog.testing.capture_logs() as told:
        log.info("still_there")
    assert [each["event"] for each in told] == ["still_there"]
