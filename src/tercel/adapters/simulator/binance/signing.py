"""Who asks: the key in the header, the signature over the request, and the time it was made."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping

from tercel.adapters.simulator.binance.parameters import missing
from tercel.adapters.simulator.binance.settings import Credentials, Limits
from tercel.adapters.simulator.binance.wire import HTTP_UNAUTHORISED, RefusalError

KEY_LENGTH = 64
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


def check_key(key: str, credentials: Credentials) -> None:
    """Raise RefusalError for a key that is no key, or not the account's."""
    if len(key) != KEY_LENGTH:
        raise RefusalError(-2014, "API-key format invalid.", HTTP_UNAUTHORISED)
    if not hmac.compare_digest(key.encode(), credentials.key.encode()):
        raise bad_key()


def bad_key() -> RefusalError:
    """The key is unknown, or may not do this from here."""
    return RefusalError(-2015, "Invalid API-key, IP, or permissions for action", HTTP_UNAUTHORISED)


def check_signature(query: str, body: str, given: str, secret: str) -> None:
    """Raise RefusalError unless `given` signs query and body, as sent, without the signature."""
    payload = _SIGNATURE.sub("", query) + _SIGNATURE.sub("", body)
    _compare(payload, given, secret)


def check_signed_values(values: Mapping[str, str], secret: str) -> None:
    """The same for a frame: its parameters in the order of their names. Raises RefusalError."""
    signed = {name: value for name, value in values.items() if name != "signature"}
    payload = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
    _compare(payload, values.get("signature", ""), secret)


def check_time(
    values: Mapping[str, str], limits: Limits, now_ms: int, other_clock: Callable[[], int] | None
) -> None:
    """Raise RefusalError for a request that is too old, or comes from the future.

    `other_clock` is a second clock that a timestamp may be right by: that of the clients, where
    the venue's time runs faster than theirs.
    """
    if not values.get("timestamp", "").isdigit():
        raise missing("timestamp")
    window_text = values.get("recvWindow", str(limits.receive_window_ms_default))
    if not window_text.isdigit():
        raise missing("recvWindow")
    window_ms = int(window_text)
    if window_ms > limits.receive_window_ms_max:
        raise RefusalError(-1131, "recvWindow must be less than 60000")
    sent_ms = int(values["timestamp"])
    clocks = [now_ms] if other_clock is None else [now_ms, other_clock()]
    if any(
        sent_ms < clock_ms + limits.clock_ahead_ms_max and clock_ms - sent_ms <= window_ms
        for clock_ms in clocks
    ):
        return
    if sent_ms >= now_ms + limits.clock_ahead_ms_max:
        raise RefusalError(
            -1021, "Timestamp for this request was 1000ms ahead of the server's time."
        )
    raise RefusalError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _compare(payload: str, given: str, secret: str) -> None:
    if not given:
        raise missing("signature")
    wanted = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise RefusalError(-1022, "Signature for this request is not valid.")
