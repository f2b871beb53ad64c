"""What is asked of Binance before the first order: instruments, what the key may do, and how the
account is set up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

import structlog

from tercel.adapters.ccxt.binance import errors
from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.link import Link
from tercel.adapters.ccxt.precision import VenueRules
from tercel.app.live.governor import PUBLIC
from tercel.app.series_choice import nearest_symbols
from tercel.domain.errors import UserError, VenueError
from tercel.domain.live_settings import VenueSettings
from tercel.domain.venue_instrument import LargestOrder

log = structlog.get_logger(__name__)

MARGIN_TYPES = {"isolated": "ISOLATED", "cross": "CROSSED"}


async def read_rules(link: Link, symbols: Sequence[str]) -> dict[str, VenueRules]:
    """Rules of `symbols`. Raises UserError for one that the venue does not trade; VenueError."""
    call = Call("instruments", "fapiPublicGetExchangeInfo", category=PUBLIC)
    answer = await link.ask(call)
    try:
        rows = {str(row["symbol"]): row for row in answer["symbols"]}
    except (KeyError, TypeError):
        raise VenueError("the list of instruments cannot be read") from None
    found = {}
    for symbol in symbols:
        if symbol not in rows:
            raise UserError(_unknown(symbol, rows))
        try:
            found[symbol] = _rules(rows[symbol])
        except (KeyError, TypeError, InvalidOperation, ZeroDivisionError) as error:
            raise VenueError(f"the rules of {symbol} cannot be read: {error!r}") from None
    return found


def _unknown(symbol: str, rows: Mapping[str, Json]) -> str:
    trading = sorted(name for name, row in rows.items() if row.get("status") == "TRADING")
    meant = ", ".join(nearest_symbols(symbol, trading))
    return f"the venue does not know {symbol}" + (f"; did you mean {meant}?" if meant else "")


def _rules(row: Json) -> VenueRules:
    """A symbol of exchangeInfo; filters and fields that are not needed may change as they like."""
    filters = {str(each["filterType"]): each for each in row["filters"]}
    lot = Decimal(str(filters["LOT_SIZE"]["stepSize"]))
    market = filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    notional = filters.get("MIN_NOTIONAL", {})
    rules = VenueRules(
        symbol=str(row["symbol"]),
        tick_size=Decimal(str(filters["PRICE_FILTER"]["tickSize"])),
        lot_size=lot,
        market_lot_size=Decimal(str(market["stepSize"])),
        quantity_min=Decimal(str(filters["LOT_SIZE"]["minQty"])),
        notional_min=Decimal(str(notional.get("notional", "0"))),
        is_trading=row.get("status") == "TRADING",
        largest=LargestOrder(_largest(filters["LOT_SIZE"]), _largest(market)),
    )
    if rules.tick_size <= 0 or rules.lot_size <= 0:
        raise ZeroDivisionError(f"tick {rules.tick_size}, lot {rules.lot_size}")
    return rules


def _largest(row: Json) -> Decimal | None:
    """maxQty of a filter; None where it has none."""
    most = Decimal(str(row.get("maxQty") or "0"))
    return most if most > 0 else None


async def refuse_withdrawals(link: Link) -> None:
    """Raise UserError for a key that may withdraw, or may not trade futures. VenueError where the
    venue does not tell: what is not known is not trusted.
    """
    try:
        answer = await link.call(Call("permissions", "sapiGetAccountApiRestrictions"))
    except CallFailedError as error:
        raise VenueError(
            f"permissions: {error.text.rstrip('.')}{_about_keys(error, link)}"
        ) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("enableWithdrawals"), bool):
        raise VenueError("the venue does not say whether the API key may withdraw: it is not used")
    if answer["enableWithdrawals"]:
        raise UserError(
            "the API key may withdraw funds: it is not used; make one without that permission"
        )
    if answer.get("enableFutures") is False:
        raise UserError("the API key may not trade futures: allow it at the venue")


def _about_keys(error: CallFailedError, link: Link) -> str:
    """Which keys the venue did not take; empty: it is not about them, or nobody knows."""
    what = {
        **dict.fromkeys(errors.KEY_REFUSED, "the key"),
        errors.SIGNATURE_REFUSED: "the secret",
    }.get(error.code)
    if what is None or not link.keys_origin:
        return ""
    return (
        f"; the venue does not take {what}. Key and secret were read from {link.keys_origin}: are "
        "they of this venue, complete, and allowed from this address?"
    )


async def set_up_account(link: Link, symbols: Sequence[str], settings: VenueSettings) -> None:
    """One-way mode, margin mode and leverage as wanted; what is so already is left alone.

    Raises VenueError.
    """
    await _set(
        link,
        "fapiPrivatePostPositionSideDual",
        {"dualSidePosition": "false"},
        "one-way mode",
        already=frozenset({errors.NO_CHANGE_SIDE}),
    )
    known = await _symbol_settings(link)
    margin = MARGIN_TYPES[settings.margin_mode]
    for symbol in symbols:
        has_margin, has_leverage = known.get(symbol, ("", 0))
        if has_margin != margin:
            # While orders or a position are there the venue does not change it: then it must be
            # so already, or this session would trade under another risk than it was told.
            locked = errors.MARGIN_LOCKED if not has_margin else frozenset()
            await _set(
                link,
                "fapiPrivatePostMarginType",
                {"symbol": symbol, "marginType": margin},
                f"{settings.margin_mode} margin of {symbol}",
                already=locked | {errors.NO_CHANGE_MARGIN},
            )
        if has_leverage != settings.leverage:
            await _set_leverage(link, symbol, settings.leverage)


async def _symbol_settings(link: Link) -> dict[str, tuple[str, int]]:
    """(margin type, leverage) by symbol, for all in one call; what is not told is missing."""
    try:
        rows = await link.call(Call("account", "fapiPrivateGetSymbolConfig", weight=5))
        return {
            str(row["symbol"]): (str(row["marginType"]).upper(), int(row["leverage"]))
            for row in rows
        }
    except (CallFailedError, KeyError, TypeError, ValueError) as error:
        log.info("symbol_settings_unknown", reason=str(error)[:120])
        return {}


async def _set_leverage(link: Link, symbol: str, leverage: int) -> None:
    try:
        await _change(link, "fapiPrivatePostLeverage", {"symbol": symbol, "leverage": leverage})
    except CallFailedError as error:
        if error.code != errors.LEVERAGE_LOCKED:
            raise VenueError(f"leverage {leverage} of {symbol}: {error.text}") from None
        # A position of before is open under another leverage: its margin stays, its risk is ours.
        log.warning("leverage_locked_by_position", symbol=symbol, wanted=leverage)


async def _set(
    link: Link, method: str, params: dict[str, str | int], what: str, *, already: frozenset[int]
) -> None:
    try:
        await _change(link, method, params)
    except CallFailedError as error:
        if error.code not in already:
            raise VenueError(f"{what}: {error.text}") from None


async def _change(link: Link, method: str, params: dict[str, str | int]) -> None:
    """Settings may be set twice: they are tried again where no answer came."""
    await link.call(Call("account", method, params))
