"""Making and keeping: idempotent, longer on request, never over another market unless told to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from tests.context_fakes import MemoryContextStore, rows
from tests.fakes import MemoryBarStore, make_bars

from tercel.app.ports import MergeReport
from tercel.app.synthesise import (
    MODEL,
    MarketNote,
    SynthesisReport,
    SyntheticMarket,
    keep_context,
    market_named,
    synthesise,
)
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import DAY_MS

KEY = SeriesKey("synthetic", "BTCUSDT")
MARKET = SyntheticMarket(days=2)


@dataclass
class Notes:
    """MarketMemory in a dict; clearing forgets the bars too, as removing the folder does."""

    store: MemoryBarStore
    notes: dict[str, MarketNote] = field(default_factory=dict)

    def read(self, symbol: str) -> MarketNote | None:
        return self.notes.get(symbol)

    def write(self, note: MarketNote) -> None:
        self.notes[note.market.symbol] = note

    def clear(self, symbol: str) -> None:
        self.notes.pop(symbol, None)
        self.store.series.pop(SeriesKey("synthetic", symbol), None)


@dataclass
class Lake:
    """A store, its notes and a count of markets generated."""

    store: MemoryBarStore = field(default_factory=MemoryBarStore)
    made: list[SyntheticMarket] = field(default_factory=list)
    context: MemoryContextStore = field(default_factory=MemoryContextStore)
    context_made: list[SyntheticMarket] = field(default_factory=list)
    notes: Notes = field(init=False)

    def __post_init__(self) -> None:
        self.notes = Notes(self.store)

    def generate(self, market: SyntheticMarket) -> Records:
        self.made.append(market)
        return make_bars(market.start_ms, market.days * 1440)

    def run(self, *markets: SyntheticMarket, again: bool = False) -> list[SynthesisReport]:
        return synthesise(markets, self.generate, self.store, self.notes, replace=again)

    def generate_context(self, market: SyntheticMarket) -> tuple[ContextSeries, ...]:
        self.context_made.append(market)
        times = range(market.start_ms + DAY_MS, market.end_ms + 1, DAY_MS)
        values = [1e-4 * (number + 1) for number in range(len(times))]
        return tuple(
            rows(ContextKey(kind, "synthetic", market.symbol, "generated"), times, values)
            for kind in ("funding_rate", "open_interest")
        )

    def keep(self, *symbols: str) -> int:
        return keep_context(symbols, self.generate_context, self.context, self.notes)


@pytest.fixture
def lake() -> Lake:
    return Lake()


def test_bars_go_under_synthetic_with_their_note(lake: Lake) -> None:
    reports = lake.run(MARKET, replace(MARKET, symbol="ETHUSDT"))
    assert [(r.outcome, r.bars_added) for r in reports] == [("made", 2880), ("made", 2880)]
    assert {key.venue for key in lake.store.keys()} == {"synthetic"}  # noqa: SIM118 (a port)
    assert lake.notes.notes["BTCUSDT"] == MarketNote(MODEL, MARKET)


def test_twice_is_nothing_to_do(lake: Lake) -> None:
    lake.run(MARKET)
    assert lake.run(MARKET) == [SynthesisReport(MARKET, "unchanged", 0)]
    assert len(lake.made) == 1


def test_more_days_lengthen_and_fewer_do_nothing(lake: Lake) -> None:
    lake.run(MARKET)
    assert lake.run(replace(MARKET, days=3))[0].outcome == "extended"
    assert len(lake.store.series[KEY]) == 3 * 1440
    assert lake.run(MARKET)[0].outcome == "unchanged"
    assert lake.notes.notes["BTCUSDT"].market.days == 3


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(MARKET, seed=2), r"with seed 1 \(asked: 2\).*another symbol.*--replace"),
        (replace(MARKET, edge=0.2), r"with edge 0\.0 \(asked: 0\.2\)"),
        (replace(MARKET, start_ms=0), r"with start 2024-01-01 \(asked: 1970-01-01\)"),
    ],
    ids=["seed", "edge", "start"],
)
def test_another_market_under_the_name_is_refused_or_replaces(
    lake: Lake, other: SyntheticMarket, words: str
) -> None:
    lake.run(MARKET)
    with pytest.raises(UserError, match=words):
        lake.run(replace(MARKET, symbol="ETHUSDT"), other)
    assert [market.symbol for market in lake.made] == ["BTCUSDT"], "checked before anything is made"
    assert lake.run(other, again=True)[0].outcome == "replaced"
    assert lake.notes.notes["BTCUSDT"].market == other
    assert lake.store.series[KEY]["open_time"][0] == other.start_ms


def test_replace_without_a_difference_does_nothing(lake: Lake) -> None:
    lake.run(MARKET)
    assert lake.run(MARKET, again=True)[0].outcome == "unchanged"


def test_bars_of_unknown_origin_are_not_touched(lake: Lake) -> None:
    lake.store.merge(KEY, make_bars(0, 3), source="somewhere")
    with pytest.raises(UserError, match="seed is unknown"):
        lake.run(MARKET)


def test_another_version_of_the_formulas_is_another_market(lake: Lake) -> None:
    lake.notes.write(MarketNote(MODEL + 1, MARKET))
    with pytest.raises(UserError, match=f"version {MODEL + 1}"):
        lake.run(MARKET)


def test_an_interrupted_run_is_finished_at_its_full_length(lake: Lake) -> None:
    """The note promises four days, the crash came before the bars; the next run asks for two."""
    lake.notes.write(MarketNote(MODEL, replace(MARKET, days=4)))
    assert lake.run(MARKET)[0].bars_added == 4 * 1440


def test_contradicting_bars_are_an_error(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.notes.write(MarketNote(MODEL, MARKET))
    report = MergeReport(conflicts=2, first_conflict="close 1 for 2")
    monkeypatch.setattr(lake.store, "merge", lambda key, bars, *, source: report)
    with pytest.raises(DataError, match="close 1 for 2"):
        lake.run(MARKET)


def test_a_symbol_twice_is_refused(lake: Lake) -> None:
    with pytest.raises(UserError, match="once"):
        lake.run(MARKET, replace(MARKET, seed=2))


def test_known_symbols_have_their_own_size() -> None:
    assert market_named("BTCUSDT", 1, 0, 2, 0.0).start_price == 42_000
    assert market_named("ZZZUSDT", 1, 0, 2, 0.0).start_price == 100
    assert market_named("SOLUSDT", 1, 0, 2, 0.1).edge_bps == pytest.approx(0.1 * 10 * 15**0.5)


# ---- funding and open interest


def test_context_follows_the_bars_once(lake: Lake) -> None:
    lake.run(MARKET, replace(MARKET, symbol="ETHUSDT"))
    assert lake.keep("BTCUSDT", "ETHUSDT") == 8
    assert {key.venue for key in lake.context.keys()} == {"synthetic"}  # noqa: SIM118 (a port)
    assert lake.keep("BTCUSDT", "ETHUSDT") == 0
    assert len(lake.context_made) == 2


def test_context_is_lengthened_with_the_market(lake: Lake) -> None:
    lake.run(MARKET)
    lake.keep("BTCUSDT")
    lake.run(replace(MARKET, days=4))
    assert lake.keep("BTCUSDT") == 4


def test_half_of_the_context_is_completed(lake: Lake) -> None:
    lake.run(MARKET)
    lake.context.merge(lake.generate_context(MARKET)[0], origin="before the crash")
    assert lake.keep("BTCUSDT") == 2


def test_context_of_the_longer_market_that_is_there(lake: Lake) -> None:
    lake.run(replace(MARKET, days=4))
    lake.run(MARKET)
    assert lake.keep("BTCUSDT") == 8


def test_no_context_without_a_market(lake: Lake) -> None:
    assert lake.keep("BTCUSDT") == 0


def test_contradicting_context_is_an_error(lake: Lake) -> None:
    lake.run(MARKET)
    funding = lake.generate_context(MARKET)[0]
    wrong = rows(funding.key, funding.time[:1].tolist(), [0.05])
    lake.context.merge(wrong, origin="somewhere")
    with pytest.raises(DataError, match=r"1 stored values are not those of seed 1 .*--replace"):
        lake.keep("BTCUSDT")
