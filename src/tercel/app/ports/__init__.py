"""What the use-cases need from outside, as Protocols. Each adapter of one passes its contract
suite.
"""

from __future__ import annotations

from tercel.app.ports.lake import (
    BarArchive,
    BarLake,
    BarReader,
    BarSource,
    BarStore,
    ContextInfo,
    ContextReader,
    ContextSource,
    ContextStore,
    FileBars,
    FileContext,
    MergeReport,
    NotBarsError,
    NotContextError,
    OtherMarketError,
    SeriesInfo,
    SourceHints,
)
from tercel.app.ports.live import (
    FeedBar,
    FeedQuote,
    Journal,
    MarketFeed,
    StateLease,
    StateStore,
    Venue,
)
from tercel.app.ports.work import (
    Clock,
    Progress,
    ResearchLedger,
    SilentProgress,
    TrialLog,
    Workers,
)

__all__ = [
    "BarArchive",
    "BarLake",
    "BarReader",
    "BarSource",
    "BarStore",
    "Clock",
    "ContextInfo",
    "ContextReader",
    "ContextSource",
    "ContextStore",
    "FeedBar",
    "FeedQuote",
    "FileBars",
    "FileContext",
    "Journal",
    "MarketFeed",
    "MergeReport",
    "NotBarsError",
    "NotContextError",
    "OtherMarketError",
    "Progress",
    "ResearchLedger",
    "SeriesInfo",
    "SilentProgress",
    "SourceHints",
    "StateLease",
    "StateStore",
    "TrialLog",
    "Venue",
    "Workers",
]
