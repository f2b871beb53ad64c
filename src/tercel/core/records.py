"""Every record of the core, each field with its unit.

Units: `_time` and `time` are milliseconds UTC; prices are quote per base; `quantity` is base;
`_quote` is quote currency (USDT); `_rate` and `_fraction` are fractions of one (0.0005 is 0.05 %);
`_r` is in multiples of the trade's initial risk. Unknown numbers are NaN.

Who writes what: market data fills BAR and CONTEXT; a strategy fills SIGNAL; the user's settings
fill PLAN, INSTRUMENT, COSTS, FILL_RULES, SIZING and LIMITS; only `kernel.py` (with the functions it
calls) writes ORDER, POSITION, STREAM and ACCOUNT; FILL comes from the simulated or the real venue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.core.codes import LEGS_MAX, SLOT_COUNT, Refusal
from tercel.core.indicators.atr import ATR
from tercel.core.indicators.sma import sma_dtype
from tercel.core.indicators.window import capacity_for
from tercel.core.jit import rec
from tercel.core.timeframe import RESAMPLE

SERIES_MAX = 64
"""Series of bars that one account can trade."""
TIERS_MAX = 10
"""Tiers of a venue's maintenance margin."""
SCORE_STEPS = 4
"""Steps of size by score."""
ENTRIES_REMEMBERED = 64
"""Entries whose times are kept for the hourly limit."""
HOURS_MARKED = 25
"""Hourly marks of equity behind the 24 h kill switch: one more than fit into 24 hours."""
CORRELATION_HOURS = 720
"""Hourly returns behind a correlation: 30 days."""
ATR_MEAN_BARS = 20
"""Bars of the mean that an extreme ATR is compared with."""

# fmt: off
BAR = rec(
    ("open_time", "i8"),
    ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"),
    ("volume", "f8"),                    # base
    ("quote_volume", "f8"),              # quote
    ("count", "f8"),                     # trades in the bar
    ("taker_buy_volume", "f8"),          # base bought by takers
    ("taker_buy_quote_volume", "f8"),    # quote
    ("bid_size", "f8"), ("ask_size", "f8"),  # base at the best level, mean over the bar
    ("spread_bps", "f8"),                # (ask - bid) / mid, basis points
)

CONTEXT = rec(                           # what is known at the close beside the bar; NaN: unknown
    ("funding_rate", "f8"),              # fraction per settlement, last published
    ("funding_time", "i8"),              # settlement that published it, ms; 0: unknown
    ("open_interest", "f8"),             # as its source counts it: only changes matter
    ("long_short_ratio", "f8"),          # accounts or positions long over short
    ("fear_greed", "f8"),                # 0..100
    ("exchange_netflow", "f8"),          # base per day, into exchanges (+) or out of them (-)
    ("btc_move_1h", "f8"),               # BTC against an hour before, fraction
    ("sp500_move_1h", "f8"), ("dollar_move_1h", "f8"),  # the same of the S&P 500 and the dollar
)

SIGNAL = rec(                            # one per closed bar
    ("stop_distance", "f8"),             # price; > 0 where side is not NONE
    ("target_distance", "f8"),           # price; NaN: the plan's R multiples count
    ("atr", "f8"),                       # price; for trailing by ATR; NaN where not needed
    ("score", "f8"),                     # 0..100, of a filter -1..1; NaN: it does not score
    ("reason", "i4"),                    # index into the strategy's REASONS
    ("side", "i1"),                      # codes.Side
    ("exit_long", "?"), ("exit_short", "?"),
    ("veto", "i1"),                      # codes.Refusal of a filter that objects; 0: none
)

PLAN = rec(
    ("leg_count", "i8"),
    ("leg_r", "f8", (LEGS_MAX,)),        # distance of each target in R
    ("leg_fraction", "f8", (LEGS_MAX,)),  # of the entry quantity; with trail_fraction they sum to 1
    ("trail_fraction", "f8"),            # share left to the trailing stop; 0: none
    ("trail_arm_r", "f8"),               # it appears once price has been this far in favour
    ("trail_offset_r", "f8"),            # distance behind the best price, in R
    ("trail_offset_atr", "f8"),          # the same in ATR; 0: use R
    ("breakeven_after_leg", "i8"),       # stop to the entry price after this leg (1..4); 0: never
    ("stop_follows_legs", "?"),          # stop to target k-1 after leg k
    ("hold_ms_max", "i8"),               # 0: no limit
    ("entry_kind", "i8"),                # codes.OrderKind: MARKET, LIMIT or POST_ONLY
    ("entry_wait_bars", "i8"),           # a limit entry is given up (or chased) after so many bars
    ("chase_max", "i8"),                 # re-posts of an unfilled limit entry before giving up
)

INSTRUMENT = rec(
    ("tick_size", "f8"), ("lot_size", "f8"),
    ("quantity_min", "f8"), ("notional_min", "f8"),
    ("tier_notional", "f8", (TIERS_MAX,)),  # a tier holds up to this notional, quote; inf: no end
    ("tier_rate", "f8", (TIERS_MAX,)),   # maintenance margin, fraction of the notional
    ("tier_amount", "f8", (TIERS_MAX,)),  # taken off it: what lower tiers ask less, quote
)

COSTS = rec(
    ("maker_fee_rate", "f8"), ("taker_fee_rate", "f8"),
    ("slippage_model", "i8"),            # codes.SlippageModel
    ("slippage_ticks_min", "i8"), ("slippage_ticks_max", "i8"),
    ("slippage_bps", "f8"),
    ("impact_bps", "f8"),                # DEPTH: impact of an order as large as the bar's volume
    ("funding_rate", "f8"),              # fraction per settlement where CONTEXT does not know it
    ("funding_interval_ms", "i8"),       # 0: no funding
    ("seed", "i8"),
)

FILL_RULES = rec(
    ("intrabar", "i8"),                  # codes.IntrabarMode
    ("entry_timing", "i8"),              # codes.EntryTiming
    ("limit_through_ticks", "f8"),       # a limit fills once price is this far through it
    ("limit_fill_probability", "f8"),    # chance of a fill when price only touches it
    ("limit_gap_at_open", "?"),          # a bar opening beyond a limit fills it at the open
    ("participation_max", "f8"),         # share of a bar's volume one order may take; 0: no cap
)

SIZING = rec(
    ("mode", "i8"),                      # codes.SizeMode
    ("risk_fraction", "f8"),             # of equity, lost when the stop is hit
    ("notional_quote", "f8"), ("quantity", "f8"),  # for the two fixed modes
    ("includes_costs", "?"),             # the round trip's cost counts as risk
    ("notional_max", "f8"),              # quote; 0: no cap
    ("leverage_max", "f8"),              # set at the venue; bounds account exposure over equity
    ("cross_margin", "?"),               # all equity backs each position; else its own margin
    ("kelly_fraction", "f8"),            # of the full Kelly bet, caps the risk; 0: no cap
    ("kelly_trades_min", "i8"),          # trades before the record counts
    ("score_from", "f8", (SCORE_STEPS,)),    # from this score, highest first ...
    ("score_factor", "f8", (SCORE_STEPS,)),  # ... the size is multiplied by this; 0: step unused
)

LIMITS = rec(                            # of the account; 0 switches a figure off
    ("positions_max", "i8"),             # open positions and working entries
    ("daily_loss_fraction_max", "f8"),   # of the day's first equity, marked
    ("loss_24h_fraction_max", "f8"),     # of equity 24 h ago, marked
    ("session_loss_fraction_max", "f8"),  # of the session's first equity, marked
    ("resume_after_ms", "i8"),           # a stopped account trades again; 0: only by its operator
    ("heat_fraction_max", "f8"),         # sum of open risk over equity
    ("free_margin_fraction_min", "f8"),  # of equity
    ("correlation_max", "f8"),           # with a position on the same side, 30 days of hours
    ("cluster_positions_max", "i8"),     # on the same side in one cluster of symbols
    ("btc_move_fraction_max", "f8"),     # over the last hour, either way
    ("sp500_fall_fraction_max", "f8"),   # over the last hour
    ("dollar_rise_fraction_max", "f8"),  # over the last hour
)

PACE = rec(                              # how often, after what, and when; 0 switches a figure off
    ("daily_trades_max", "i8"),          # entries a UTC day
    ("hourly_signals_max", "i8"),        # entries within 60 minutes
    ("loss_streak_max", "i8"), ("loss_streak_pause_ms", "i8"),  # losses in a row, then a pause
    ("revenge_pause_ms", "i8"),          # after a losing stop in the same symbol
    ("win_streak_min", "i8"), ("win_streak_factor", "f8"),  # wins in a row, then a smaller size
    ("score_min", "f8"),                 # scored signals below it are refused
    ("thin_hours", "i8"),                # bit h: the UTC hour from h asks for a higher score
    ("thin_hours_score_add", "f8"),      # added to score_min then
    ("atr_ratio_max", "f8"),             # ATR over its own mean
)

PACE_STATE = rec(
    ("day", "i8"),                       # UTC day that `trades_today` is of
    ("trades_today", "i8"),              # entries
    ("entry_times", "i8", (ENTRIES_REMEMBERED,)), ("entries", "i8"),  # ms, by number modulo; all
    ("losses", "i8"), ("wins", "i8"),    # in a row
    ("pause_until", "i8"),               # ms
)

TRACK = rec(                             # a strategy's own record, for the Kelly cap
    ("trades", "i8"), ("wins", "i8"),    # how many
    ("won_r", "f8"), ("lost_r", "f8"),   # sums of net R, both positive
)

SURVEY = rec(                            # what the market looks like to the account at a signal
    ("correlation", "f8"),               # highest with a position on the signal's side; NaN: none
    ("cluster_positions", "i8"),         # on the signal's side, in the symbol's cluster
    ("atr_ratio", "f8"),                 # ATR over its own mean; NaN: unknown
    ("in_danger", "?"),                  # the wider market moved too far within the hour
)

MARKET = rec(                            # what the account watches of one series
    ("cluster", "i8"),                   # its cluster of symbols; 0: none
    ("hour", RESAMPLE),                  # of its bars
    ("hour_close", "f8"), ("hour_number", "i8"),  # close of the last whole hour; which it was
    ("returns", "f8", (CORRELATION_HOURS,)),    # log, of whole hours, by hour number modulo
    ("return_hour", "i8", (CORRELATION_HOURS,)),  # hour number of each; 0: none
    ("atr", ATR),                        # price
    ("atr_average", sma_dtype(capacity_for(ATR_MEAN_BARS))),  # price
    ("atr_ratio", "f8"),                 # ATR over that average
)

ORDER = rec(
    ("status", "i8"),                    # codes.OrderStatus
    ("kind", "i8"),                      # codes.OrderKind
    ("side", "i8"),                      # codes.Side
    ("price", "f8"),                     # limit or trigger price; NaN for market
    ("quantity", "f8"),                  # still to fill, base
    ("reason", "i8"),                    # codes.ExitReason for exits
    ("placed_time", "i8"),
    ("placed_price", "f8"),              # close when it was asked for: what it may come to cost
    ("wait_bars", "i8"), ("reposts", "i8"),
)

POSITION = rec(
    ("side", "i8"),
    ("quantity", "f8"),                  # open now
    ("entry_quantity", "f8"),            # bought or sold in all
    ("entry_price", "f8"),               # mean fill price
    ("entry_time", "i8"),                # the close that its first fill counts in, ms
    ("filled_time", "i8"),               # when that fill was: live, some time after or before it
    ("stop_distance", "f8"),             # 1 R in price
    ("target_distance", "f8"),
    ("best_price", "f8"), ("worst_price", "f8"),  # extremes since the entry
    ("legs_filled", "i8"),
    ("leg_done", "f8", (LEGS_MAX,)),     # quantity each leg has taken off
    ("trail_done", "f8"),
    ("exit_quantity", "f8"), ("exit_notional", "f8"),
    ("exit_reason", "i8"),
    ("gross_quote", "f8"), ("fee_quote", "f8"), ("slippage_quote", "f8"), ("funding_quote", "f8"),
    ("score", "f8"), ("reason", "i8"),
    ("mark_price", "f8"),
    ("liquidation_price", "f8"),         # where the venue would close it; 0 or inf: nowhere
)

STREAM = rec(                            # one strategy on one symbol: settings and all state
    ("number", "i8"),                    # its index among the run's streams
    ("series", "i8"),                    # the row of bars it trades
    ("leads", "?"),                      # the first stream of its series
    ("bar_ms", "i8"),
    ("plan", PLAN), ("instrument", INSTRUMENT), ("costs", COSTS),
    ("rules", FILL_RULES), ("sizing", SIZING),
    ("pace", PACE), ("pace_state", PACE_STATE),  # of this strategy, beside the account's
    ("track", TRACK), ("survey", SURVEY),  # its own record; what it saw at the last signal
    ("position", POSITION),
    ("orders", ORDER, (SLOT_COUNT,)),   # by codes.Slot
    ("watch_low", "f8"), ("watch_high", "f8"),  # prices between which no resting order can fill
    ("funding_time", "i8"),              # next settlement
    ("volume_time", "i8"),               # close of the bar that volume_left is of
    ("volume_left", "f8"),               # of this bar, for this stream's orders, base
    ("signals", "i8"),                   # signals seen
    ("refusals", "i8", (len(Refusal),)),
)

ACCOUNT = rec(
    ("limits", LIMITS),
    ("pace", PACE), ("pace_state", PACE_STATE),  # of all its strategies together
    ("start_quote", "f8"),
    ("cash_quote", "f8"),                # start + realised - fees - slippage + funding
    ("equity_quote", "f8"),              # cash + unrealised, at the last marks
    ("exposure_quote", "f8"),            # sum of |quantity| * mark
    ("working_quote", "f8"),             # the same of entries that are not filled yet
    ("margin_quote", "f8"),              # what exposure and entries tie up at their leverage
    ("heat_quote", "f8"),                # lost if every stop were hit now, working entries included
    ("gross_quote", "f8"),               # realised, before slippage and fees
    ("fee_quote", "f8"), ("slippage_quote", "f8"),
    ("funding_quote", "f8"),             # received (+) or paid (-)
    ("open_positions", "i8"),            # positions and working entries
    ("longs", "i8", (SERIES_MAX,)), ("shorts", "i8", (SERIES_MAX,)),  # the same, by series
    ("stop_times", "i8", (SERIES_MAX,)),  # last losing stop in each series, ms
    ("series_count", "i8"),              # rows of those in use
    ("day_end", "i8"),                   # close time from which the next UTC day counts
    ("day_start_equity", "f8"),
    ("peak_equity", "f8"),
    ("drawdown_max", "f8"),              # deepest fall from the peak, fraction of it
    ("exhausted", "?"),                  # equity reached zero once: latched
    ("watches", "?"),                    # some breaker needs MARKET records kept
    ("hour_end", "i8"),                  # next hourly mark, ms
    ("hour_equity", "f8", (HOURS_MARKED,)), ("hours", "i8"),  # marks, by number modulo; how many
    ("hour_time", "i8", (HOURS_MARKED,)),  # when each was taken, ms
    ("day_ago_equity", "f8"),            # newest mark that is 24 h old, else the oldest
    ("session_equity", "f8"),            # what the session's loss is measured from
    ("halted", "i8"),                    # codes.Refusal that stopped the account; 0: it trades
    ("halted_time", "i8"),               # when, ms
    ("halts", "i8", (len(Refusal),)),    # how often each stopped it
)

FILL = rec(
    ("stream", "i8"), ("slot", "i8"),    # codes.Slot
    ("time", "i8"),                      # the close that it counts in, ms
    ("side", "i8"),
    ("quantity", "f8"),
    ("price", "f8"),                     # what was paid
    ("reference_price", "f8"),           # what it would have been without slippage
    ("fee_quote", "f8"),
    ("reason", "i8"),                    # codes.ExitReason; NONE for entries
    ("is_maker", "?"),
)

TRADE = rec(
    ("stream", "i8"), ("side", "i8"),
    ("entry_time", "i8"), ("exit_time", "i8"),
    ("quantity", "f8"), ("entry_price", "f8"), ("exit_price", "f8"),  # mean fill prices
    ("stop_distance", "f8"),
    ("gross_quote", "f8"),               # at reference prices: before slippage, fees and funding
    ("fee_quote", "f8"), ("slippage_quote", "f8"), ("funding_quote", "f8"),
    ("net_quote", "f8"),                 # gross - fees - slippage + funding
    ("risk_quote", "f8"),                # entry quantity * stop distance
    ("favourable_r", "f8"), ("adverse_r", "f8"),  # best and worst excursion
    ("liquidation_fraction", "f8"),      # distance to the liquidation price at entry, of the price
    ("score", "f8"),
    ("legs_filled", "i8"),
    ("reason", "i8"),                    # why it was entered: index into the strategy's REASONS
    ("exit_reason", "i8"),               # codes.ExitReason of the last exit
)

MINUTE = rec(                            # what a session is told of one series at a close
    ("present", "?"),                    # whether the series has a bar of this minute
    ("bar", BAR), ("context", CONTEXT),  # undefined where it has none
)

ENTRY_PLAN = rec(                        # what an entry was approved with
    ("stop_distance", "f8"), ("target_distance", "f8"),  # price
    ("score", "f8"), ("reason", "i8"),
    ("time", "i8"), ("price", "f8"),     # when, and the close then
)

EQUITY = rec(                            # one per distinct bar close of a run
    ("time", "i8"),                      # close of the bar: open_time + bar_ms
    ("equity", "f8"),                    # quote, marked to market
    ("exposure", "f8"),                  # quote
)
# fmt: on

Records = npt.NDArray[np.void]
"""An array of one of the dtypes above."""


class Feed(NamedTuple):
    """A chunk of market data and signals for every stream of a run: what `kernel.run` reads.

    `bars` is (series, bars), `contexts` (series, bars) or (series, 1) when it does not change, and
    `lengths` (series,) says how many bars of each row are filled. `signals` is (streams, bars).
    """

    bars: Records
    contexts: Records
    signals: Records
    lengths: npt.NDArray[np.int64]


class Tape(NamedTuple):
    """What `kernel.run` writes: preallocated rows and `counts` of how many are used.

    `counts` is (equity rows, fills, trades); a run goes on after them. Bounds of one chunk: one
    equity row, FILLS_PER_BAR fills and TRADES_PER_BAR trades a bar.
    """

    equity: Records
    fills: Records
    trades: Records
    counts: npt.NDArray[np.int64]


FILLS_PER_BAR = SLOT_COUNT + 2
"""At most: each slot once inside the bar, an entry at its close, a close at its close."""

TRADES_PER_BAR = 2
"""At most: a position is closed once a bar; one more for the end of the data."""
