"""What Binance's numbers mean for an order: carried out, refused for sure, or nobody knows.

The vendor's own words (general info of the futures API): a 503 "Unknown error" and -1006, -1007 may
have been carried out; a 503 "Service Unavailable" or "Internal error; unable to process" and -1008
were not; 429 and 418 were counted and turned away; 408 is a backend that did not answer in time.
Everything else without one of the venue's numbers is taken for unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tercel.adapters.ccxt.calls import CallFailedError, Json
from tercel.app.live.governor import ENTRIES, UNHURRIED
from tercel.domain.binance_numbers import FAULTS
from tercel.domain.events import Answer, Fault, Outcome
from tercel.domain.times import MINUTE_MS

NO_CHANGE_MARGIN = -4046
NO_CHANGE_SIDE = -4059
BAD_LISTEN_KEY = -1125
MARGIN_LOCKED = frozenset({-4047, -4048})
"""Margin type cannot change while orders or a position are there."""
LEVERAGE_LOCKED = -4161

KEY_REFUSED = frozenset({-2008, -2014, -2015})
"""A key that there is not, that no key looks like, or that may not do this from this address."""
SIGNATURE_REFUSED = -1022
"""The secret is not that of the key."""

AMBIGUOUS_CODES = frozenset({-1000, -1006, -1007})
"""Unknown error, unexpected response, timeout: the order may exist or not."""

BUSY_STATUS = frozenset({403, 418, 429})
"""Turned away before the exchange looked at it: the web firewall, a ban, too many requests."""
NOT_DONE_WORDS = ("service unavailable", "internal error; unable to process")
TOO_MANY_ORDERS = "Too many new orders"
"""-1015: "Too many new orders; current limit is 300 orders per TEN_SECONDS." """
TEN_SECONDS = re.compile(r"per (?:10|TEN)[ _]?SECOND")
TEN_SECONDS_MS = 10_000
BAN_UNTIL = re.compile(r"banned until (\d{13})")
BAN_SECONDS = 120.0
"""The shortest ban there is, where a 418 does not say how long."""
BAN_STATUS = frozenset({418})
"""The address is turned away, whatever it asks for. Not the web firewall's 403: it may mean one
path alone, and a stop is better tried in vain than held back.
"""


def answer_to_write(error: CallFailedError) -> Answer:
    """What a failed write came to. REFUSED only where that is certain."""
    return Answer(
        _outcome(error), fault=_fault(error), code=error.code, text=error.text or str(error)
    )


def answer_to_query(error: CallFailedError) -> Answer:
    """What a failed question came to: REFUSED where there is no such order, else nobody knows."""
    fault = _fault(error)
    is_certain = fault is Fault.NOT_FOUND and error.status != 0
    outcome = Outcome.REFUSED if is_certain else Outcome.AMBIGUOUS
    return Answer(outcome, fault=fault, code=error.code, text=error.text)


def read_error(body: Json) -> tuple[int, str]:
    """(number, words) of `{"code": -2019, "msg": "Margin is insufficient."}`; numbers of errors are
    negative: `{"code": 200, "msg": "success"}` and `{"code": "200", ...}` are answers, number 0.
    """
    if not isinstance(body, dict):
        return 0, ""
    words = str(body.get("msg") or "")
    try:
        code = int(body.get("code") or 0)
    except (TypeError, ValueError):
        code = 0
    return min(code, 0), words


def used_weight(headers: Mapping[str, str]) -> int | None:
    """`X-MBX-USED-WEIGHT-1M`, whatever its case."""
    for name, value in headers.items():
        if name.lower() == "x-mbx-used-weight-1m" and value.isdecimal():
            return int(value)
    return None


def wait_seconds(status: int, text: str, now_ms: int) -> float | None:
    """How long callers have to wait after an error; None: not at all.

    A ban names its end; too many requests are forgiven with the calendar minute, too many orders
    with it or with a sixth of it. `Retry-After` counts beside this, whichever is longer.
    """
    until = BAN_UNTIL.search(text)
    if until is not None:
        return max(0.0, (int(until[1]) - now_ms) / 1000.0)
    if status in BAN_STATUS:
        return BAN_SECONDS
    if TOO_MANY_ORDERS in text:
        window_ms = TEN_SECONDS_MS if TEN_SECONDS.search(text) else MINUTE_MS
        return (window_ms - now_ms % window_ms) / 1000.0
    if status == 429:
        return (MINUTE_MS - now_ms % MINUTE_MS) / 1000.0
    return None


def held_name(status: int, text: str) -> str | None:
    """Whom an error with `wait_seconds` asks to wait; None: everybody.

    Entries alone after too many orders: neither cancels nor reads are counted among them, and what
    closes or protects is better tried in vain than held back.
    """
    if is_ban(status, text):
        return None
    return ENTRIES if TOO_MANY_ORDERS in text else UNHURRIED


def is_ban(status: int, text: str) -> bool:
    """Whether an error turns the address away, rather than one kind of request."""
    return status in BAN_STATUS or BAN_UNTIL.search(text) is not None


def _outcome(error: CallFailedError) -> Outcome:
    if not error.was_sent or error.status in BUSY_STATUS:
        return Outcome.REFUSED
    if error.status == 0 or error.status == 408 or error.code in AMBIGUOUS_CODES:
        return Outcome.AMBIGUOUS
    if error.status >= 500:
        # Not the words of a page: every 503 of every proxy is called "Service Unavailable".
        words = error.text.lower() if error.is_told and error.status == 503 else ""
        not_done = any(words.startswith(said) for said in NOT_DONE_WORDS)
        is_numbered = FAULTS.get(error.code) is Fault.BUSY
        return Outcome.REFUSED if is_numbered or not_done else Outcome.AMBIGUOUS
    return Outcome.REFUSED if error.code < 0 else Outcome.AMBIGUOUS


def _fault(error: CallFailedError) -> Fault:
    if error.status in BUSY_STATUS or not error.was_sent:
        return Fault.BUSY
    if "Duplicate order sent" in error.text:
        return Fault.DUPLICATE
    if error.code in FAULTS:
        return FAULTS[error.code]
    return Fault.BUSY if error.status >= 500 else Fault.OTHER
