"""The validation gate on invented days: what is traded, what is not, and what it comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.market_data import JIT
from tests.statistical.planted_edges import pressed

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.lake import LakeBarStore
from tercel.adapters.synthetic import generate
from tercel.app.ports import SilentProgress
from tercel.app.prepare import RunRequest
from tercel.app.promotion import Promotable, promotion_hash
from tercel.app.runs import Desk
from tercel.app.synthesise import SyntheticMarket
from tercel.app.validation import Validation, ValidationRules, promotion_of, validate_days
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import DAY_MS, MINUTE_MS

KEY = SeriesKey("synthetic", "BTCUSDT")
START = SyntheticMarket().start_ms
DAYS = 3 if JIT else 2
LAST = START + (DAYS - 1) * DAY_MS
BARS = generate(SyntheticMarket(days=DAYS, edge=0.5))
REQUEST = RunRequest(strategies=(pressed(),), symbols=("BTCUSDT",), costs="source1")


class StoppedClock:
    """ports.Clock that stands still."""

    def now_ms(self) -> int:
        return 1_771_027_200_000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of BARS."""
    return lake_of(BARS, tmp_path_factory.mktemp("lake"))


def lake_of(bars: Records, folder: Path) -> Path:
    LakeBarStore(folder).merge(KEY, bars, source="test")
    return folder


def desk(lake: Path, *overrides: str) -> Desk:
    """A desk over `lake`, with no limit on entries a day."""
    quiet = ("pace.daily_trades_max=0", "pace.loss_streak_max=0", "pace.hourly_signals_max=0")
    settings = read_settings(
        [packaged_config_dir()], environ={}, overrides=[*quiet, *overrides]
    ).settings
    store = LakeBarStore(lake)
    return Desk(store, None, settings, StoppedClock(), SilentProgress(), "tercel validate")


def test_only_the_day_is_traded_and_the_days_before_are_seen(lake: Path) -> None:
    found = validate_days(desk(lake), REQUEST, ValidationRules((LAST,), 10_000, 0.0, 1))
    [day] = found.days
    assert day.warm_up_bars == 1440
    assert len(day.trades) > 5
    assert day.trades["entry_time"].min() >= LAST
    assert day.trades["exit_time"].max() <= LAST + DAY_MS
    assert day.signals < len(BARS)
    assert found.profit_factor == day.profit_factor


def test_days_are_apart_and_their_trades_together(lake: Path) -> None:
    days = (START, LAST)
    both = validate_days(desk(lake), REQUEST, ValidationRules(days, 10_000, 0.0, 0))
    alone = [
        validate_days(desk(lake), REQUEST, ValidationRules((d,), 10_000, 0.0, 0)) for d in days
    ]
    for day, one in zip(both.days, alone, strict=True):
        assert day.trades.tobytes() == one.days[0].trades.tobytes()
    net = np.concatenate([day.trades["net_quote"] for day in both.days])
    assert both.profit_factor == pytest.approx(net[net > 0].sum() / -net[net < 0].sum())


@pytest.fixture(scope="module")
def last_day(lake: Path) -> Validation:
    """LAST, with nothing before it, and everything allowed."""
    return validate_days(desk(lake), REQUEST, ValidationRules((LAST,), 9999, 0.0, 0))


def test_more_trades_than_allowed_fail_by_name(lake: Path, last_day: Validation) -> None:
    count = len(last_day.days[0].trades)
    at_most = validate_days(desk(lake), REQUEST, ValidationRules((LAST,), count, 0.0, 0))
    assert at_most.passed
    over = validate_days(desk(lake), REQUEST, ValidationRules((LAST,), count - 1, 0.0, 0))
    [line] = over.failures
    assert line.startswith(f"Extended Move Filter failure: {count} trades on 2024-01-0")
    with pytest.raises(UserError, match="not promoted: Extended Move Filter failure"):
        promotion_of(desk(lake), over)


def test_the_profit_factor_must_be_above_the_minimum(lake: Path, last_day: Validation) -> None:
    factor = last_day.profit_factor
    at_it = validate_days(desk(lake), REQUEST, ValidationRules((LAST,), 9999, factor, 0))
    assert [line.split(";")[0] for line in at_it.failures] == [f"profit factor {factor:.2f}"]


def test_no_trade_is_no_profit_factor(lake: Path) -> None:
    refused = desk(lake, "sizing.risk_fraction=0.0000001")
    found = validate_days(refused, REQUEST, ValidationRules((LAST,), 8, 0.0, 0))
    assert len(found.days[0].trades) == 0
    assert sum(found.days[0].refusals.values()) == found.days[0].signals
    assert "not defined, since there is no trade" in found.failures[0]


def test_a_promotion_says_what_was_validated(lake: Path, last_day: Validation) -> None:
    place, found = desk(lake), last_day
    record = promotion_of(place, found)
    strategy = REQUEST.strategies[0]
    subject = Promotable(strategy, "BTCUSDT", strategy.values({}, MINUTE_MS), "source1")
    assert record.hashes == promotion_hash(place.settings, subject)
    assert (record.strategy, record.symbol, record.venue) == ("pressed", "BTCUSDT", "synthetic")
    assert [day.trades for day in record.days] == [len(found.days[0].trades)]
    assert record.created_time == 1_771_027_200_000


def test_days_that_are_not_there(lake: Path) -> None:
    for day in (START - DAY_MS, START + DAYS * DAY_MS):
        with pytest.raises(DataError, match=r"is out of range: the lake has synthetic BTCUSDT 1m"):
            validate_days(desk(lake), REQUEST, ValidationRules((day,), 8, 1.3, 0))
    with pytest.raises(UserError, match="name at least one day"):
        validate_days(desk(lake), REQUEST, ValidationRules((), 8, 1.3, 0))


def test_a_day_with_holes_is_refused(tmp_path: Path) -> None:
    holed = np.concatenate((BARS[: 14 * 60], BARS[15 * 60 :]))
    with pytest.raises(DataError, match="2024-01-01 has 1,380 of 1,440 bars"):
        validate_days(
            desk(lake_of(holed, tmp_path / "holed")), REQUEST, ValidationRules((START,), 8, 1.3, 0)
        )
    missing = np.concatenate((BARS[:700], BARS[710:]))
    validate_days(
        desk(lake_of(missing, tmp_path / "missing")), REQUEST, ValidationRules((START,), 8, 1.3, 0)
    )


def test_a_day_with_cold_indicators_is_refused(lake: Path, tmp_path: Path) -> None:
    """One day before it of 1,440 bars is asked for; the data begin at the day, or have a hole."""
    said = "synthetic BTCUSDT 1m has 0 bars before 2024-01-01, and 1,440 from 2023-12-31 on are"
    with pytest.raises(DataError, match=said):
        validate_days(desk(lake), REQUEST, ValidationRules((START,), 9999, 0.0, 1))
    first = (DAYS - 2) * 1440
    for missing, refused in ((14, False), (15, True)):
        kept = np.concatenate((BARS[: first + 100], BARS[first + 100 + missing :]))
        place = desk(lake_of(kept, tmp_path / str(missing)))
        rules = ValidationRules((LAST,), 9999, 0.0, 1)
        if refused:
            with pytest.raises(DataError, match="has 1,425 bars before 2024-01-0"):
                validate_days(place, REQUEST, rules)
        else:
            assert validate_days(place, REQUEST, rules).days[0].warm_up_bars == 1426
