"""The trades of a session against those of a backtest on the bars that the session saw.

1. the bars are those of its inputs; those that it was shown and did not act on (history) are seen
   by the strategies alone;
2. they are traded with the settings of each stream, from the cash that the session began with;
3. trades are matched by stream, side and the bar of their entry;
4. what differs is told by cause. For a matched trade, with the backtest's scaled to the same size:

   size     the backtest's profit on what the session held more or less
   fee      what was paid more
   funding  what was received less
   price    the rest: fills at other prices
   queue    the same, where a limit filled in one and not in the other

   A trade that only one of them made is `queue` where a limit entry waited for a fill, `carried`
   where the session was kept from it by what it carried over from before (app/live/carried.py),
   else `missed`, with the refusal that explains it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.backtest import StreamSpec, simulate
from tercel.app.live.carried import Carried
from tercel.app.live.parity import SessionRecord
from tercel.app.live.plan import SessionPlan
from tercel.app.live.session_row import account_at_start
from tercel.app.live.wire import decode_event
from tercel.app.ports import Progress
from tercel.app.record_bytes import joined
from tercel.app.strategies import Strategy
from tercel.core.codes import ExitReason, OrderKind, Slot
from tercel.core.records import BAR, CONTEXT, TRADE, Records
from tercel.domain.bars import BarSeries
from tercel.domain.errors import DataError
from tercel.domain.events import BarsClosed, VenueRead
from tercel.domain.journal import FillRow, RefusalRow, TradeRow
from tercel.domain.live_settings import ParitySettings

CAUSES = ("price", "queue", "size", "fee", "funding", "missed", "carried")
"""Why a trade made something else, in the order in which they are shown."""

NOTHING = 1e-9
"""Quote, and R: less is rounding of sums."""


@dataclass(frozen=True, slots=True)
class TradeDifference:
    """One trade of both, or of one of them alone."""

    stream: int
    strategy: str
    symbol: str
    side: int
    entry_time: int
    """In the session where it made the trade, else in the backtest, ms UTC."""
    session_quote: float | None
    """Net; None: it did not make it."""
    backtest_quote: float | None
    risk_quote: float
    """1 R: the session's where it made the trade."""
    quote: dict[str, float]
    """Session less backtest, by cause; those of CAUSES that are not nothing."""
    why: str = ""
    """Of a trade that only one made."""
    is_kept_out: bool = False
    """The session was kept from it by what it carried over from before: no miss."""

    @property
    def is_matched(self) -> bool:
        """Whether both made it."""
        return self.session_quote is not None and self.backtest_quote is not None

    @property
    def difference_quote(self) -> float:
        """Session less backtest, quote."""
        return sum(self.quote.values())

    @property
    def difference_r(self) -> float:
        """The same in R. Size does not count: R is measured in it."""
        if not self.risk_quote > 0.0:
            return 0.0
        return (self.difference_quote - self.quote.get("size", 0.0)) / self.risk_quote


@dataclass(frozen=True, slots=True)
class TradeParity:
    """Every trade, and what the differences come to."""

    trades: tuple[TradeDifference, ...]
    carried: int
    """Trades of the session that were open when it began: a backtest has none such."""
    left_open: int
    """Trades of the backtest that are still open in the session."""
    tolerance_r: float
    missed_fraction_max: float

    @property
    def matched(self) -> int:
        """Trades that both made."""
        return sum(each.is_matched for each in self.trades)

    @property
    def missed_fraction(self) -> float:
        """Trades that only one made, of all that the session was not kept out of; 0 without
        any.
        """
        counted = len(self.trades) - self.kept_out
        return 1.0 - self.matched / counted if counted else 0.0

    @property
    def kept_out(self) -> int:
        """Trades that the session was kept from by what it carried over from before."""
        return sum(each.is_kept_out for each in self.trades)

    @property
    def beyond(self) -> tuple[TradeDifference, ...]:
        """Matched trades that differ by more than is tolerated."""
        return tuple(
            each
            for each in self.trades
            if each.is_matched and abs(each.difference_r) > self.tolerance_r
        )

    @property
    def is_within(self) -> bool:
        """Whether all that differs is tolerated."""
        return not self.beyond and self.missed_fraction <= self.missed_fraction_max

    def totals(self) -> dict[str, tuple[int, float, float]]:
        """(trades, quote, R) by cause."""
        found = {}
        for cause in CAUSES:
            of = [each for each in self.trades if cause in each.quote]
            in_r = sum(each.quote[cause] / each.risk_quote for each in of if each.risk_quote > 0.0)
            found[cause] = (len(of), sum(each.quote[cause] for each in of), in_r)
        return found


def compare_with_backtest(
    record: SessionRecord,
    plan: SessionPlan,
    tolerances: ParitySettings,
    progress: Progress | None = None,
) -> TradeParity:
    """Trade the session's bars in a backtest, and match the trades. Raises DataError for a session
    that saw no bars, StrategyError.
    """
    seen = _Seen(record, plan)
    limits = replace(plan.account, start_quote=seen.start_quote(record))

    def simulated(silent: Mapping[int, set[int]]) -> Records:
        specs, numbers = seen.specs(plan, silent)
        trades = simulate(specs, limits, progress=progress).trades.copy()
        trades["stream"] = np.array(numbers, np.int64)[trades["stream"]]
        return trades

    made = _session_trades(record)
    carried = Carried(record, plan, made, seen.first_ms)
    own, matching = carried.own, _Matching(record, plan, seen, carried)
    # What the session was kept out of would keep the backtest out of what came after it.
    silent = carried.silent(record)
    trades, left_open = matching.match(own, simulated(silent))
    if silent:
        trades += matching.kept_out(simulated({}))
    return TradeParity(
        tuple(sorted(trades, key=lambda each: (each.entry_time, each.stream))),
        carried=len(made) - len(own),
        left_open=left_open,
        tolerance_r=tolerances.tolerance_r,
        missed_fraction_max=tolerances.missed_fraction_max,
    )


def _session_trades(record: SessionRecord) -> Records:
    rows = (row for row in record.tables["trade"] if isinstance(row, TradeRow))
    data = b"".join(row.record for row in rows if row.desk == "main")
    if len(data) % TRADE.itemsize:
        raise DataError(
            f"session {record.row.session_id}: its trades were journaled by another version"
        )
    return np.frombuffer(bytearray(data), TRADE)


class _Seen:
    """The bars that a session was shown."""

    def __init__(self, record: SessionRecord, plan: SessionPlan) -> None:
        bars: list[dict[int, tuple[Any, Any]]] = [{} for _ in plan.series]
        self.acted: set[int] = set()
        """Open times that it could act on, ms."""
        self.wallet_quote = math.nan
        for row in record.inputs:
            if row.kind == BarsClosed.__name__:
                event = decode_event(row.kind, row.payload)
                if not isinstance(event, BarsClosed) or not len(event.bars):
                    continue
                if not event.is_late:
                    self.acted.add(event.open_time)
                for place, series in enumerate(event.series):
                    pair = (event.bars[place : place + 1], event.contexts[place : place + 1])
                    bars[series].setdefault(event.open_time, pair)
            elif row.kind == VenueRead.__name__ and math.isnan(self.wallet_quote):
                read = decode_event(row.kind, row.payload)
                if isinstance(read, VenueRead) and read.snapshot is not None:
                    self.wallet_quote = read.snapshot.wallet_quote
        if not self.acted:
            raise DataError(
                f"session {record.row.session_id}: it saw no bars to act on; there are no trades "
                "to compare"
            )
        self.first_ms = min(self.acted)
        """Open time of the first bar that it acted on."""
        self._bars = [dict(sorted(each.items())) for each in bars]

    def start_quote(self, record: SessionRecord) -> float:
        """What it began with: the venue's wallet where it asked for it."""
        kept = account_at_start(record.row)
        return kept if math.isnan(self.wallet_quote) else self.wallet_quote

    def specs(
        self, plan: SessionPlan, silent: Mapping[int, set[int]]
    ) -> tuple[tuple[StreamSpec, ...], list[int]]:
        """A stream of the backtest for each whose series has bars, and its number in the session.

        Bars that the session did not act on are there for the strategies alone. A stream asks for
        no entry at the closes of `silent`, by its number.
        """
        series: dict[int, tuple[BarSeries, Records]] = {}
        for row, (key, found) in enumerate(zip(plan.series, self._bars, strict=True)):
            if found:
                bars = joined([bar for bar, _ in found.values()], BAR)
                contexts = joined([context for _, context in found.values()], CONTEXT)
                series[row] = (BarSeries(key, bars, (), ""), contexts)
        specs, numbers = [], []
        for number, stream in enumerate(plan.streams):
            if stream.series in series:
                shown, known = series[stream.series]
                closes = np.array(sorted(silent.get(number, ())), np.int64)
                strategy = _quiet(stream.strategy, self.first_ms, closes - plan.bar_ms)
                made = StreamSpec(
                    stream.label, strategy, stream.values, shown, stream.settings, known
                )
                specs.append(replace(made, flow=stream.flow))
                numbers.append(number)
        return tuple(specs), numbers


def _quiet(strategy: Strategy, before_ms: int, opens: npt.NDArray[np.int64]) -> Strategy:
    """The same strategy, whose signals before a moment nobody hears, and which asks for no entry at
    the close of the bars that opened at `opens`.
    """

    def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
        strategy.signals(state, bars, contexts, params, out)
        early = bars["open_time"] < before_ms
        out["side"][early | np.isin(bars["open_time"], opens)] = 0
        out["exit_long"][early] = 0
        out["exit_short"][early] = 0

    return replace(strategy, signals=signals)


@dataclass(frozen=True, slots=True)
class _Names:
    strategy: str
    symbol: str


class _Matching:
    """Pairs the trades of both, and says why one has none."""

    def __init__(
        self, record: SessionRecord, plan: SessionPlan, seen: _Seen, carried: Carried
    ) -> None:
        self._plan = plan
        self._seen = seen
        self._carried = carried
        self._refusals: dict[int, list[RefusalRow]] = defaultdict(list)
        for row in record.tables["refusal"]:
            if isinstance(row, RefusalRow):
                self._refusals[row.stream].append(row)
        self._entries: dict[int, list[int]] = defaultdict(list)
        entry = Slot.ENTRY.name.lower()
        for fill in record.tables["fill"]:
            if isinstance(fill, FillRow) and fill.slot == entry and fill.desk == "main":
                self._entries[fill.stream].append(fill.time_ms)

    def match(self, own: Records, simulated: Records) -> tuple[list[TradeDifference], int]:
        """Every trade by its entry, and how many of the backtest's are open in the session."""
        found: list[TradeDifference] = []
        left_open = 0
        for stream in range(len(self._plan.streams)):
            ours = _by_entry(own[own["stream"] == stream])
            theirs = _by_entry(simulated[simulated["stream"] == stream])
            pairs = self._pairs(stream, ours, theirs)
            for number, trade in enumerate(theirs):
                if number in pairs:
                    found.append(self._matched(ours[pairs[number]], trade))
                elif self._is_open(trade, ours):
                    left_open += 1
                else:
                    found.append(self._missed(trade))
            alone = sorted(set(range(len(ours))) - set(pairs.values()))
            found += [self._extra(ours[at]) for at in alone]
        return found, left_open

    def kept_out(self, simulated: Records) -> list[TradeDifference]:
        """Those of the backtest's that the session was kept out of by what it carried over."""
        told = [self._missed(trade) for trade in simulated]
        return [each for each in told if each.is_kept_out]

    def _window_ms(self, stream: int) -> int:
        """How far apart the same entry may be filled: a bar, or as long as a limit is waited
        for.
        """
        plan = self._plan.streams[stream].settings["plan"]
        bars = 1
        if plan["entry_kind"] != OrderKind.MARKET:
            bars += int(plan["entry_wait_bars"]) * (int(plan["chase_max"]) + 1)
        return bars * self._plan.bar_ms

    def _pairs(self, stream: int, ours: Records, theirs: Records) -> dict[int, int]:
        """Which of ours each of theirs is: same side, entered within the window; nearest first."""
        window = self._window_ms(stream)
        times = ours["entry_time"].tolist()
        near = []
        for number, trade in enumerate(theirs):
            time = int(trade["entry_time"])
            for at in range(bisect_left(times, time - window), len(times)):
                if times[at] > time + window:
                    break
                if ours[at]["side"] == trade["side"]:
                    near.append((abs(times[at] - time), number, at))
        pairs: dict[int, int] = {}
        taken: set[int] = set()
        for _, number, at in sorted(near):
            if number not in pairs and at not in taken:
                pairs[number] = at
                taken.add(at)
        return pairs

    def _is_open(self, trade: Any, ours: Records) -> bool:
        """Whether the session entered as `trade` did, and ended before it was closed."""
        if trade["exit_reason"] != ExitReason.END_OF_DATA:
            return False
        stream, time = int(trade["stream"]), int(trade["entry_time"])
        begun = max((int(each) for each in ours["exit_time"]), default=0)
        window = self._window_ms(stream)
        return any(abs(each - time) <= window and each > begun for each in self._entries[stream])

    def _names(self, trade: Any) -> _Names:
        label = self._plan.streams[int(trade["stream"])].label
        return _Names(label.strategy, label.symbol)

    def _matched(self, own: Any, simulated: Any) -> TradeDifference:
        scale = float(own["quantity"]) / float(simulated["quantity"])
        before = _traded(simulated)
        parts = {
            "size": float(simulated["net_quote"]) * (scale - 1.0),
            "fee": float(simulated["fee_quote"]) * scale - float(own["fee_quote"]),
            "funding": float(own["funding_quote"]) - float(simulated["funding_quote"]) * scale,
        }
        waited = self._waits(own) and own["entry_time"] != simulated["entry_time"]
        of_a_limit = waited or own["legs_filled"] != simulated["legs_filled"]
        parts["queue" if of_a_limit else "price"] = _traded(own) - before * scale
        return self._told(own, simulated, parts)

    def _missed(self, simulated: Any) -> TradeDifference:
        """The backtest made it, the session did not."""
        row = self._refusal_near(simulated)
        refusal = "" if row is None else row.refusal
        time, bar_ms = int(simulated["entry_time"]), self._plan.bar_ms
        why = refusal
        if not refusal and time - bar_ms not in self._seen.acted:
            why = "the bar came late"
        elif not refusal:
            why = "the limit did not fill" if self._waits(simulated) else "no entry"
        of_a_limit = self._waits(simulated) and refusal in ("", "no_liquidity")
        cause = "queue" if of_a_limit and why != "the bar came late" else "missed"
        kept_out = row is not None and self._is_of(row, simulated) and self._carried.kept_out(row)
        if kept_out:
            cause = "carried"
        parts = {cause: -float(simulated["net_quote"])}
        return replace(self._told(None, simulated, parts, why), is_kept_out=kept_out)

    def _extra(self, own: Any) -> TradeDifference:
        """The session made it, the backtest did not."""
        waits = self._waits(own)
        why = "the limit fills in the session alone" if waits else "no such trade in the backtest"
        cause = "queue" if waits else "missed"
        return self._told(own, None, {cause: float(own["net_quote"])}, why)

    def _told(
        self, own: Any, simulated: Any, parts: dict[str, float], why: str = ""
    ) -> TradeDifference:
        trade = simulated if own is None else own
        names = self._names(trade)
        return TradeDifference(
            stream=int(trade["stream"]),
            strategy=names.strategy,
            symbol=names.symbol,
            side=int(trade["side"]),
            entry_time=int(trade["entry_time"]),
            session_quote=None if own is None else float(own["net_quote"]),
            backtest_quote=None if simulated is None else float(simulated["net_quote"]),
            risk_quote=float(trade["risk_quote"]),
            quote={cause: value for cause, value in parts.items() if abs(value) > NOTHING},
            why=why,
        )

    def _waits(self, trade: Any) -> bool:
        plan = self._plan.streams[int(trade["stream"])].settings["plan"]
        return bool(plan["entry_kind"] != OrderKind.MARKET)

    def _is_of(self, row: RefusalRow, trade: Any) -> bool:
        """Whether a refusal is of the very signal of `trade`: of the close that it was entered at,
        or, where a limit waits, of one since which it may have waited.
        """
        ago_ms = int(trade["entry_time"]) - row.time_ms
        bar_ms = self._plan.bar_ms
        return -bar_ms < ago_ms < (self._window_ms(row.stream) if self._waits(trade) else bar_ms)

    def _refusal_near(self, trade: Any) -> RefusalRow | None:
        """Why the session did not enter where the backtest did; None: it does not say."""
        stream, time = int(trade["stream"]), int(trade["entry_time"])
        window = self._window_ms(stream)
        near = [
            row
            for row in self._refusals[stream]
            if abs(row.time_ms - time) <= window and row.side == int(trade["side"])
        ]
        return min(near, key=lambda row: abs(row.time_ms - time), default=None)


def _by_entry(trades: Records) -> Records:
    return trades[np.argsort(trades["entry_time"], kind="stable")]


def _traded(trade: Any) -> float:
    """What prices made of a trade: before fees and funding, quote."""
    return float(trade["gross_quote"]) - float(trade["slippage_quote"])
