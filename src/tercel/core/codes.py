"""Every code that crosses the boundary of the compiled core, each with its meaning.

Codes travel as small integers inside records and become names again at the edges:
`Refusal(3).name.lower()` is the reason a user reads. Numbers are never reused or renumbered, since
journals and run folders keep them.
"""

from enum import IntEnum


class Side(IntEnum):
    """Direction of a signal, order or position."""

    SHORT = -1
    NONE = 0
    LONG = 1


class OrderKind(IntEnum):
    """How an order asks to be filled."""

    MARKET = 0
    LIMIT = 1
    POST_ONLY = 2
    STOP = 3


class OrderStatus(IntEnum):
    """Life of one order slot."""

    EMPTY = 0
    RESTING = 1
    TRIGGERED = 2
    """A stop whose price was reached, or a market order: it takes whatever the market offers."""


class Slot(IntEnum):
    """The fixed places of a stream's order table: what should rest at the venue right now."""

    ENTRY = 0
    STOP = 1
    TRAIL = 2
    CLOSE = 3
    TARGET_1 = 4
    TARGET_2 = 5
    TARGET_3 = 6
    TARGET_4 = 7


SLOT_COUNT = len(Slot)
LEGS_MAX = 4


class ExitReason(IntEnum):
    """Why (part of) a position was closed. A trade carries the reason of its last exit."""

    NONE = 0
    STOP = 1
    TARGET_1 = 2
    TARGET_2 = 3
    TARGET_3 = 4
    TARGET_4 = 5
    TRAIL = 6
    SIGNAL = 7
    TIME = 8
    EQUITY_EXHAUSTED = 9
    END_OF_DATA = 10
    KILL_SWITCH = 11
    """The account lost more than a kill switch allows, or its operator said so: everything is
    closed.
    """
    LIQUIDATION = 12
    """The venue closed it: liquidation, auto-deleveraging or settlement."""
    OUTSIDE = 13
    """Somebody else closed it at the venue."""
    UNPROTECTED = 14
    """No stop could be placed for it."""


class Refusal(IntEnum):
    """Why a signal did not become an order."""

    NONE = 0
    POSITION_OPEN = 1
    """One position per symbol and strategy: this stream is already in, or its entry is at work."""
    INVALID_STOP = 2
    """The stop distance is zero, negative, unknown, or less than a tick."""
    MAX_POSITIONS = 3
    DAILY_LOSS = 4
    EQUITY_EXHAUSTED = 5
    """The account is at or below zero: it never trades again."""
    BELOW_MINIMUM = 6
    """After rounding down to the lot, less than the venue accepts."""
    NO_MARGIN = 7
    """Leverage times equity is already in use."""
    NO_LIQUIDITY = 8
    """An entry that found no volume, or a limit nobody traded through in time."""
    DAILY_TRADES = 9
    """The UTC day has had its trades."""
    HOURLY_SIGNALS = 10
    """The last 60 minutes have had their entries."""
    LOSS_STREAK = 11
    """Cooling down after losses in a row."""
    REVENGE = 12
    """A stop was hit in this symbol a moment ago."""
    KILL_24H = 13
    """The kill switch over 24 hours is latched."""
    KILL_SESSION = 14
    """The kill switch over the whole session is latched."""
    CORRELATED = 15
    """A position on the same side moves with this symbol."""
    CLUSTER = 16
    """The symbol's cluster has its positions on this side."""
    LOW_SCORE = 17
    """The signal's score is below the threshold, which is higher in thin hours."""
    EXTREME_VOLATILITY = 18
    MARKET_DANGER = 19
    """Bitcoin, the S&P 500 or the dollar moved too far within an hour."""
    FREE_MARGIN = 20
    HEAT = 21
    """The sum of open risk is at its limit."""
    KELLY = 22
    """The strategy's own record has no edge to bet on."""
    STOP_BEYOND_LIQUIDATION = 23
    """The venue would liquidate the position before its stop."""
    FLOW_AGAINST = 24
    """Order flow does not confirm the signal."""
    AUTOMATION_OFF = 25
    """Automation is off: the signal goes to the ghost account alone."""
    PAUSED = 26
    """The operator paused the session, or it is ending."""
    STALE_DATA = 27
    """The bar, or the quote beside it, is too old."""
    UNHEALTHY_FEED = 28
    """The feed has a gap, a crossed book, a skewed clock or a bar that quotes contradict."""
    WIDE_SPREAD = 29
    JOURNAL_DOWN = 30
    """The journal cannot be written: what cannot be explained is not done."""
    KILLED = 31
    """The operator's kill switch is latched."""
    SYMBOL_TAKEN = 32
    """Another strategy holds the symbol, and the venue keeps one position for both."""
    ENTRY_REFUSED = 33
    """The venue refused the entry, or never had it."""
    POSITION_MISMATCH = 34
    """The venue holds another position in the symbol than the session knows of."""


SESSION_REFUSALS: tuple[Refusal, ...] = (
    Refusal.AUTOMATION_OFF,
    Refusal.PAUSED,
    Refusal.STALE_DATA,
    Refusal.UNHEALTHY_FEED,
    Refusal.WIDE_SPREAD,
    Refusal.JOURNAL_DOWN,
    Refusal.KILLED,
    Refusal.SYMBOL_TAKEN,
    Refusal.ENTRY_REFUSED,
    Refusal.POSITION_MISMATCH,
)
"""What only a session refuses: a backtest has no operator, no feed and no venue."""


class IntrabarMode(IntEnum):
    """What is assumed to have happened first inside one bar."""

    STOP_FIRST = 0
    """Pessimistic: the stop, then the targets in order, then the trailing stop."""
    OHLC_PATH = 1
    """Open, nearer extreme, farther extreme, close: low first in a rising bar, high first in a
    falling one.
    """
    OPTIMISTIC = 2
    """The targets first."""


class SlippageModel(IntEnum):
    """How much worse than the reference price a taker fills."""

    NONE = 0
    TICKS = 1
    """A whole number of ticks, uniform between two bounds, from the counter hash."""
    BPS = 2
    """A fixed share of the price, in basis points."""
    DEPTH = 3
    """Half the spread, then a square-root impact for what exceeds the best level."""


class SizeMode(IntEnum):
    """How the quantity of an entry is found before caps."""

    RISK = 0
    NOTIONAL = 1
    QUANTITY = 2


class EntryTiming(IntEnum):
    """When a market entry meets the market in a simulation."""

    CLOSE = 0
    NEXT_OPEN = 1


class Regime(IntEnum):
    """Which way the market goes, if any."""

    UNKNOWN = 0
    RANGING = 1
    TRENDING_UP = 2
    TRENDING_DOWN = 3


class VolatilityState(IntEnum):
    """How much price moves, measured by its own recent past."""

    UNKNOWN = 0
    QUIET = 1
    NORMAL = 2
    VOLATILE = 3
