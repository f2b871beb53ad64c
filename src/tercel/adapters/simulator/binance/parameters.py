"""Parameters of a request: read strictly, as text from the wire into checked values.

The vendor ignores some names it does not know; here each is refused, so that a typo in a client
shows at once rather than as an order without its stop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from urllib.parse import parse_qsl

from tercel.adapters.simulator.binance.wire import RefusalError

INTERVALS_MS: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
}
"""Klines there are, by length. The longer ones of the venue (3d, 1w, 1M) are not built."""


class Kind(Enum):
    """What a parameter holds."""

    TEXT = "text"
    SYMBOL = "symbol"
    DECIMAL = "decimal"
    WHOLE = "whole"
    FLAG = "flag"
    CLIENT_ID = "client id"
    LIST = "list"


KINDS: dict[str, Kind] = {
    **dict.fromkeys(("symbol", "pair"), Kind.SYMBOL),
    **dict.fromkeys(
        ("quantity", "price", "stopPrice", "triggerPrice", "callbackRate", "activatePrice",
         "activationPrice", "amount"), Kind.DECIMAL
    ),
    **dict.fromkeys(
        ("orderId", "algoId", "fromId", "startTime", "endTime", "limit", "timestamp", "recvWindow",
         "leverage", "goodTillDate", "page", "countdownTime"), Kind.WHOLE
    ),
    **dict.fromkeys(
        ("reduceOnly", "closePosition", "priceProtect", "dualSidePosition", "multiAssetsMargin"),
        Kind.FLAG
    ),
    **dict.fromkeys(
        ("newClientOrderId", "origClientOrderId", "clientAlgoId", "clientalgoid"), Kind.CLIENT_ID
    ),
    **dict.fromkeys(("batchOrders", "orderIdList", "origClientOrderIdList"), Kind.LIST),
}  # fmt: skip
"""By name: the vendor's names mean the same in every request. The others are texts."""

CHOICES: dict[str, tuple[int, tuple[str, ...]]] = {
    "side": (-1117, ("BUY", "SELL")),
    "type": (
        -1116,
        ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
         "TRAILING_STOP_MARKET"),
    ),
    "timeInForce": (-1115, ("GTC", "IOC", "FOK", "GTX", "GTE_GTC")),
    "workingType": (-1130, ("CONTRACT_PRICE", "MARK_PRICE")),
    "newOrderRespType": (-1130, ("ACK", "RESULT")),
    "positionSide": (-1130, ("BOTH", "LONG", "SHORT")),
    "marginType": (-1130, ("ISOLATED", "CROSSED")),
    "interval": (-1120, tuple(INTERVALS_MS)),
    "algoType": (-1130, ("CONDITIONAL",)),
    "contractType": (-1130, ("PERPETUAL",)),
    "selfTradePreventionMode": (-1130, ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")),
    "priceMatch": (
        -1130,
        ("NONE", "OPPONENT", "OPPONENT_5", "OPPONENT_10", "OPPONENT_20", "QUEUE", "QUEUE_5",
         "QUEUE_10", "QUEUE_20"),
    ),
}  # fmt: skip
"""By name: the error's number, and what may be said."""

_MESSAGES = {
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
}
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_WHOLE = re.compile(r"[0-9]{1,19}")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]+")
CLIENT_ID_LENGTH_MAX = 36
PARAMETERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Given:
    """The checked parameters of one request."""

    values: Mapping[str, str]

    def has(self, name: str) -> bool:
        """Whether it was sent."""
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """As it was sent."""
        return self.values.get(name, default)

    def decimal(self, name: str) -> Decimal:
        """An amount; 0 where it was not sent."""
        return Decimal(self.values.get(name, "0"))

    def whole(self, name: str, default: int = 0) -> int:
        """A number without decimals."""
        return int(self.values.get(name, default))

    def moment(self, name: str) -> int | None:
        """A time or an id, None where it was not sent."""
        return int(self.values[name]) if name in self.values else None

    def flag(self, name: str) -> bool:
        """True or false; false where it was not sent."""
        return self.values.get(name, "false").lower() == "true"

    @property
    def symbol(self) -> str:
        """The symbol, or an empty text."""
        return self.values.get("symbol", "")


def parse_pairs(*texts: str) -> dict[str, str]:
    """Names and values of a query and a form body. Raises RefusalError for a name given twice."""
    values: dict[str, str] = {}
    for text in texts:
        try:
            pairs = parse_qsl(
                text, keep_blank_values=True, strict_parsing=bool(text), errors="strict",
                max_num_fields=PARAMETERS_MAX,
            )  # fmt: skip
        except ValueError:
            raise RefusalError(-1100, "Illegal characters found in a parameter.") from None
        for name, value in pairs:
            if name in values:
                raise RefusalError(-1101, "Duplicate values for a parameter detected.")
            values[name] = value
    return values


def check(
    values: Mapping[str, str],
    required: Sequence[str],
    optional: Sequence[str],
    symbols: Sequence[str],
) -> Given:
    """The parameters of a request that takes these names. Raises RefusalError."""
    for name in required:
        if name not in values:
            raise missing(name)
    for name, value in values.items():
        if name not in required and name not in optional:
            read = len(values) - 1
            raise RefusalError(
                -1104,
                f"Not all sent parameters were read; read '{read}' parameter(s) but was sent "
                f"'{len(values)}': '{name}' is unknown here.",
            )
        if not value:
            raise RefusalError(-1105, f"Parameter '{name}' was empty.")
        _check_value(name, value, symbols)
    return Given(values)


def missing(name: str) -> RefusalError:
    """A parameter that had to be there."""
    return RefusalError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def _check_value(name: str, value: str, symbols: Sequence[str]) -> None:
    """Raise RefusalError for what cannot be read, or is not among the choices."""
    if name in CHOICES:
        code, choices = CHOICES[name]
        if value not in choices:
            told = _MESSAGES.get(code, f"Data sent for parameter '{name}' is not valid.")
            raise RefusalError(code, told)
        return
    kind = KINDS.get(name, Kind.TEXT)
    if kind is Kind.SYMBOL and value not in symbols:
        raise RefusalError(-1121, "Invalid symbol.")
    if kind is Kind.DECIMAL and not _DECIMAL.fullmatch(value):
        raise _illegal(name, _DECIMAL.pattern)
    if kind is Kind.WHOLE and not _WHOLE.fullmatch(value):
        raise _illegal(name, _WHOLE.pattern)
    if kind is Kind.FLAG and value.lower() not in ("true", "false"):
        raise RefusalError(-1130, f"Data sent for parameter '{name}' is not valid.")
    if kind is Kind.CLIENT_ID:
        if not _CLIENT_ID.fullmatch(value):
            raise _illegal(name, "^[\\.A-Z\\:/a-z0-9_-]{1,36}$")
        if len(value) > CLIENT_ID_LENGTH_MAX:
            raise RefusalError(-4015, "Client order id length should be less than 36 chars.")


def _illegal(name: str, legal: str) -> RefusalError:
    return RefusalError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )
