"""What Binance's answers mean for an order: refused only where that is certain."""

from __future__ import annotations

import pytest

from tercel.adapters.ccxt.binance.errors import (
    answer_to_query,
    answer_to_write,
    held_name,
    is_ban,
    read_error,
    used_weight,
    wait_seconds,
)
from tercel.adapters.ccxt.calls import CallFailedError
from tercel.app.live.governor import ENTRIES, UNHURRIED
from tercel.domain.events import Fault, Outcome

REFUSED, AMBIGUOUS = Outcome.REFUSED, Outcome.AMBIGUOUS

CERTAIN = [
    (-2021, Fault.WOULD_TRIGGER),
    (-5022, Fault.WOULD_CROSS),
    (-2011, Fault.NOT_FOUND),
    (-2013, Fault.NOT_FOUND),
    (-2022, Fault.REDUCE_ONLY),
    (-4118, Fault.REDUCE_ONLY),
    (-2019, Fault.MARGIN),
    (-2027, Fault.MARGIN),
    (-4116, Fault.DUPLICATE),
    (-1111, Fault.FILTER),
    (-4014, Fault.FILTER),
    (-4023, Fault.FILTER),
    (-4164, Fault.FILTER),
    (-4131, Fault.FILTER),
    (-1008, Fault.BUSY),
    (-1015, Fault.BUSY),
    (-1021, Fault.CLOCK),
    (-2015, Fault.DENIED),
    (-4400, Fault.DENIED),
    (-4117, Fault.TRIGGERING),
    (-4120, Fault.OTHER),
    (-9999, Fault.OTHER),
]


@pytest.mark.parametrize(("code", "fault"), CERTAIN)
def test_a_number_of_the_venue_is_a_certain_refusal(code: int, fault: Fault) -> None:
    answer = answer_to_write(CallFailedError("words", status=400, code=code))
    assert (answer.outcome, answer.fault, answer.code) == (REFUSED, fault, code)


@pytest.mark.parametrize(
    ("status", "code", "text", "outcome"),
    [
        (0, 0, "no answer within 2000 ms", AMBIGUOUS),
        (0, 0, "ServerDisconnectedError", AMBIGUOUS),
        (200, 0, "the answer is not JSON", AMBIGUOUS),
        (400, -1006, "An unexpected response was received.", AMBIGUOUS),
        (408, -1007, "Timeout waiting for response from backend server.", AMBIGUOUS),
        (400, -1007, "Timeout waiting for response from backend server.", AMBIGUOUS),
        (408, 0, "Request Timeout", AMBIGUOUS),
        (400, 0, "HTTP 400: <html>", AMBIGUOUS),
        (500, 0, "HTTP 500: <html>", AMBIGUOUS),
        (502, 0, "HTTP 502 Bad Gateway: <html>", AMBIGUOUS),
        (503, 0, "Unknown error, please check your request or try again later.", AMBIGUOUS),
        (503, -1000, "Unknown error, please check your request", AMBIGUOUS),
        (503, 0, "HTTP 503: <html>", AMBIGUOUS),
        (503, 0, "HTTP 503: <h1>503 Service Unavailable</h1>", AMBIGUOUS),
        (503, 0, "HTTP 503: Service Unavailable", AMBIGUOUS),
        (503, 0, "Service Unavailable.", REFUSED),
        (503, -1001, "Internal error; unable to process your request.", REFUSED),
        (503, -1008, "Request throttled by system-level protection.", REFUSED),
        (504, 0, "HTTP 504 Gateway Timeout", AMBIGUOUS),
        (524, 0, "HTTP 524", AMBIGUOUS),
        (429, -1003, "Too many requests.", REFUSED),
        (429, 0, "<html>", REFUSED),
        (418, -1003, "banned until 1700000100000", REFUSED),
        (403, 0, "<html>", REFUSED),
    ],
)
def test_what_may_have_been_carried_out_is_ambiguous(
    status: int, code: int, text: str, outcome: Outcome
) -> None:
    is_told = "<html>" not in text and not text.startswith("HTTP")
    answer = answer_to_write(CallFailedError(text, status=status, code=code, is_told=is_told))
    assert answer.outcome is outcome
    if outcome is REFUSED:
        assert answer.fault is Fault.BUSY


def test_every_proxys_503_is_called_service_unavailable_so_its_words_tell_nothing() -> None:
    error = CallFailedError("Service Unavailable.", status=503, is_told=False)
    assert answer_to_write(error).outcome is AMBIGUOUS


def test_what_never_left_is_refused() -> None:
    answer = answer_to_write(CallFailedError("connection refused", was_sent=False))
    assert (answer.outcome, answer.fault) == (REFUSED, Fault.BUSY)


def test_a_duplicate_that_is_told_in_words_alone() -> None:
    answer = answer_to_write(CallFailedError("Duplicate order sent.", status=400, code=-2010))
    assert (answer.outcome, answer.fault) == (REFUSED, Fault.DUPLICATE)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CallFailedError("", status=400, code=-2013), REFUSED),
        (CallFailedError("", status=429, code=-1003), AMBIGUOUS),
        (CallFailedError("", status=400, code=-1021), AMBIGUOUS),
        (CallFailedError("", was_sent=False), AMBIGUOUS),
    ],
)
def test_only_an_order_that_is_not_there_answers_a_question_with_no(
    error: CallFailedError, outcome: Outcome
) -> None:
    assert answer_to_query(error).outcome is outcome


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"code": -2019, "msg": "Margin is insufficient."}, (-2019, "Margin is insufficient.")),
        ({"code": 200, "msg": "success"}, (0, "success")),
        ({"algoId": 1, "clientAlgoId": "a", "code": "200", "msg": "success"}, (0, "success")),
        ({"msg": "Service Unavailable."}, (0, "Service Unavailable.")),
        ({"orderId": 1}, (0, "")),
        ([{"orderId": 1}], (0, "")),
        ({"code": "what", "msg": ""}, (0, "")),
        (None, (0, "")),
    ],
)
def test_the_number_of_an_answer(body: object, error: tuple[int, str]) -> None:
    assert read_error(body) == error


def test_how_long_a_ban_lasts() -> None:
    now_ms = 1_700_000_040_000
    told = f"Way too many requests; IP banned until {now_ms + 90_000}."
    assert wait_seconds(418, told, now_ms) == 90.0
    assert wait_seconds(418, "I am a teapot", now_ms) == 120.0
    assert wait_seconds(403, "<html>", now_ms) is None
    assert wait_seconds(429, "too many", now_ms + 15_000) == 45.0
    assert wait_seconds(400, "bad", now_ms) is None


def test_too_many_orders_are_forgiven_with_their_own_window() -> None:
    now_ms = 1_700_000_040_000 + 13_000
    words = "Too many new orders; current limit is "
    for said in ("300 orders per TEN_SECONDS.", "300 orders per 10 SECOND."):
        assert wait_seconds(429, words + said, now_ms) == 7.0
    for said in ("1200 orders per MINUTE.", "1200 orders per 1 MINUTE.", "%s orders per %s."):
        assert wait_seconds(429, words + said, now_ms) == 47.0


def test_whom_an_error_asks_to_wait() -> None:
    assert held_name(418, "I am a teapot") is None
    assert held_name(429, "IP banned until 1700000100000.") is None
    assert held_name(429, "Too many requests; current limit of IP is 2400") == UNHURRIED
    assert held_name(429, "Too many new orders; current limit is 300") == ENTRIES


def test_a_ban_is_told_from_too_many_requests() -> None:
    assert is_ban(418, "I am a teapot")
    assert not is_ban(403, "<html>")
    assert is_ban(429, "IP banned until 1700000100000.")
    assert not is_ban(429, "Too many requests.")


def test_the_weight_is_read_whatever_the_case_of_its_name() -> None:
    assert used_weight({"x-mbx-used-weight-1m": "17"}) == 17
    assert used_weight({"X-MBX-USED-WEIGHT-1M": "18"}) == 18
    assert used_weight({"X-MBX-USED-WEIGHT-1M": "many"}) is None
    assert used_weight({}) is None
